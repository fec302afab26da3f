//! Configuration as a user meets it: what is read, and how errors read.

use super::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Planner {
    cooldown_s: u32,
    dry_run: bool,
    name: String,
    limits: Limits,
    labels: BTreeMap<String, String>,
    steps: Vec<Limits>,
}

impl Default for Planner {
    fn default() -> Self {
        Self {
            cooldown_s: 300,
            dry_run: true,
            name: String::new(),
            limits: Limits::default(),
            labels: BTreeMap::new(),
            steps: Vec::new(),
        }
    }
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Limits {
    replicas_max: u32,
    token: Secret,
}

fn loader(text: &str, environment: &[(&str, &str)]) -> Result<Loader, ConfigError> {
    let environment = environment.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    Loader::from_text(Path::new("prescale.toml"), text, environment)
}

fn planner(text: &str, environment: &[(&str, &str)]) -> Result<Planner, String> {
    loader(text, environment).and_then(|l| l.section("planner")).map_err(|e| e.to_string())
}

#[test]
fn the_file_goes_over_the_defaults_and_the_environment_over_both() {
    let text = "[planner]\ncooldown_s = 60\n[planner.limits]\nreplicas_max = 5\n[planner.labels]\n\"a.b\" = \"c\"\n";
    let read = planner(text, &[]).unwrap();
    assert_eq!((read.cooldown_s, read.dry_run, read.limits.replicas_max), (60, true, 5));
    assert_eq!(read.labels["a.b"], "c");
    let environment = [
        ("PRESCALE__PLANNER__COOLDOWN_S", "90"),
        ("PRESCALE__PLANNER__LIMITS__REPLICAS_MAX", "7"),
        ("PRESCALE__PLANNER__NAME", "123"),
        ("PRESCALE__BUS__PARTITIONS", "8"),
    ];
    let read = planner(text, &environment).unwrap();
    assert_eq!((read.cooldown_s, read.limits.replicas_max, read.name.as_str()), (90, 7, "123"));
    assert_eq!(read.labels["a.b"], "c", "keys beside the overridden one stay");
    assert_eq!(planner("", &[]), Ok(Planner::default()));
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_one() {
    let text = "# a comment\n[planner]\ndry_run = true\ncoldown_s = 60\n";
    let expected = "prescale.toml:4: [planner] coldown_s: unknown key, did you mean \"cooldown_s\"?";
    assert_eq!(planner(text, &[]), Err(expected.to_owned()));
    let nested = "[planner.limits]\nreplica_max = 1\n";
    let expected = "prescale.toml:2: [planner] limits.replica_max: unknown key, did you mean \"replicas_max\"?";
    assert_eq!(planner(nested, &[]), Err(expected.to_owned()));
    let in_list = "[planner]\nsteps = [{ replicas_max = 1, colour = 2 }]\n";
    let expected = "prescale.toml:2: [planner] steps.0.colour: unknown key, known are: replicas_max, token";
    assert_eq!(planner(in_list, &[]), Err(expected.to_owned()));
}

#[test]
fn a_wrong_type_names_file_line_and_key() {
    let error = planner("[planner]\n\ncooldown_s = \"long\"\n", &[]).unwrap_err();
    assert!(error.starts_with("prescale.toml:3: [planner] cooldown_s: invalid type"), "{error}");
    let error = planner("[planner]\nlimits = { replicas_max = -1 }\n", &[]).unwrap_err();
    assert!(error.starts_with("prescale.toml:2: [planner] limits.replicas_max: invalid value"), "{error}");
    let error = planner("[planner]\ncooldown_s = 1\n[planner.limits]\nreplicas_max = 1.5\n", &[]).unwrap_err();
    assert!(error.starts_with("prescale.toml:4: [planner] limits.replicas_max"), "{error}");
}

#[test]
fn what_is_no_toml_names_the_line() {
    let error = loader("[planner]\ncooldown_s =\n", &[]).unwrap_err().to_string();
    assert!(error.starts_with("prescale.toml:2: "), "{error}");
    let error = loader("dry_run = true\n[planner]\n", &[]).unwrap_err().to_string();
    assert_eq!(error, "prescale.toml:1: key \"dry_run\" stands outside any [section]");
}

#[test]
fn the_environment_is_held_to_the_same_rules() {
    let error = planner("", &[("PRESCALE__PLANNER__COLDOWN_S", "1")]).unwrap_err();
    assert!(error.contains("PRESCALE__PLANNER__COLDOWN_S") && error.contains("\"cooldown_s\""), "{error}");
    let error = planner("", &[("PRESCALE__PLANNER__COOLDOWN_S", "long")]).unwrap_err();
    assert!(error.starts_with("environment variable PRESCALE__PLANNER__COOLDOWN_S: [planner] cooldown_s"), "{error}");
    assert!(planner("", &[("PRESCALE__PLANNER", "1")]).unwrap_err().contains("PRESCALE__SECTION__KEY"));
    assert!(planner("[planner]\ncooldown_s = 1", &[("PRESCALE__PLANNER__COOLDOWN_S__X", "1")]).is_err());
}

#[test]
fn unknown_sections_are_refused() {
    let sections = ["bus", "planner"];
    assert_eq!(loader("[planner]\n[bus]\n", &[]).unwrap().finish(&sections), Ok(()));
    let error = loader("[bus]\n\n[planer]\n", &[]).unwrap().finish(&sections).unwrap_err();
    assert_eq!(error.to_string(), "prescale.toml:3: [planer]: unknown section, did you mean \"planner\"?");
    let error = loader("", &[("PRESCALE__BUSS__PARTITIONS", "1")]).unwrap().finish(&sections).unwrap_err();
    assert!(error.to_string().contains("PRESCALE__BUSS__PARTITIONS"), "{error}");
}

#[test]
fn who_reads_some_sections_refuses_what_is_misspelt_of_them_alone() {
    let finished = |text: &str, environment: &[(&str, &str)]| {
        let loader = loader(text, environment).unwrap();
        loader.section::<Planner>("planner").unwrap();
        loader.finish_own()
    };
    assert_eq!(finished("[planner]\n[console]\n[bus]\n", &[("PRESCALE__PREDICTOR__X", "1")]), Ok(()));
    let error = finished("[bus]\n\n[planer]\n", &[]).unwrap_err();
    assert_eq!(error.to_string(), "prescale.toml:3: [planer]: unknown section, did you mean \"planner\"?");
    let error = finished("", &[("PRESCALE__PLANNERS__DRY_RUN", "false")]).unwrap_err();
    assert!(error.to_string().contains("PRESCALE__PLANNERS__DRY_RUN"), "{error}");
}

#[test]
fn a_secret_is_never_shown() {
    let read = planner("[planner.limits]\ntoken = \"swordfish\"\n", &[]).unwrap();
    assert_eq!(read.limits.token.expose(), "swordfish");
    assert!(!format!("{read:?}").contains("swordfish"));
    assert!(!toml::to_string(&read).unwrap().contains("swordfish"));
}

#[test]
fn a_secret_of_another_type_is_refused_without_being_shown() {
    for value in ["20261125", "-20261125", "20261125.5", "2026-11-25", "[20261125]"] {
        let error = planner(&format!("[planner.limits]\ntoken = {value}\n"), &[]).unwrap_err();
        assert!(error.starts_with("prescale.toml:2: [planner] limits.token"), "{error}");
        assert!(!error.contains("2026"), "{error}");
    }
    let environment = [("PRESCALE__PLANNER__LIMITS__TOKEN", "20261125")];
    assert_eq!(planner("", &environment).unwrap().limits.token.expose(), "20261125");
}

#[test]
fn the_defaults_can_be_printed_and_read_back() {
    let text = defaults_toml::<Planner>("planner").unwrap();
    assert!(text.contains("[planner]\n# cooldown_s = 300\n"), "{text}");
    assert_eq!(planner(&text, &[]), Ok(Planner::default()));
    let uncommented = text.replace("# ", "");
    assert_eq!(planner(&uncommented, &[]), Ok(Planner::default()));
}

#[test]
fn the_chassis_own_sections_hold_their_defaults() {
    for text in ["", "[bus]\nbackend = \"kafka\"\n[bus.kafka]\nproperties = { \"security.protocol\" = \"SSL\" }\n"] {
        let bus: crate::BusConfig = loader(text, &[]).unwrap().section("bus").unwrap();
        assert_eq!(bus.partitions, 4);
        assert_eq!(bus.kafka.properties.len(), usize::from(!text.is_empty()));
    }
    let text = defaults_toml::<crate::TelemetryConfig>("telemetry").unwrap();
    assert!(text.contains("# listen = \"127.0.0.1:9095\""), "{text}");
}

#[test]
fn a_named_file_must_be_there() {
    let error = Loader::new(Some(Path::new("/nonexistent/prescale.toml"))).unwrap_err();
    assert!(error.to_string().starts_with("/nonexistent/prescale.toml: "), "{error}");
}
