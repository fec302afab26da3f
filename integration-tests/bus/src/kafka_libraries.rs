//! Apache Kafka's libraries in the user's cache, fetched through Maven the first time.

use crate::repository;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A java command line up to the class.
pub(crate) fn java(class: &str, heap_mb: u32) -> Vec<String> {
    let (heap, class_path) = (format!("-Xmx{heap_mb}m"), format!("{}/*", folder().display()));
    ["java", &heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        .into_iter()
        .chain(["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", &class_path, class])
        .map(str::to_owned)
        .collect()
}

fn require(command: &[&str], what: &str) {
    let answers = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    assert!(answers, "the Kafka tests need {what}; `{}` does not answer", command.join(" "));
}

/// The folder that holds them.
fn folder() -> PathBuf {
    let pom = repository().join("infra/kafka/test-broker/pom.xml");
    let text = fs::read_to_string(&pom).expect("the test broker's pom.xml is there");
    let version = text
        .split_once("<kafka.version>")
        .and_then(|(_, rest)| rest.split_once("</kafka.version>"))
        .map(|(version, _)| version)
        .expect("the pom names kafka.version");
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .expect("XDG_CACHE_HOME or HOME is set");
    let folder = cache.join("prescale").join(format!("kafka-{version}"));
    fs::create_dir_all(&folder).expect("the cache is writable");
    let lock = File::create(folder.join(".lock")).expect("the cache is writable");
    lock.lock().expect("the cache's file system has locks");
    let complete = folder.join(".complete");
    if !complete.exists() {
        require(&["java", "-version"], "Java 17 or newer (Debian: openjdk-17-jre-headless)");
        require(&["mvn", "--version"], "Maven (Debian: maven)");
        let status = Command::new("mvn")
            .args(["-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-f"])
            .arg(&pom)
            .arg(format!("-DoutputDirectory={}", folder.display()))
            .stdin(Stdio::null())
            .status()
            .expect("mvn starts");
        assert!(status.success(), "Maven could not fetch Kafka {version}: run `mvn -f {}` by hand", pom.display());
        File::create(complete).expect("the cache is writable");
    }
    folder
}
