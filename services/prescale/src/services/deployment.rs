//! How the services are deployed follows from the list: `docker-compose.yml` has a block for each, in the list's order,
//! and `infra/docker/Dockerfile` its binary. `UPDATE=1 cargo test --release -p prescale deployment` writes both anew.
//! What the list does not say of a block (environment, ports, comments) is kept.

use super::tests::with_toy;
use super::{SERVICES, ServiceEntry};
use crate::settings::Settings;
use prescale_chassis::Loader;
use std::fs;
use std::path::{Path, PathBuf};

type Made = fn(&str, &[ServiceEntry]) -> String;

const COMPOSE: &str = "docker-compose.yml";
const IMAGE: &str = "infra/docker/Dockerfile";
const FILES: [(&str, Made); 2] = [(COMPOSE, compose_of), (IMAGE, image_of)];

/// Blocks that are no service's.
const BESIDE: [&str; 2] = ["kafka", "topics"];
const BEFORE_BLOCKS: &str = "\nservices:\n";
const BEFORE_VOLUMES: &str = "\n\nvolumes:\n";
/// Where a service keeps what it would have to make anew without a volume.
const STATE_FOLDER: &str = "/var/lib/prescale/state";

fn path(name: &str) -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    Path::new(&package).join("../..").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap()
}

/// `docker-compose.yml` in pieces.
struct Compose<'a> {
    head: &'a str,
    /// Those of services and of what is beside them, each with the comment before it.
    blocks: Vec<&'a str>,
}

impl<'a> Compose<'a> {
    fn of(text: &'a str) -> Self {
        let (head, rest) = text.split_once(BEFORE_BLOCKS).expect("it has services");
        let (blocks, _) = rest.split_once(BEFORE_VOLUMES).expect("it has volumes behind them");
        Self { head, blocks: blocks.split("\n\n").collect() }
    }

    fn block(&self, name: &str) -> Option<&'a str> {
        self.blocks.iter().copied().find(|block| name_of(block) == Some(name))
    }
}

fn name_of(block: &str) -> Option<&str> {
    let mut keys = block.lines().filter_map(|line| line.strip_prefix("  ")?.strip_suffix(':'));
    keys.find(|key| !key.starts_with([' ', '#']))
}

/// The entries of a list in one line of a block.
fn listed<'a>(block: &'a str, key: &str) -> Vec<&'a str> {
    let start = format!("    {key}: [");
    let lists = block.lines().filter_map(|line| line.strip_prefix(start.as_str())?.strip_suffix(']'));
    lists.flat_map(|list| list.split(", ")).map(|entry| entry.trim_matches('"')).collect()
}

/// Names and folders of the volumes of a block.
fn volumes(block: &str) -> Vec<(&str, &str)> {
    listed(block, "volumes").into_iter().filter_map(|volume| volume.split_once(':')).collect()
}

/// Prescale's variables that are set in a text.
fn variables(text: &str) -> Vec<(String, String)> {
    let set = text.lines().filter_map(|line| line.trim().split_once(": "));
    let ours = set.filter(|(name, _)| name.starts_with("PRESCALE__"));
    ours.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())).collect()
}

fn compose_of(text: &str, services: &[ServiceEntry]) -> String {
    let compose = Compose::of(text);
    let beside = BESIDE.iter().filter_map(|name| compose.block(name)).map(str::to_owned);
    let of_services = services.iter().map(|service| block_of(service.name, compose.block(service.name)));
    let blocks: Vec<String> = beside.chain(of_services).collect();
    let declared: String =
        blocks.iter().flat_map(|block| volumes(block)).map(|(name, _)| format!("  {name}:\n")).collect();
    format!("{}{BEFORE_BLOCKS}{}{BEFORE_VOLUMES}{declared}", compose.head, blocks.join("\n\n"))
}

