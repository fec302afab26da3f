//! Gets what the tests start: on Debian as root it installs the packages, elsewhere it says which.

use crate::python::SYSTEM_PYTHON;
use crate::run;
use anyhow::{Result, bail};
use std::process::{Command, Stdio};

struct Tool {
    needed_for: &'static str,
    probe: &'static [&'static str],
    debian_packages: &'static [&'static str],
}

const TOOLS: &[Tool] = &[
    Tool {
        needed_for: "Apache Kafka and Apicurio Registry (Java 17 or newer)",
        probe: &["java", "-version"],
        debian_packages: &["openjdk-17-jre-headless"],
    },
    Tool { needed_for: "fetching Kafka and Apicurio", probe: &["mvn", "--version"], debian_packages: &["maven"] },
    Tool {
        needed_for: "making toxiproxy and Kubernetes' API server",
        probe: &["go", "version"],
        debian_packages: &["golang-go"],
    },
    Tool { needed_for: "the console's test", probe: &["chromium", "--version"], debian_packages: &["chromium"] },
    Tool {
        needed_for: "the console's test",
        probe: &["chromedriver", "--version"],
        debian_packages: &["chromium-driver"],
    },
    Tool { needed_for: "the archiver's tests", probe: &["prometheus", "--version"], debian_packages: &["prometheus"] },
    Tool {
        needed_for: "the archiver's tests",
        probe: &["victoria-metrics", "-version"],
        debian_packages: &["victoria-metrics"],
    },
    Tool { needed_for: "the archiver's tests", probe: &["influxd", "version"], debian_packages: &["influxdb"] },
    Tool {
        needed_for: "the detector's test",
        probe: &["prometheus-alertmanager", "--version"],
        debian_packages: &["prometheus-alertmanager"],
    },
    Tool { needed_for: "Kubernetes' API server", probe: &["etcd", "--version"], debian_packages: &["etcd-server"] },
    Tool {
        needed_for: "the README's commands",
        probe: &["kubectl", "version", "--client"],
        debian_packages: &["kubernetes-client"],
    },
    Tool {
        needed_for: "the training kit's tests",
        probe: &[SYSTEM_PYTHON, "-c", "import ensurepip, numpy, torch, venv"],
        debian_packages: &["python3-venv", "python3-torch", "python3-numpy", "libopenblas0-pthread"],
    },
];

/// What a real OpenStack takes, which `test-peers` alone needs.
const OPENSTACK: &[Tool] = &[
    Tool {
        needed_for: "a real OpenStack",
        probe: &["sh", "-c", "command -v nova-api nova-conductor nova-scheduler nova-manage"],
        debian_packages: &["nova-api", "nova-conductor", "nova-scheduler"],
    },
    Tool {
        needed_for: "a real OpenStack",
        probe: &["sh", "-c", "command -v keystone-manage placement-manage glance-api uwsgi"],
        debian_packages: &["keystone", "placement-api", "glance-api", "uwsgi-core", "uwsgi-plugin-python3"],
    },
    Tool {
        needed_for: "a real OpenStack",
        probe: &["sh", "-c", "PATH=$PATH:/usr/sbin; command -v mariadbd rabbitmq-server"],
        debian_packages: &["mariadb-server", "rabbitmq-server"],
    },
];

/// Checks for every tool and installs or names the missing ones.
pub(crate) fn everything() -> Result<()> {
    all_of(TOOLS)
}

/// The same of what a real OpenStack takes.
pub(crate) fn openstack() -> Result<()> {
    all_of(OPENSTACK)
}

fn all_of(tools: &[Tool]) -> Result<()> {
    let missing: Vec<&Tool> = tools.iter().filter(|t| !answers(t.probe)).collect();
    if !missing.is_empty() {
        let packages: Vec<&str> = missing.iter().flat_map(|t| t.debian_packages.iter().copied()).collect();
        if !(is_root() && answers(&["apt-get", "--version"])) {
            let needs: Vec<String> =
                missing.iter().map(|t| format!("{} for {}", t.debian_packages.join(" "), t.needed_for)).collect();
            bail!("install these, then run this again (Debian's package names): {}", needs.join("; "));
        }
        run(Command::new("apt-get").args(["update", "-q"]))?;
        run(Command::new("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            // So that none of them is started as a service.
            .env("RUNLEVEL", "1")
            .args(["install", "-y", "-q", "--no-install-recommends"])
            .args(&packages))?;
        if let Some(still) = missing.iter().find(|t| !answers(t.probe)) {
            bail!("{} still does not answer after installing {:?}", still.probe.join(" "), still.debian_packages);
        }
    }
    Ok(())
}

fn answers(command: &[&str]) -> bool {
    Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}

fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status")
        .is_ok_and(|s| s.lines().any(|l| l.starts_with("Uid:") && l.split_whitespace().nth(2) == Some("0")))
}
