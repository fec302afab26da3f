//! `prescale check-config`: is the configuration sound, and what is in force?

use crate::settings::Settings;
use anyhow::Result;
use serde::Serialize;
use toml::{Table, Value};

/// What is in force, as TOML: the defaults with the file and the environment over them. Secrets
/// are not shown.
///
/// # Errors
/// When a value has no TOML form.
pub fn in_force(settings: &Settings) -> Result<String> {
    let mut document = Table::new();
    let mut put = |name: &str, value: Value| document.insert(name.to_owned(), value);
    put("bus", section(&settings.bus)?);
    put("schema_registry", section(&settings.schema_registry)?);
    put("telemetry", section(&settings.telemetry)?);
    put("collector", section(&settings.collector)?);
    put("fingerprinter", section(&settings.fingerprinter)?);
    put("predictor", section(&settings.predictor)?);
    put("grouper", section(&settings.grouper)?);
    put("planner", section(&settings.planner)?);
    put("governor", section(&settings.governor)?);
    put("evaluator", section(&settings.evaluator)?);
    put("actuator", section(&settings.actuator)?);
    put("archiver", section(&settings.archiver)?);
    put("console", section(&settings.console)?);
    Ok(toml::to_string(&document)?)
}

fn section(value: &impl Serialize) -> Result<Value> {
    Ok(Value::try_from(value)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prescale_chassis::Secret;

    #[test]
    fn what_is_in_force_can_be_read_back_and_tells_no_secret() {
        let mut settings = Settings::default();
        settings.planner.lead_time_s = 1234;
        settings.console.token = Secret::new("swordfish");
        let kafka = &mut settings.bus.kafka;
        kafka.security.username = "planner".to_owned();
        kafka.security.password = Secret::new("swordfish");
        kafka.security.key_password = Secret::new("swordfish");
        for name in ["sasl.password", "ssl.key.password", "ssl.key.pem"] {
            kafka.properties.insert(name.to_owned(), Secret::new("swordfish"));
        }
        let text = in_force(&settings).unwrap();
        assert!(text.contains("lead_time_s = 1234") && !text.contains("swordfish"), "{text}");
        assert!(text.contains("password = \"***\"") && !format!("{settings:?}").contains("swordfish"), "{text}");
        text.parse::<Table>().unwrap();
    }
}
