//! Reads sections into typed values and refuses what nobody knows.

use super::ConfigError;
use super::document::Document;
use super::environment::Override;
use super::nearest::{hint, near};
use super::refusal::Refusal;
use serde::Serialize;
use serde::de::{DeserializeOwned, Deserializer};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use toml::de::ValueDeserializer;
use toml::{Table, Value};

const DEFAULT_FILE: &str = "prescale.toml";
const FILE_VARIABLE: &str = "PRESCALE_CONFIG";

/// The configuration of this process: a file, or none, and the environment.
#[derive(Clone, Debug)]
pub struct Loader {
    document: Option<Document>,
    overrides: Vec<Override>,
    /// Sections that were read.
    read: RefCell<BTreeSet<String>>,
}

impl Loader {
    /// Reads the file `path`; without one the file that `PRESCALE_CONFIG` names; without that
    /// `prescale.toml` of the working directory when it is there.
    ///
    /// # Errors
    /// When a named file cannot be read, or the file is no TOML.
    pub fn new(path: Option<&Path>) -> Result<Self, ConfigError> {
        let variable = std::env::var_os(FILE_VARIABLE).filter(|v| !v.is_empty());
        let document = match (path, &variable) {
            (Some(path), _) => Some(Document::read(path)?),
            (None, Some(path)) => Some(Document::read(Path::new(path))?),
            (None, None) if Path::new(DEFAULT_FILE).exists() => Some(Document::read(Path::new(DEFAULT_FILE))?),
            (None, None) => None,
        };
        let environment = std::env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?)));
        Ok(Self::of(document, environment))
    }

    /// From a text (with the file's name for errors) and variables, for tests and tools.
    ///
    /// # Errors
    /// When the text is no TOML.
    pub fn from_text(
        file: &Path,
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Ok(Self::of(Some(Document::parse(file, text.to_owned())?), environment))
    }

    fn of(document: Option<Document>, environment: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut overrides: Vec<Override> =
            environment.into_iter().filter_map(|(name, value)| Override::read(&name, &value)).collect();
        overrides.sort_by(|a, b| a.variable.cmp(&b.variable));
        Self { document, overrides, read: RefCell::default() }
    }

    /// One section: the file's keys over the defaults, the environment's over both. `T` and the
    /// structs in it need `#[serde(default)]`, so that keys may be left out.
    ///
    /// # Errors
    /// When a value does not fit or a key is not known.
    pub fn section<T: Default + Serialize + DeserializeOwned>(&self, name: &str) -> Result<T, ConfigError> {
        self.read.borrow_mut().insert(name.to_owned());
        let mut value = self.file_section::<T>(name)?.unwrap_or_default();
        let mut table = self.table(name);
        for change in self.overrides.iter().filter(|o| o.section == name) {
            (value, table) = apply(change, &table)?;
        }
        Ok(value)
    }

    /// Refuses sections and variables outside `known`, which is every section that there is.
    ///
    /// # Errors
    /// When there is such a section.
    pub fn finish(&self, known: &[&str]) -> Result<(), ConfigError> {
        let unknown = |section: &str| (!known.contains(&section)).then(|| hint(section, known.iter().copied()));
        self.refuse(unknown)
    }

    /// Refuses a section or variable that is none of those that were read, but almost has the name of one: it is
    /// misspelt. For a service that knows its own sections alone and lets the others be.
    ///
    /// # Errors
    /// When there is such a section.
    pub fn finish_own(&self) -> Result<(), ConfigError> {
        let read = self.read.borrow();
        let misspelt = |section: &str| {
            let meant = near(section, read.iter().map(String::as_str)).filter(|_| !read.contains(section));
            meant.map(|meant| format!("did you mean {meant:?}?"))
        };
        self.refuse(misspelt)
    }

    /// A refusal of what was read from here, behind the place of the key or section that it names, where it names one
    /// that is not left at its default.
    pub fn placed(&self, refusal: anyhow::Error) -> anyhow::Error {
        let text = format!("{refusal:#}");
        let named = Refusal::read(&text);
        let change = self.overrides.iter().find(|change| named.is_about(&change.section, &change.path));
        let in_file = || self.document.as_ref().and_then(|document| document.place_of_refusal(&named));
        match change.map(Override::place).or_else(in_file) {
            Some(place) => refusal.context(place),
            None => refusal,
        }
    }

    /// Refuses the first section for which there is a hint.
    fn refuse(&self, hint_for: impl Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
        let in_file = self.document.iter().flat_map(|d| d.sections().into_iter().map(|(s, at)| (s, d.place(at))));
        let in_environment = self.overrides.iter().map(|o| (o.section.clone(), o.place()));
        for (section, place) in in_file.chain(in_environment) {
            if let Some(hint) = hint_for(&section) {
                return Err(ConfigError::UnknownSection { place, section, hint });
            }
        }
        Ok(())
    }

    fn file_section<T: Default + Serialize + DeserializeOwned>(&self, name: &str) -> Result<Option<T>, ConfigError> {
        let Some(document) = &self.document else { return Ok(None) };
        let Some(section) = document.section(name) else { return Ok(None) };
        let start = section.span().start;
        match read::<T, _>(ValueDeserializer::from(section)) {
            Ok((value, unknown)) => match unknown.first() {
                None => Ok(Some(value)),
                Some(path) => Err(unknown_key(&value, document.place_of_key(name, path), name, path)),
            },
            Err(error) => {
                let offset = error.span().map_or(start, |s| s.start);
                Err(misfit(document, name, offset, &one_line(error.message())))
            }
        }
    }

    /// The section's keys as they stand in the file.
    fn table(&self, name: &str) -> Table {
        use serde::Deserialize;
        let section = self.document.as_ref().and_then(|d| d.section(name));
        section.and_then(|s| Table::deserialize(ValueDeserializer::from(s)).ok()).unwrap_or_default()
    }
}

