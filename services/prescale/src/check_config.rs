//! `prescale check-config`: is the configuration sound, and what is in force?

use crate::services::ServiceEntry;
use crate::settings::Settings;
use anyhow::Result;
use toml::{Table, Value};

/// What is in force, as TOML: the defaults with the file and the environment over them, of these services and of what
/// they share. Secrets are not shown.
///
/// # Errors
/// When a value has no TOML form.
pub fn in_force(services: &[ServiceEntry], settings: &Settings) -> Result<String> {
    let mut document = Table::new();
    let mut put = |name: &str, value: Value| document.insert(name.to_owned(), value);
    put("bus", Value::try_from(&settings.bus)?);
    put("schema_registry", Value::try_from(&settings.schema_registry)?);
    put("telemetry", Value::try_from(&settings.telemetry)?);
    for service in services {
        put(service.name, (service.section.shown)(service.name, settings)?);
    }
    Ok(toml::to_string(&document)?)
}

/// What each section of rules for some workloads overrides, as comments, in the order in which they go on top of each
/// other; empty without any.
pub fn overrides(settings: &Settings) -> String {
    let general = Value::try_from(&settings.planner).unwrap_or_else(|_| Value::Table(Table::new()));
    let mut sections: Vec<_> = settings.planner.sections.iter().collect();
    sections.sort_by_key(|(name, section)| (section.priority, *name));
    let mut text = String::new();
    for (name, section) in sections {
        let [workloads, sources, groups] = [&section.workloads, &section.sources, &section.groups].map(|l| listed(l));
        text += &format!(
            "# [planner.for.{name}], priority {}, for workloads {workloads}, sources {sources}, groups {groups}:\n",
            section.priority
        );
        for (key, value) in section.overridden() {
            let before = key.split('.').try_fold(&general, |table, part| table.get(part));
            let instead = before.map(|before| format!(" instead of {before}")).unwrap_or_default();
            text += &format!("#   {key} = {value}{instead}\n");
        }
    }
    text
}

fn listed(patterns: &[String]) -> String {
    if patterns.is_empty() { "any".to_owned() } else { patterns.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::SERVICES;
    use prescale_chassis::Secret;

    #[test]
    fn what_is_in_force_can_be_read_back_and_tells_no_secret() {
        let mut settings = Settings::default();
        settings.planner.general.forecast.lead_time_s = 1234;
        settings.console.token = Secret::new("swordfish");
        let kafka = &mut settings.bus.kafka;
        kafka.security.username = "planner".to_owned();
        kafka.security.password = Secret::new("swordfish");
        kafka.security.key_password = Secret::new("swordfish");
        for name in ["sasl.password", "ssl.key.password", "ssl.key.pem"] {
            kafka.properties.insert(name.to_owned(), Secret::new("swordfish"));
        }
        let text = in_force(&SERVICES, &settings).unwrap();
        assert!(text.contains("lead_time_s = 1234") && !text.contains("swordfish"), "{text}");
        assert!(text.contains("password = \"***\"") && !format!("{settings:?}").contains("swordfish"), "{text}");
        text.parse::<Table>().unwrap();
    }

    #[test]
    fn each_section_says_what_it_overrides_in_their_order() {
        let mut settings = Settings::default();
        let text = "[for.b]\nworkloads = [\"web-*\"]\nlead_time_s = 300\nguardrails.replicas_min = 2\n\
                    [for.a]\npriority = 1\nsources = [\"fleet:*\"]\npolicy = \"threshold\"\n";
        settings.planner = toml::from_str(text).unwrap();
        assert_eq!(
            overrides(&settings),
            "# [planner.for.b], priority 0, for workloads web-*, sources any, groups any:\n\
             #   guardrails.replicas_min = 2 instead of 1\n\
             #   lead_time_s = 300 instead of 900\n\
             # [planner.for.a], priority 1, for workloads any, sources fleet:*, groups any:\n\
             #   policy = \"threshold\" instead of \"proactive\"\n"
        );
        let in_force = in_force(&SERVICES, &settings).unwrap();
        let table: Table = in_force.parse().unwrap();
        assert_eq!(table["planner"]["for"]["b"]["lead_time_s"].as_integer(), Some(300));
    }
}
