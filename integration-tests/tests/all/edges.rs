//! The layers of ARCHITECTURE.md as a test: a crate may depend on the crates below it and on no
//! other of ours.

use bus_tests::repository;
use cargo_metadata::{DependencyKind, MetadataCommand};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const DOMAIN: &str = "prescale-domain";
const CONTRACTS: &str = "prescale-contracts";
const BUS: &str = "prescale-bus";
const INFERENCE: &str = "prescale-inference";
const CHASSIS: &str = "prescale-chassis";
const KUBERNETES: &str = "prescale-kubernetes";
const OPENSTACK: &str = "prescale-openstack";
const PLANNER: &str = "prescale-planner";

fn allowed(package: &str, manifest: &Path) -> Option<BTreeSet<&'static str>> {
    let layer: &[&str] = match package {
        DOMAIN | BUS | KUBERNETES | OPENSTACK => &[],
        CONTRACTS | INFERENCE => &[DOMAIN],
        CHASSIS => &[BUS, CONTRACTS, DOMAIN],
        "prescale" | "integration-tests" | "bus-tests" | "xtask" => return None,
        // What they evaluate and explain are the planner's decisions, by the planner's configuration.
        "prescale-console" => &[BUS, CONTRACTS, CHASSIS, DOMAIN, PLANNER],
        _ if manifest.components().any(|c| c.as_os_str() == "services") => {
            &[BUS, CONTRACTS, INFERENCE, CHASSIS, KUBERNETES, OPENSTACK, DOMAIN]
        }
        other => panic!("{other} has no layer: give it one in this test and in ARCHITECTURE.md"),
    };
    Some(layer.iter().copied().collect())
}

/// Our packages with the ones of ours that each is built from (dev-dependencies left out).
fn our_dependencies() -> BTreeMap<String, (std::path::PathBuf, BTreeSet<String>)> {
    let manifest = repository().join("Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).no_deps().exec().expect("cargo metadata runs");
    let ours: BTreeSet<String> = metadata.packages.iter().map(|p| p.name.to_string()).collect();
    metadata
        .packages
        .iter()
        .map(|package| {
            let used = package
                .dependencies
                .iter()
                .filter(|d| d.kind != DependencyKind::Development && ours.contains(&d.name))
                .map(|d| d.name.clone())
                .collect();
            (package.name.to_string(), (package.manifest_path.clone().into_std_path_buf(), used))
        })
        .collect()
}

#[test]
fn dependencies_point_one_way() {
    let mut forbidden = Vec::new();
    for (package, (manifest, used)) in our_dependencies() {
        let Some(allowed) = allowed(&package, &manifest) else { continue };
        forbidden.extend(used.iter().filter(|d| !allowed.contains(d.as_str())).map(|d| format!("{package} -> {d}")));
    }
    assert!(forbidden.is_empty(), "edges that ARCHITECTURE.md does not allow: {forbidden:?}");
}

#[test]
fn the_domain_knows_no_io_and_no_wire_format() {
    let manifest = repository().join("libs/domain/Cargo.toml");
    let text = std::fs::read_to_string(manifest).expect("the domain's manifest is there");
    let manifest: toml::Table = text.parse().expect("it is TOML");
    let dependencies = manifest["dependencies"].as_table().expect("a table");
    for banned in ["tokio", "serde", "apache-avro", "rdkafka", "rusqlite", "arrow", "datafusion", "tract"] {
        let used: Vec<&String> = dependencies.keys().filter(|name| name.starts_with(banned)).collect();
        assert!(used.is_empty(), "libs/domain must not depend on {used:?}");
    }
}
