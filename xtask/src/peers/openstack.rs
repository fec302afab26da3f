//! A real OpenStack from Debian's packages, and the integration tests that need one.

use crate::given::Given;
use crate::python::root;
use crate::{cache, cargo_with, run, setup};
use anyhow::{Context as _, Result};
use std::path::Path;
use std::process::Command;

const SCRIPT: &str = "infra/openstack/openstack.py";
/// Of the system, for which Debian's packages are made.
const PYTHON: &str = "/usr/bin/python3";
/// Tells the tests where it runs.
const FOLDER: &str = "PRESCALE_TEST_OPENSTACK";
/// What the tests take at a time, with room.
const SIZE: [(&str, &str); 2] = [("QUOTA_CORES", "60"), ("QUOTA_INSTANCES", "40")];

/// Starts it, runs the tests one after the other, since they share its hypervisor's faults, and stops it, also where they fail.
pub(super) fn test(_: &Given) -> Result<()> {
    setup::openstack()?;
    let script = root().join(SCRIPT);
    let folder = cache()?.join("openstack");
    // What a run that was killed has left is stopped, and each begins with nothing.
    openstack(&script, "stop", &folder)?;
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let tested = openstack(&script, "start", &folder).and_then(|()| tests(&folder));
    let stopped = openstack(&script, "stop", &folder);
    tested.and(stopped)
}

fn tests(folder: &Path) -> Result<()> {
    cargo_with(&["build", "--release", "--workspace", "--bins"], &[])?;
    let command = ["test", "--release", "--workspace", "--test", "openstack", "--", "--test-threads=1"];
    cargo_with(&command, &[(FOLDER, folder.into())])
}

fn openstack(script: &Path, action: &str, folder: &Path) -> Result<()> {
    run(Command::new(PYTHON).arg(script).arg(action).arg(folder).envs(SIZE))
}
