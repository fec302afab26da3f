//! `cargo xtask test-peers`: what others run as senders, as they make it and with their default settings, against a
//! process of ours; the tests that the makers of remote write have for receivers; a day of a fleet on real Kubernetes; and
//! a real OpenStack to be driven.
//!
//! It is for itself, since it needs the network and takes long the first time: everything is built from Go modules into
//! the user's cache, once for each version.

mod collector;
mod compliance;

mod go;
mod kafka;
mod kubernetes;
mod openstack;
mod prescale;
mod prometheus;
mod sending;
mod telegraf;
mod values;

use crate::given::Given;
use anyhow::{Result, bail};

/// A name and what runs it.
type Peer = (&'static str, fn(&Given) -> Result<()>);

/// By name, each by itself.
const PEERS: [Peer; 6] = [
    ("compliance", compliance::test),
    ("prometheus", prometheus::test),
    ("telegraf", telegraf::test),
    ("collector", collector::test),
    ("kubernetes", kubernetes::test),
    ("openstack", openstack::test),
];

/// Tests those that are named, or all.
pub(crate) fn test(arguments: &[String]) -> Result<()> {
    let given = Given::of(arguments)?;
    let is_known = |name: &&String| PEERS.iter().any(|(peer, _)| peer == *name);
    if let Some(unknown) = given.names.iter().find(|name| !is_known(name)) {
        bail!("{unknown:?} is none of {}", PEERS.map(|(name, _)| name).join(", "));
    }
    let is_named = |name: &str| given.names.is_empty() || given.names.iter().any(|named| named == name);
    let mut failed = Vec::new();
    for (name, test) in PEERS.iter().filter(|(name, _)| is_named(name)) {
        eprintln!("xtask: peer {name}");
        match test(&given) {
            Ok(()) => eprintln!("xtask: peer {name}: well"),
            Err(error) => {
                eprintln!("xtask: peer {name}: {error:#}");
                failed.push(*name);
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("not well: {}", failed.join(", ")) }
}
