//! What tests start that is not of this repository: kept in the user's cache, fetched the first time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Fails when a command does not answer, with what to install.
///
/// # Panics
/// When it does not answer.
pub fn require(command: &[&str], what: &str) {
    let answers = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    assert!(answers, "the tests need {what}; `{}` does not answer", command.join(" "));
}

/// A folder of the user's cache, after `fetch` has filled it the first time, and again when `what` it holds
/// has changed.
pub(crate) fn folder(name: &str, what: &str, fetch: impl FnOnce(&Path)) -> PathBuf {
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
        fetch(&folder);
        fs::write(complete, what).expect("the cache is writable");
    }
    folder
}

/// As [`folder`], filled by a run of Maven.
pub(crate) fn from_maven(name: &str, what: &str, maven: &[&str]) -> PathBuf {
    folder(name, what, |folder| {
        require(&["java", "-version"], "Java 17 or newer (Debian: openjdk-17-jre-headless)");
        require(&["mvn", "--version"], "Maven (Debian: maven)");
        let status = Command::new("mvn")
            .args(["-q", "-B"])
            .args(maven)
            .arg(format!("-DoutputDirectory={}", folder.display()))
            // Without a project Maven's plugins leave files where they are called.
            .current_dir(folder)
            .stdin(Stdio::null())
            .status()
            .expect("mvn starts");
        assert!(status.success(), "Maven could not fetch {name}: run `mvn {}` by hand", maven.join(" "));
    })
}

/// As [`folder`], filled with the program that a Go package makes.
pub(crate) fn from_go(name: &str, package: &str) -> PathBuf {
    folder(name, package, |folder| {
        require(&["go", "version"], "Go 1.21 or newer (Debian: golang-go)");
        let status = Command::new("go")
            .args(["install", package])
            .env("GOBIN", folder)
            .stdin(Stdio::null())
            .status()
            .expect("go starts");
        assert!(status.success(), "Go could not fetch {name}: run `go install {package}` by hand");
    })
}

/// As [`folder`], filled with the program that a package of a Go module of this repository makes. It is made again when the
/// module or the package has changed.
///
/// # Panics
/// When Go is missing or cannot make it.
pub fn from_go_module(name: &str, module: &Path, package: &str) -> PathBuf {
    let text = |file: PathBuf| fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let what = ["go.mod".to_owned(), "go.sum".to_owned(), format!("{package}/main.go")];
    let what: String = what.into_iter().map(|file| text(module.join(file))).collect();
    let folder = folder(name, &what, |folder| {
        require(&["go", "version"], "Go 1.21 or newer (Debian: golang-go)");
        let status = Command::new("go")
            .args(["build", "-buildvcs=false", "-ldflags", "-s -w", "-o"])
            .arg(folder.join(package))
            .arg(format!("./{package}"))
            .current_dir(module)
            .stdin(Stdio::null())
            .status()
            .expect("go starts");
        let module = module.display();
        assert!(status.success(), "Go could not make {name}: run `go build ./{package}` in {module} by hand");
    });
    folder.join(package)
}
