//! Who gets in at the ports that this process listens on, beside those who have a certificate: which addresses need a
//! token, and which token a request gives. Must not know what is served.

use crate::config::Secret;
use crate::listen_tls::ListenTlsConfig;
use anyhow::{Context as _, Result, bail};
use axum::http::{HeaderMap, header};
use std::net::{SocketAddr, ToSocketAddrs};

/// The address that `listen` of a section names, after checking that others cannot reach it without a token or a
/// certificate.
///
/// # Errors
/// When it does not resolve, or is open to other machines and there is neither a token nor `client_ca_file`.
pub fn checked_address(section: &str, listen: &str, token: &Secret, tls: &ListenTlsConfig) -> Result<SocketAddr> {
    let address = listen
        .to_socket_addrs()
        .with_context(|| format!("[{section}] listen = {listen:?} is no host:port"))?
        .next()
        .with_context(|| format!("[{section}] listen = {listen:?} has no address"))?;
    if !address.ip().is_loopback() && token.expose().is_empty() && !tls.knows_its_clients() {
        bail!(
            "[{section}] listen = {listen:?} is open to other machines: set [{section}] token or [{section}.tls] client_ca_file, or listen on 127.0.0.1"
        );
    }
    Ok(address)
}

/// The bearer token of a request.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let authorization = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, given) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(given)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn an_open_address_needs_a_token_or_clients_with_certificates() {
        let checked = |listen: &str, token: &str, client_ca_file: &str| {
            let tls = ListenTlsConfig { client_ca_file: client_ca_file.into(), ..ListenTlsConfig::default() };
            checked_address("scaler", listen, &Secret::new(token), &tls).map_err(|error| error.to_string())
        };
        assert!(checked("127.0.0.1:0", "", "").is_ok() && checked("[::1]:0", "", "").is_ok());
        let open = checked("0.0.0.0:0", "", "").unwrap_err();
        assert!(open.contains("[scaler] token") && open.contains("[scaler.tls] client_ca_file"), "{open}");
        assert!(checked("0.0.0.0:0", "swordfish", "").is_ok() && checked("0.0.0.0:0", "", "ca.crt").is_ok());
        assert!(checked("8080", "", "").unwrap_err().contains("no host:port"));
    }

    #[test]
    fn a_token_is_what_comes_behind_its_scheme() {
        let given = |value: &'static str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))]);
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(given("Bearer swordfish").as_deref(), Some("swordfish"));
        assert_eq!(given("bearer swordfish").as_deref(), Some("swordfish"));
        assert_eq!((given("Basic swordfish"), given("swordfish"), bearer(&HeaderMap::new())), (None, None, None));
    }
}
