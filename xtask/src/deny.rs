//! `cargo deny`, which holds the dependencies to deny.toml.
//!
//! The tests run what follows from the repository alone, and only where cargo-deny is there: to build it takes minutes.
//! Advisories come from day to day and from elsewhere, so they are for `cargo xtask deny`, which installs it.

use crate::{cache, cargo, run};
use anyhow::Result;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const PACKAGE: &str = "cargo-deny@0.20.2";

/// Checks everything, after installing cargo-deny into the user's cache where it is missing.
pub(crate) fn everything() -> Result<()> {
    let program = match installed()? {
        Some(program) => program,
        None => install()?,
    };
    run(Command::new(program).arg("check"))
}

/// Checks all but advisories, where cargo-deny is there.
pub(crate) fn where_installed() -> Result<()> {
    let Some(program) = installed()? else {
        eprintln!(
            "xtask: cargo-deny is not there, so deny.toml is held to licences alone: `cargo xtask deny` installs it"
        );
        return Ok(());
    };
    run(Command::new(program).args(["check", "bans", "licenses", "sources"]))
}

/// That of the path, or else that of the user's cache.
fn installed() -> Result<Option<PathBuf>> {
    let candidates = [PathBuf::from("cargo-deny"), in_cache()?];
    Ok(candidates.into_iter().find(|program| {
        let mut ask = Command::new(program);
        ask.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        ask.status().is_ok_and(|status| status.success())
    }))
}

/// Without optimisation, which takes longer than it saves.
fn install() -> Result<PathBuf> {
    let root = cache()?.join("cargo-deny");
    cargo(&["install", "--locked", "--debug", "--root", &root.to_string_lossy(), PACKAGE])?;
    in_cache()
}

fn in_cache() -> Result<PathBuf> {
    Ok(cache()?.join("cargo-deny/bin/cargo-deny"))
}
