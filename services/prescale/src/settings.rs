//! The whole configuration: every section, read and checked.

use crate::services::ServiceEntry;
use anyhow::Result;
use prescale_chassis::Named;
use prescale_chassis::config::Parts;
use prescale_chassis::{BusConfig, ConfigError, Loader, SchemaRegistryConfig, TelemetryConfig};
use prescale_domain::policy::RuleBook;
use std::path::Path;

/// Sections that are no service's.
const SHARED: [&str; 3] = ["bus", "schema_registry", "telemetry"];

/// Every section of `prescale.toml`.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `[bus]`.
    pub bus: BusConfig,
    /// `[schema_registry]`.
    pub schema_registry: SchemaRegistryConfig,
    /// `[telemetry]`.
    pub telemetry: TelemetryConfig,
    /// `[collector]`.
    pub collector: prescale_collector::Config,
    /// `[assembler]`.
    pub assembler: prescale_assembler::Config,
    /// `[fingerprinter]`.
    pub fingerprinter: prescale_fingerprinter::Config,
    /// `[predictor]`.
    pub predictor: prescale_predictor::Config,
    /// `[grouper]`.
    pub grouper: prescale_grouper::Config,
    /// `[planner]`.
    pub planner: prescale_planner::Config,
    /// `[governor]`.
    pub governor: prescale_governor::Config,
    /// `[detector]`.
    pub detector: prescale_detector::Config,
    /// `[actuator]`.
    pub actuator: prescale_actuator::Config,
    /// `[archiver]`.
    pub archiver: prescale_archiver::Config,
    /// `[console]`.
    pub console: prescale_console::Config,
    /// Those of services that have no field here.
    pub own: Parts,
}

impl Settings {
    /// Reads the file (see [`Loader::new`]) and the environment: the sections of these services and the shared ones.
    ///
    /// # Errors
    /// With the place of what cannot be read or is not known.
    pub fn load(services: &[ServiceEntry], path: Option<&Path>) -> Result<Self, ConfigError> {
        Self::read(services, &Loader::new(path)?)
    }

