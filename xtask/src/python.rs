//! The training kit's tests, in a virtual environment of their own that is kept in the user's cache.

use crate::{cache, run};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const KIT: &str = "models/training";
/// The second names the first; those of the last are installed without what they ask for.
const REQUIREMENTS: [&str; 3] = [
    "models/training/requirements.txt",
    "models/training/requirements-test.txt",
    "models/training/requirements-bare.txt",
];

/// Runs them.
pub(crate) fn test() -> Result<()> {
    let python = environment()?;
    let mut tests = Command::new(python);
    // More threads would only wait for each other.
    tests.args(["-m", "pytest"]).current_dir(root().join(KIT)).env("OMP_NUM_THREADS", "1");
    run(&mut tests)
}

/// The system's Python, for which Debian installs PyTorch: another one may come first on the path.
pub(crate) const SYSTEM_PYTHON: &str = "/usr/bin/python3";

/// Its Python; the environment is made anew where the requirements are others than it was made for.
pub(crate) fn environment() -> Result<PathBuf> {
    let folder = cache()?.join("python");
    let (python, made_for) = (folder.join("bin/python"), folder.join("made-for.txt"));
    let read = |name| fs::read_to_string(root().join(name)).with_context(|| format!("cannot read {name}"));
    let wanted = REQUIREMENTS.map(read).into_iter().collect::<Result<String>>()?;
    if fs::read_to_string(&made_for).is_ok_and(|found| found == wanted) {
        return Ok(python);
    }
    run(Command::new(SYSTEM_PYTHON).args(["-m", "venv", "--clear", "--system-site-packages"]).arg(&folder))?;
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
    run(Command::new(&python).args(install).arg(root().join(REQUIREMENTS[1])))?;
    run(Command::new(&python).args(install).arg(root().join(REQUIREMENTS[2])).arg("--no-deps"))?;
    fs::write(&made_for, wanted).with_context(|| format!("cannot write {}", made_for.display()))?;
    Ok(python)
}

pub(crate) fn root() -> PathBuf {
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_else(|| "xtask".into());
    xtask.parent().map_or_else(PathBuf::new, Path::to_path_buf)
}
