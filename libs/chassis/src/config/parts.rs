//! Tables of configuration whose types only their owners know, and sections that have one for each entry of a list.

use super::loader::read_strictly;
use super::nearest::hint;
use serde::de::DeserializeOwned;
use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use toml::{Table, Value};

/// What a table of configuration can be: it and the structs in it need `#[serde(default)]`.
pub trait PartType: Any + Debug + Default + PartialEq + Serialize + DeserializeOwned + Send + Sync {}

impl<C: Any + Debug + Default + PartialEq + Serialize + DeserializeOwned + Send + Sync> PartType for C {}

/// The name and the type of a table.
#[derive(Clone, Copy)]
pub struct PartKind {
    name: &'static str,
    default: fn() -> Part,
    read: fn(&Table) -> Result<Part, String>,
}

/// Tables by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parts(BTreeMap<&'static str, Part>);

#[derive(Clone, Debug)]
struct Part(Arc<dyn AnyPart>);

trait AnyPart: Debug + Send + Sync {
    fn shown(&self) -> Result<Value, toml::ser::Error>;
    fn as_any(&self) -> &dyn Any;
    fn is(&self, other: &dyn Any) -> bool;
}

impl<C: PartType> AnyPart for C {
    fn shown(&self) -> Result<Value, toml::ser::Error> {
        Value::try_from(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn is(&self, other: &dyn Any) -> bool {
        other.downcast_ref::<C>() == Some(self)
    }
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_ref().is(other.0.as_ref().as_any())
    }
}

impl PartKind {
    /// A table of that name, read as a `C`.
    pub const fn of<C: PartType>(name: &'static str) -> Self {
        Self { name, default: default_of::<C>, read: read_as::<C> }
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

fn default_of<C: PartType>() -> Part {
    Part(Arc::new(C::default()))
}

fn read_as<C: PartType>(table: &Table) -> Result<Part, String> {
    Ok(Part(Arc::new(read_strictly::<C>(table)?)))
}

impl Parts {
    /// A table of each kind, with its defaults.
    pub fn defaults(kinds: impl IntoIterator<Item = PartKind>) -> Self {
        Self(kinds.into_iter().map(|kind| (kind.name, (kind.default)())).collect())
    }

    /// A table of each kind, as they stand in `section`, with defaults for what it leaves out.
    ///
    /// # Errors
    /// With the key that does not fit, or that is the name of none, and the nearest one. Names `beside` them are given
    /// then as well.
    pub fn read(kinds: &[PartKind], beside: &[&str], section: &Table) -> Result<Self, String> {
        let names: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
        if let Some(key) = section.keys().find(|key| !names.contains(&key.as_str())) {
            let known = names.iter().chain(beside).copied();
            return Err(format!("{key}: unknown key, {}", hint(key, known)));
        }
        let part = |kind: &PartKind| match section.get(kind.name) {
            None => Ok((kind.name, (kind.default)())),
            Some(Value::Table(table)) => {
                let part = (kind.read)(table).map_err(|problem| below(kind.name, table, &problem))?;
                Ok((kind.name, part))
            }
            Some(_) => Err(format!("{}: it has keys of its own: give a table", kind.name)),
        };
        Ok(Self(kinds.iter().map(part).collect::<Result<_, String>>()?))
    }

    /// Keeps a table under a name.
    pub fn put<C: PartType>(&mut self, name: &'static str, part: C) {
        self.0.insert(name, Part(Arc::new(part)));
    }

    /// The table of that name; `None` where there is none, or it is no `C`.
    pub fn get<C: Any>(&self, name: &str) -> Option<&C> {
        self.0.get(name)?.0.as_ref().as_any().downcast_ref()
    }

    /// The table of that name as TOML, without secrets; `None` where there is none.
    ///
    /// # Errors
    /// When it has no TOML form.
    pub fn shown(&self, name: &str) -> Result<Option<Value>, toml::ser::Error> {
        self.0.get(name).map(|part| part.0.as_ref().shown()).transpose()
    }
}

/// A problem that begins with a key of the table, as one that begins with a key of what the table stands in.
fn below(name: &str, table: &Table, problem: &str) -> String {
    let key = problem.split_once(": ").and_then(|(keys, _)| keys.split('.').next());
    match key {
        Some(key) if table.contains_key(key) => format!("{name}.{problem}"),
        _ => format!("{name}: {problem}"),
    }
}

impl Serialize for Parts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tables = self.0.iter().map(|(name, part)| part.0.as_ref().shown().map(|table| (*name, table)));
        let shown: Result<BTreeMap<&str, Value>, toml::ser::Error> = tables.collect();
        shown.map_err(S::Error::custom)?.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ConfigError, Loader};
    use super::*;
    use serde::Deserialize;
    use std::path::Path;

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default)]
    struct Lamp {
        watts: u32,
        bulb: Bulb,
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default)]
    struct Bulb {
        colour: String,
    }

    const KINDS: [PartKind; 2] = [PartKind::of::<Lamp>("hall"), PartKind::of::<Bulb>("attic")];

    /// All of a section's tables follow from the list.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(try_from = "Table")]
    struct House(Parts);

    impl Default for House {
        fn default() -> Self {
            Self(Parts::defaults(KINDS))
        }
    }

    impl TryFrom<Table> for House {
        type Error = String;

        fn try_from(table: Table) -> Result<Self, String> {
            Parts::read(&KINDS, &[], &table).map(Self)
        }
    }

    /// So do some of them, beside keys that the section has anyway.
    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default)]
    struct Street {
        houses: u32,
        gate: Bulb,
        #[serde(flatten)]
        lit: House,
    }

    fn read<T: PartType>(text: &str, environment: &[(&str, &str)]) -> Result<T, ConfigError> {
        let environment = environment.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        Loader::from_text(Path::new("prescale.toml"), text, environment)?.section("house")
    }

    #[test]
    fn each_table_is_read_as_its_type_with_its_defaults() {
        let text = "[house.attic]\ncolour = \"red\"\n";
        let House(parts) = read(text, &[("PRESCALE__HOUSE__HALL__WATTS", "7")]).unwrap();
        assert_eq!(parts.get("hall"), Some(&Lamp { watts: 7, ..Lamp::default() }));
        assert_eq!(parts.get("attic"), Some(&Bulb { colour: "red".to_owned() }));
        assert_eq!((parts.get::<Bulb>("hall"), parts.get::<Lamp>("cellar")), (None, None));
        let shown = toml::to_string(&House(parts)).unwrap();
        assert!(shown.contains("[attic]\ncolour = \"red\"\n"), "{shown}");
        assert_eq!(read::<House>("", &[]).unwrap(), House::default());
        let street: Street = read("[house]\nhouses = 3\n[house.hall]\nwatts = 5\n", &[]).unwrap();
        assert_eq!((street.houses, street.lit.0.get("hall")), (3, Some(&Lamp { watts: 5, ..Lamp::default() })));
    }

    #[test]
    fn what_is_wrong_is_named_by_place_and_key() {
        let cases = [
            ("[house.attic]\n[house.hall]\nwatt = 1\n", 3, "hall.watt: unknown key, did you mean \"watts\"?"),
            ("[house.attic]\n[house.hall]\nwatts = -1\n", 3, "hall.watts: invalid value"),
            ("[house.hall.bulb]\ncolor = \"red\"\n", 2, "hall.bulb.color: unknown key, did you mean \"colour\"?"),
            ("[house.hall]\n[house.atic]\n", 2, "atic: unknown key, did you mean \"attic\"?"),
            ("[house]\nhall = 5\n", 2, "hall: it has keys of its own: give a table"),
        ];
        for (text, line, problem) in cases {
            let expected = format!("prescale.toml:{line}: [house] {problem}");
            let error = read::<House>(text, &[]).unwrap_err().to_string();
            assert!(error.starts_with(&expected), "{error}, not {expected}");
            let error = read::<Street>(text, &[]).unwrap_err().to_string();
            assert!(error.starts_with(&expected), "{error}, not {expected}");
        }
        let error = read::<Street>("[house.gate]\ncolor = \"red\"\n", &[]).unwrap_err().to_string();
        assert_eq!(error, "prescale.toml:2: [house] gate.color: unknown key, did you mean \"colour\"?");
        let error = read::<House>("", &[("PRESCALE__HOUSE__HALL__WATTS", "many")]).unwrap_err().to_string();
        assert!(error.contains("PRESCALE__HOUSE__HALL__WATTS: [house] hall.watts: invalid type"), "{error}");
    }
}
