//! Apache Kafka's libraries.

use crate::cache::from_maven;
use crate::repository;
use std::fs;
use std::path::PathBuf;

/// A java command line up to the class.
pub(crate) fn java(class: &str, heap_mb: u32) -> Vec<String> {
    let (heap, class_path) = (format!("-Xmx{heap_mb}m"), format!("{}/*", folder().display()));
    ["java", &heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        .into_iter()
        .chain(["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", &class_path, class])
        .map(str::to_owned)
        .collect()
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
    let pom = pom.display().to_string();
    from_maven(
        &format!("kafka-{version}"),
        &text,
        &["dependency:copy-dependencies", "-DincludeScope=runtime", "-f", &pom],
    )
}
