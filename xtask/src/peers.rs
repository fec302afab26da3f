//! `cargo xtask test-peers`: what others run as senders, as they make it and with their default settings, against a
//! process of ours; and the tests that the makers of remote write have for receivers.
//!
//! It is for itself, since it needs the network and takes long the first time: everything is built from Go modules into
//! the user's cache, once for each version.

mod compliance;
mod go;
mod prescale;
mod senders;

use crate::cargo_with;
use anyhow::{Result, bail};
use std::ffi::OsString;
use std::path::Path;

/// A name and what runs it.
type Peer = (&'static str, fn() -> Result<()>);

/// By name, each by itself.
const PEERS: [Peer; 4] = [
    ("compliance", compliance::test),
    ("prometheus", prometheus),
    ("telegraf", senders::telegraf),
    ("collector", senders::collector),
];

const PROMETHEUS: &str = "github.com/prometheus/prometheus@v0.316.0";

/// Tests those that are named, or all.
pub(crate) fn test(named: &[String]) -> Result<()> {
    let is_known = |name: &&String| PEERS.iter().any(|(peer, _)| peer == *name);
    if let Some(unknown) = named.iter().find(|name| !is_known(name)) {
        bail!("{unknown:?} is none of {}", PEERS.map(|(name, _)| name).join(", "));
    }
    cargo_with(&["build", "--release", "--package", "prescale"], &[])?;
    let mut failed = Vec::new();
    for (name, test) in PEERS.iter().filter(|(name, _)| named.is_empty() || named.iter().any(|n| n == name)) {
        eprintln!("xtask: peer {name}");
        match test() {
            Ok(()) => eprintln!("xtask: peer {name}: well"),
            Err(error) => {
                eprintln!("xtask: peer {name}: {error:#}");
                failed.push(*name);
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("not well: {}", failed.join(", ")) }
}

/// A newer Prometheus than the system's, by the tests that there are: it goes before that on their path.
fn prometheus() -> Result<()> {
    let folder = go::copied(PROMETHEUS)?;
    let programs = folder.join("built");
    for name in ["prometheus", "promtool"] {
        go::build(&folder, &programs.join(name), &format!("./cmd/{name}"), "")?;
    }
    let path = path_with(&programs)?;
    cargo_with(
        &["test", "--release", "--package", "integration-tests", "--test", "all", "--", "prometheus::"],
        &[("PATH", path)],
    )
}

/// The path with a folder before all others.
fn path_with(folder: &Path) -> Result<OsString> {
    let all = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&all));
    Ok(std::env::join_paths(folders)?)
}
