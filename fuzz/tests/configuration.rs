//! Whatever is in the configuration file, reading it ends: with a configuration or with an error
//! that can be shown.

use bolero::check;
use prescale_chassis::{BusConfig, Loader};
use prescale_fuzz::{Numbers, changed};
use std::path::Path;

fn read(text: &str, environment: Vec<(String, String)>) {
    match Loader::from_text(Path::new("prescale.toml"), text, environment) {
        Ok(loader) => {
            if let Err(error) = loader.section::<BusConfig>("bus") {
                assert!(!error.to_string().is_empty());
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

#[test]
fn changed_examples() {
    const EXAMPLE: &str = include_str!("../../prescale.example.toml");
    let uncommented = EXAMPLE.replace("#: ", "");
    check!().with_type::<Vec<Numbers>>().for_each(|changes| {
        read(&String::from_utf8_lossy(&changed(uncommented.as_bytes(), changes)), Vec::new());
    });
}

#[test]
fn any_text_and_environment() {
    check!().with_type::<(String, Vec<(String, String)>)>().for_each(|(text, environment)| {
        let named = environment.iter().map(|(key, value)| (format!("PRESCALE__{key}"), value.clone()));
        read(text, named.collect());
    });
}
