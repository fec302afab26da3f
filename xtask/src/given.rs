//! What commands are given that start a `prescale`.

use crate::cargo_with;
use anyhow::{Context as _, Result, bail, ensure};
use std::path::PathBuf;

/// Names a binary, as `--binary` does.
const BINARY: &str = "PRESCALE_BINARY";

/// The arguments.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Given {
    /// The `prescale` that is tested; none for the one that is built from here.
    binary: Option<PathBuf>,
    /// Brokers of a Kafka that is there; none for one that is started.
    pub(crate) kafka: Option<String>,
    /// What is named beside that.
    pub(crate) names: Vec<String>,
}

impl Given {
    /// Of arguments such as `--binary FILE --kafka HOST:PORT NAME`.
    pub(crate) fn of(arguments: &[String]) -> Result<Self> {
        let mut given = Self { binary: std::env::var_os(BINARY).map(PathBuf::from), ..Self::default() };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--binary" => given.binary = Some(value()?.into()),
                "--kafka" => given.kafka = Some(value()?.clone()),
                option if option.starts_with('-') => bail!("{option} is none of --binary FILE, --kafka HOST:PORT"),
                name => given.names.push(name.to_owned()),
            }
        }
        Ok(given)
    }

    /// Whether a binary is tested that was not built from here.
    pub(crate) fn is_of_others(&self) -> bool {
        self.binary.is_some()
    }

    /// The binary, built where none was given.
    pub(crate) fn binary(&self) -> Result<PathBuf> {
        let binary = match &self.binary {
            Some(binary) => std::path::absolute(binary)?,
            None => {
                cargo_with(&["build", "--release", "--package", "prescale"], &[])?;
                built("prescale")?
            }
        };
        ensure!(binary.is_file(), "there is no {}", binary.display());
        Ok(binary)
    }
}

/// Where cargo puts a binary of the release profile: beside this program, which lies in a profile's folder.
pub(crate) fn built(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own.ancestors().nth(2).context("this program does not lie in cargo's folder")?.join("release").join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_name_peers_a_binary_and_a_kafka() {
        let of = |text: &str| Given::of(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        let given = of("telegraf --binary /usr/bin/prescale --kafka kafka:9092 collector").unwrap();
        assert_eq!(given.binary, Some("/usr/bin/prescale".into()));
        assert_eq!((given.kafka.as_deref(), given.names.len()), (Some("kafka:9092"), 2));
        assert!(of("--binary").unwrap_err().to_string().contains("needs a value"));
        assert!(of("--other").unwrap_err().to_string().contains("--binary FILE"));
    }
}