    /// As [`Settings::load`], from what was loaded.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn read(services: &[ServiceEntry], loader: &Loader) -> Result<Self, ConfigError> {
        let mut settings = Self {
            bus: loader.section("bus")?,
            schema_registry: loader.section("schema_registry")?,
            telemetry: loader.section("telemetry")?,
            ..Self::default()
        };
        for service in services {
            (service.section.read)(service.name, loader, &mut settings)?;
        }
        let known: Vec<&str> = SHARED.into_iter().chain(services.iter().map(|service| service.name)).collect();
        loader.finish(&known)?;
        Ok(settings)
    }

    /// The planner's rules.
    ///
    /// # Errors
    /// As [`prescale_planner::Config::rules`].
    pub fn rules(&self) -> Result<RuleBook> {
        self.planner.rules(&self.grouper.groups)
    }

    /// Who belongs together.
    pub fn named(&self) -> Named<'_> {
        Named { fleets: &self.governor.fleets, groups: &self.grouper.groups }
    }

    /// Checks what no type can say: ranges, keys that contradict each other, files that are named.
    ///
    /// # Errors
    /// With the first key that is wrong.
    pub fn check(&self, services: &[ServiceEntry]) -> Result<()> {
        self.bus.check()?;
        self.schema_registry.check()?;
        for service in services {
            (service.section.check)(self)?;
        }
        self.telemetry.tls.read("telemetry.tls")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check_config::in_force;
    use crate::services::SERVICES;

    fn read(text: &str) -> Result<Settings, ConfigError> {
        Settings::read(&SERVICES, &Loader::from_text(Path::new("prescale.toml"), text, [])?)
    }

    #[test]
    fn the_defaults_are_sound() {
        Settings::default().check(&SERVICES).unwrap();
    }

    #[test]
    fn the_example_shows_every_key_with_its_default() {
        let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
        let path = Path::new(&package).join("../../prescale.example.toml");
        let text = std::fs::read_to_string(path).unwrap();
        let uncommented: String = text
            .lines()
            .map(|line| match line.strip_prefix("#: ") {
                Some(key) => format!("{key}\n"),
                None => format!("{line}\n"),
            })
            .collect();
        let example: toml::Table = uncommented.parse().unwrap();
        let defaults: toml::Table = in_force(&SERVICES, &Settings::default()).unwrap().parse().unwrap();
        assert_eq!(example, defaults);
        read(&text).unwrap().check(&SERVICES).unwrap();
    }

    #[test]
    fn a_rate_that_nobody_forecasts_is_refused() {
        let text = "[planner.rates.requests_per_s]\nper_replica = 120\n";
        let error = read(text).unwrap().check(&SERVICES).unwrap_err().to_string();
        assert!(error.contains("add \"requests_per_s\" to [predictor] resources"), "{error}");
        let forecast = "[predictor]\nresources = [\"cpu_cores_used\", \"requests_per_s\"]\n";
        read(&format!("{forecast}{text}")).unwrap().check(&SERVICES).unwrap();
    }

    #[test]
    fn what_is_out_of_range_is_refused_with_its_place() {
        let refused = |text: &str, environment: Option<(&str, &str)>| {
            let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let loader = Loader::from_text(Path::new("prescale.toml"), text, environment).unwrap();
            let refusal = Settings::read(&SERVICES, &loader).unwrap().check(&SERVICES).unwrap_err();
            format!("{:#}", loader.placed(refusal))
        };
        let few = "[planner.for.few]\nworkloads = [\"web-*\"]\nguardrails.replicas_max = 3\n\
                   [planner.for.many]\nworkloads = [\"*-api\"]\nguardrails.replicas_min = 5\n";
        for (text, wanted) in [
            (
                "[planner]\n\n[planner.threshold]\nheadroom = 9\n[planner.for.x]\nworkloads = [\"*\"]\npolicy = \"threshold\"\n",
                "prescale.toml:5: [planner.for.x] does not make sense: headroom is 9: ",
            ),
            (
                "[planner.for.x]\nworkloads = [\"*\"]\nguardrails.replicas_max = 0\n",
                "prescale.toml:3: [planner.for.x] does not",
            ),
            ("[planner.for.x]\nworkloads = [\"*\"]\nlead_time_s = 1800\n", "prescale.toml:3: [planner.for.x] does not"),
            (few, "prescale.toml:3: [planner.for.few], then [planner.for.many] does not"),
            (
                "[planner.rates.a_per_s]\n[planner.rates.b_per_s]\n\nper_replica = 0\n",
                "prescale.toml:4: [planner] does not",
            ),
            (
                "\n[planner.rates.a_per_s]\nper_replica = 5\n",
                "prescale.toml:2: [planner.rates.a_per_s]: it is not forecast",
            ),
            (
                "[governor]\npatience_s = 600\n[governor.fleets.web]\n",
                "prescale.toml:3: [governor.fleets.web] has neither",
            ),
            (
                "[grouper.groups.\"web.a\"]\nworkloads = [\"web-[\"]\n",
                "prescale.toml:2: [grouper.groups.web.a] workloads: ",
            ),
            ("[grouper]\npatience_s = 5\n", "prescale.toml:2: [grouper] patience_s = 5: "),
        ] {
            let message = refused(text, None);
            assert!(message.starts_with(wanted), "{message}");
        }
        let set = refused("[grouper]\n", Some(("PRESCALE__GROUPER__PATIENCE_S", "5")));
        assert!(set.starts_with("environment variable PRESCALE__GROUPER__PATIENCE_S: [grouper] patience_s"), "{set}");
    }

    #[test]
    fn a_misspelt_key_is_refused_with_the_nearest_one() {
        let error = read("[planner]\nlead_tim_s = 5\n").unwrap_err().to_string();
        assert!(error.contains("prescale.toml:2") && error.contains("lead_time_s"), "{error}");
    }
}
