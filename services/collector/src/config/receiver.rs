//! Keys that the sections of all receivers have alike, and what of them can be wrong.

use super::{check_name, check_step};
use anyhow::{Context as _, ensure};
use prescale_chassis::{ListenTls, ListenTlsConfig, Secret, listen_access};
use prescale_domain::source::SourceName;
use std::net::SocketAddr;

const REQUEST_BYTES_MAX: usize = 64 << 20;

/// What the section of a receiver says; the keys are explained there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceiverKeys<'a> {
    /// Name of the section.
    pub(crate) section: &'static str,
    /// Name of its table `tls`.
    pub(crate) tls_section: &'static str,
    /// Begins the names of its sources, as in `remote-write`.
    pub(crate) kind: &'static str,
    pub(crate) listen: &'a str,
    pub(crate) token: &'a Secret,
    pub(crate) name: &'a str,
    pub(crate) tenant: &'a str,
    pub(crate) preset: &'a str,
    pub(crate) step_s: u32,
    pub(crate) series_max: usize,
    pub(crate) request_bytes_max: usize,
    pub(crate) tls: &'a ListenTlsConfig,
}

impl ReceiverKeys<'_> {
    /// Whether it listens.
    pub(crate) fn is_enabled(&self) -> bool {
        !self.listen.is_empty()
    }

    /// Name of the source: what is of another tenant is of another source.
    ///
    /// # Errors
    /// When both are too long together.
    pub(crate) fn source(&self) -> anyhow::Result<SourceName> {
        let tenant = if self.tenant.is_empty() { String::new() } else { format!("/{}", self.tenant) };
        let name = format!("{}:{}{tenant}", self.kind, self.name);
        SourceName::new(name).with_context(|| format!("[{}] name and tenant", self.section))
    }

    /// The address to listen on, after checking that others cannot reach it without a token or a certificate.
    ///
    /// # Errors
    /// When it does not resolve, or is open to other machines and there is neither a token nor `client_ca_file`.
    pub(crate) fn address(&self) -> anyhow::Result<SocketAddr> {
        listen_access::checked_address(self.section, self.listen, self.token, self.tls)
    }

    /// TLS of the port; `None` for plain HTTP.
    ///
    /// # Errors
    /// When a key is missing, or a file cannot be used.
    pub(crate) fn tls(&self) -> anyhow::Result<Option<ListenTls>> {
        self.tls.read(self.tls_section)
    }

    /// Refuses what cannot be; nothing where it does not listen.
    ///
    /// # Errors
    /// With the key.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if !self.is_enabled() {
            return Ok(());
        }
        let section = self.section;
        check_name(&format!("[{section}] name"), self.name)?;
        ensure!(!self.name.is_empty(), "[{section}] name = \"\": the source needs a name");
        check_name(&format!("[{section}] tenant"), self.tenant)?;
        check_step(&format!("[{section}] step_s"), self.step_s)?;
        ensure!(self.series_max > 0, "[{section}] series_max = 0: at least 1 is needed");
        ensure!(
            (1..=REQUEST_BYTES_MAX).contains(&self.request_bytes_max),
            "[{section}] request_bytes_max = {}: 1 to {REQUEST_BYTES_MAX} are possible",
            self.request_bytes_max
        );
        self.source()?;
        self.address()?;
        self.tls().map(drop)
    }
}
