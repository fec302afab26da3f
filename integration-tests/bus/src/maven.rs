//! What tests start that comes from Maven: kept in the user's cache, fetched the first time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Fails when a command does not answer, with what to install.
pub(crate) fn require(command: &[&str], what: &str) {
    let answers = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    assert!(answers, "the tests need {what}; `{}` does not answer", command.join(" "));
}

/// A folder of the user's cache that this run of Maven fills the first time, and again when `what` it
/// asks for has changed.
pub(crate) fn fetched(name: &str, what: &str, maven: &[&str]) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .expect("XDG_CACHE_HOME or HOME is set");
    let folder = cache.join("prescale").join(name);
    fs::create_dir_all(&folder).expect("the cache is writable");
    let lock = File::create(folder.join(".lock")).expect("the cache is writable");
    lock.lock().expect("the cache's file system has locks");
    let complete = folder.join(".complete");
    if fs::read_to_string(&complete).ok().as_deref() != Some(what) {
        require(&["java", "-version"], "Java 17 or newer (Debian: openjdk-17-jre-headless)");
        require(&["mvn", "--version"], "Maven (Debian: maven)");
        let status = Command::new("mvn")
            .args(["-q", "-B"])
            .args(maven)
            .arg(format!("-DoutputDirectory={}", folder.display()))
            // Without a project Maven's plugins leave files where they are called.
            .current_dir(&folder)
            .stdin(Stdio::null())
            .status()
            .expect("mvn starts");
        assert!(status.success(), "Maven could not fetch {name}: run `mvn {}` by hand", maven.join(" "));
        fs::write(complete, what).expect("the cache is writable");
    }
    folder
}