/// The value and table with one override in force.
fn apply<T: Default + Serialize + DeserializeOwned>(
    change: &Override,
    table: &Table,
) -> Result<(T, Table), ConfigError> {
    let value_error = |problem: String| ConfigError::Value {
        place: change.place(),
        section: change.section.clone(),
        key: change.path.join("."),
        problem,
    };
    let mut first_error = None;
    for reading in change.readings() {
        let Some(changed) = change.applied(table, reading) else {
            return Err(value_error("names no key: write PRESCALE__SECTION__KEY".to_owned()));
        };
        match read::<T, _>(Value::Table(changed.clone())) {
            Ok((value, unknown)) => match unknown.first() {
                None => return Ok((value, changed)),
                Some(path) => return Err(unknown_key(&value, change.place(), &change.section, path)),
            },
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    let problem = first_error.map(|e| one_line(e.message())).unwrap_or_default();
    let key = change.path.join(".");
    let is_key = |named: &str| key == named || key.ends_with(&format!(".{named}"));
    let told = problem.split_once(": ").filter(|(named, _)| is_key(named)).map(|(_, rest)| rest);
    Err(value_error(told.unwrap_or(&problem).to_owned()))
}

/// What does not fit, with its place. What a table says that is read with [`read_strictly`] begins with one of its keys,
/// or, where a section is read table by table, with one of the section's.
fn misfit(document: &Document, section: &str, offset: usize, message: &str) -> ConfigError {
    let (mut place, mut path) = (document.place(offset), document.path_at(section, offset));
    let mut problem = message;
    if let Some((key, rest)) = message.split_once(": ") {
        let named: Vec<String> = key.split('.').map(str::to_owned).collect();
        let readings = [([path.as_slice(), named.as_slice()].concat(), path.len()), (named, 0)];
        if let Some((named, _)) = readings.into_iter().find(|(named, at)| document.has_key(section, &named[..=*at])) {
            (place, problem) = (document.place_of_key(section, &named), rest);
            path = named;
        }
    }
    ConfigError::Value { place, section: section.to_owned(), key: path.join("."), problem: problem.to_owned() }
}

/// A value and the paths of the keys that it did not take.
fn read<'de, T, D>(deserializer: D) -> Result<(T, Vec<Vec<String>>), D::Error>
where
    T: DeserializeOwned,
    D: Deserializer<'de>,
{
    let mut unknown = Vec::new();
    let value = serde_ignored::deserialize(deserializer, |path| unknown.push(segments(&path)))?;
    Ok((value, unknown))
}

fn segments(path: &serde_ignored::Path<'_>) -> Vec<String> {
    use serde_ignored::Path;
    match path {
        Path::Root => Vec::new(),
        Path::Seq { parent, index } => [segments(parent), vec![index.to_string()]].concat(),
        Path::Map { parent, key } => [segments(parent), vec![key.clone()]].concat(),
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => segments(parent),
    }
}

/// The value that a table makes, with the defaults for what it leaves out.
///
/// # Errors
/// With the key that is not known and the nearest one, or the key whose value does not fit and what would.
pub fn read_strictly<T: Default + Serialize + DeserializeOwned>(table: &Table) -> Result<T, String> {
    let (value, unknown) = read::<T, _>(Value::Table(table.clone())).map_err(|e| with_key(&e))?;
    match unknown.first() {
        None => Ok(value),
        Some(path) => Err(format!("{}: unknown key, {}", path.join("."), hint_for(&value, path))),
    }
}

/// What is wrong, behind the key that is meant. The error gives its keys in its whole text alone, on a line of their own.
fn with_key(error: &toml::de::Error) -> String {
    let (problem, text) = (one_line(error.message()), error.to_string());
    match text.trim_end().strip_suffix('`').and_then(|text| text.rsplit_once("\nin `")) {
        Some((_, keys)) => format!("{keys}: {problem}"),
        None => problem,
    }
}

fn unknown_key<T: Serialize>(value: &T, place: String, section: &str, path: &[String]) -> ConfigError {
    ConfigError::UnknownKey { place, section: section.to_owned(), key: path.join("."), hint: hint_for(value, path) }
}

/// What an unknown key may have meant: one of those beside it in what was read, where tables stand under names that
/// only the file knows.
fn hint_for<T: Serialize>(read: &T, path: &[String]) -> String {
    let known = Value::try_from(read).unwrap_or_else(|_| Value::Table(Table::new()));
    let (last, parents) = path.split_last().map_or(("", path), |(last, parents)| (last.as_str(), parents));
    let siblings = parents.iter().try_fold(&known, |value, key| match value {
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        value => value.get(key),
    });
    let keys = siblings.and_then(Value::as_table).into_iter().flat_map(|t| t.keys().map(String::as_str));
    hint(last, keys)
}

fn one_line(message: &str) -> String {
    message.trim().replace('\n', ", ")
}

/// A section's keys with their defaults, each line commented out, for a configuration file to
/// begin with.
///
/// # Errors
/// When a default has no TOML form.
pub fn defaults_toml<T: Default + Serialize>(section: &str) -> Result<String, toml::ser::Error> {
    let mut document = Table::new();
    document.insert(section.to_owned(), Value::try_from(T::default())?);
    let text = toml::to_string(&document)?;
    let commented = text.lines().map(|line| match line {
        "" => "\n".to_owned(),
        header if header.starts_with('[') => format!("{header}\n"),
        key => format!("# {key}\n"),
    });
    Ok(commented.collect())
}