/// A service's block, with what was found of it. A new one keeps its state.
fn block_of(service: &str, found: Option<&str>) -> String {
    let fixed =
        [format!("  {service}:"), "    <<: *service".to_owned(), format!("    command: [\"prescale-{service}\"]")];
    let volume = format!("    volumes: [{service}-state:{STATE_FOLDER}]");
    let lines: Vec<&str> = found.map_or_else(|| vec![volume.as_str()], |block| block.lines().collect());
    let is_fixed = |line: &str| fixed[..2].iter().any(|fixed| fixed == line) || line.starts_with("    command:");
    let (comment, rest): (Vec<&str>, Vec<&str>) =
        lines.into_iter().filter(|line| !is_fixed(line)).partition(|line| line.starts_with("  #"));
    comment.into_iter().chain(fixed.iter().map(String::as_str)).chain(rest).collect::<Vec<&str>>().join("\n")
}

fn image_of(text: &str, services: &[ServiceEntry]) -> String {
    let (before, rest) = text.split_once("for service in ").expect("it copies the services' binaries");
    let (_, after) = rest.split_once("; do").expect("it does so in a loop");
    let names: Vec<&str> = services.iter().map(|service| service.name).collect();
    format!("{before}for service in {}; do{after}", names.join(" "))
}

#[test]
fn compose_and_image_are_as_the_list_says() {
    for (name, made) in FILES {
        let found = read(name);
        let wanted = made(&found, &SERVICES);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(path(name), wanted).unwrap();
        } else {
            assert_eq!(found, wanted, "{name}: `UPDATE=1 cargo test --release -p prescale deployment` writes it anew");
        }
    }
}

#[test]
fn a_service_that_is_added_is_deployed_and_one_that_is_taken_away_is_not() {
    let with_toy = with_toy();
    for (name, made) in FILES {
        let shipped = made(&read(name), &SERVICES);
        let added = made(&shipped, &with_toy);
        assert_ne!(added, shipped, "{name}");
        assert_eq!(made(&added, &with_toy), added, "{name}");
        assert_eq!(made(&added, &SERVICES), shipped, "{name}");
    }
    let compose = compose_of(&read(COMPOSE), &with_toy);
    let block =
        "  toy:\n    <<: *service\n    command: [\"prescale-toy\"]\n    volumes: [toy-state:/var/lib/prescale/state]";
    assert_eq!(Compose::of(&compose).block("toy"), Some(block));
    assert!(compose.ends_with("  toy-state:\n"), "{compose}");
    let misnamed = compose.replace("[\"prescale-planner\"]", "[\"planner\"]");
    assert_ne!(misnamed, compose);
    assert_eq!(compose_of(&misnamed, &with_toy), compose);
}

#[test]
fn what_is_deployed_is_configured_soundly_keeps_its_state_and_listens_where_it_says() {
    let text = read(COMPOSE);
    let compose = Compose::of(&text);
    let shared = variables(compose.head);
    assert!(shared.contains(&("PRESCALE__BUS__KAFKA__STATE_DIR".to_owned(), STATE_FOLDER.to_owned())), "{shared:?}");
    for service in &SERVICES {
        let (name, block) = (service.name, compose.block(service.name).unwrap());
        let set = [shared.clone(), variables(block)].concat();
        let loader = Loader::from_text(Path::new("prescale.toml"), "", set.clone()).unwrap();
        let settings = Settings::read(&SERVICES, &loader).unwrap();
        settings.bus.check().unwrap();
        (service.section.check)(&settings).unwrap();

        let keeps_state = volumes(block).iter().any(|(_, folder)| *folder == STATE_FOLDER);
        assert!(keeps_state || (service.stages)(&settings).is_empty(), "{name} loses its snapshots with its container");

        let listens = |port: &str| {
            let ends = format!(":{port}");
            set.iter().any(|(variable, address)| variable.ends_with("__LISTEN") && address.ends_with(&ends))
        };
        for published in listed(block, "ports") {
            let port = published.strip_prefix("127.0.0.1:").and_then(|ports| ports.split_once(':')).unwrap().1;
            assert!(listens(port), "{name} publishes port {port} and does not listen there");
        }
        let checked = compose.head.split_once("\"--address\", \"127.0.0.1:").unwrap().1;
        assert!(listens(checked.split_once('"').unwrap().0), "{name} is asked for its health elsewhere");

        let binaries =
            [format!("services/{name}/src/main.rs"), format!("services/prescale/src/bin/prescale-{name}.rs")];
        assert!(binaries.iter().any(|binary| path(binary).exists()), "{name} has no binary");
    }
}
