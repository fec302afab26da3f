//! What a stage's state was made by: what gives it its shape, and what only led to it. A change of the configuration
//! so keeps what it does not concern, and what has to be made again can be named.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Display, Formatter};

/// Begins the line of a setting that led to the state without shaping it.
const TERM: char = '~';

/// Names a state's layout and what of the configuration the state depends on. Its text is
/// [`crate::StageFactory::state_schema`]: the layout, then a line for each setting. A text of one line is a layout alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateSchema {
    layout: String,
    shape: BTreeMap<String, String>,
    terms: BTreeMap<String, String>,
}

/// A setting that a stored state was made by and that is another one now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingChange {
    /// Its name; `layout` for the layout.
    pub name: String,
    /// As the state was made.
    pub before: String,
    /// As it is now.
    pub now: String,
}

impl StateSchema {
    /// A layout of the state of the stage of this name.
    pub fn of(stage: &str, layout: u32) -> Self {
        Self { layout: format!("{stage} {layout}"), shape: BTreeMap::new(), terms: BTreeMap::new() }
    }

    /// With a setting without which the state cannot be read or would be wrong: under another value it is made again.
    /// Where only one of two schemas names a setting, that is no difference: so a part of a state that comes or goes
    /// leaves the others as they are.
    #[must_use]
    pub fn shaped_by(mut self, name: &str, value: impl Display) -> Self {
        self.shape.insert(in_one_line(name), in_one_line(&value.to_string()));
        self
    }

    /// With a setting that led to what is remembered, which stays as it is under another value.
    #[must_use]
    pub fn made_under(mut self, name: &str, value: impl Display) -> Self {
        self.terms.insert(in_one_line(name), in_one_line(&value.to_string()));
        self
    }

    /// As [`Self::made_under`], of settings that are too many to be shown: a checksum stands for them.
    #[must_use]
    pub fn made_under_all_of(self, name: &str, settings: &impl Debug) -> Self {
        let checksum = crc32fast::hash(format!("{settings:?}").as_bytes());
        self.made_under(name, format!("{checksum:08x}"))
    }

    /// Why a state of this schema has to be made again where `now` is wanted; empty where it can be used.
    pub fn changes_of_shape(&self, now: &Self) -> Vec<SettingChange> {
        let layout = (self.layout != now.layout).then(|| SettingChange {
            name: "layout".to_owned(),
            before: self.layout.clone(),
            now: now.layout.clone(),
        });
        layout.into_iter().chain(changes(&self.shape, &now.shape)).collect()
    }

    /// A checksum of the settings that led to the state without shaping it.
    pub(crate) fn terms_checksum(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        for (name, value) in &self.terms {
            hasher.update(format!("{name} = {value}\n").as_bytes());
        }
        hasher.finalize()
    }

    /// Under which other settings a state of this schema was made than `now` has, though it can be used.
    pub fn changes_of_terms(&self, now: &Self) -> Vec<SettingChange> {
        changes(&self.terms, &now.terms).collect()
    }
}

fn changes<'a>(
    before: &'a BTreeMap<String, String>,
    now: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = SettingChange> + 'a {
    before.iter().filter_map(move |(name, before)| {
        let now = now.get(name).filter(|now| *now != before)?;
        Some(SettingChange { name: name.clone(), before: before.clone(), now: now.clone() })
    })
}

fn in_one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

impl Display for StateSchema {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.layout)?;
        for (name, value) in &self.shape {
            write!(f, "\n{name} = {value}")?;
        }
        for (name, value) in &self.terms {
            write!(f, "\n{TERM}{name} = {value}")?;
        }
        Ok(())
    }
}

impl From<&str> for StateSchema {
    fn from(text: &str) -> Self {
        let mut lines = text.lines();
        let mut schema = Self {
            layout: lines.next().unwrap_or_default().to_owned(),
            shape: BTreeMap::new(),
            terms: BTreeMap::new(),
        };
        for line in lines {
            let (name, value) = line.split_once(" = ").unwrap_or((line, ""));
            let (name, among) = match name.strip_prefix(TERM) {
                Some(name) => (name, &mut schema.terms),
                None => (name, &mut schema.shape),
            };
            among.insert(name.to_owned(), value.to_owned());
        }
        schema
    }
}

impl Display for SettingChange {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { name, before, now } = self;
        write!(f, "{name} was {before:?} and is {now:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> StateSchema {
        StateSchema::of("counter", 3).shaped_by("window_s", 3600).shaped_by("model a", "x\ny").made_under("rules", "r1")
    }

    fn names(changes: &[SettingChange]) -> Vec<&str> {
        changes.iter().map(|change| change.name.as_str()).collect()
    }

    #[test]
    fn its_text_can_be_read_back() {
        let text = schema().to_string();
        assert_eq!(text, "counter 3\nmodel a = x y\nwindow_s = 3600\n~rules = r1");
        assert_eq!(StateSchema::from(text.as_str()), schema());
        assert_eq!(StateSchema::from("counter-1").to_string(), "counter-1");
        assert_eq!(StateSchema::from("").to_string(), "");
    }

    #[test]
    fn another_layout_and_another_shape_are_named() {
        assert_eq!(schema().changes_of_shape(&schema()), []);
        let other = StateSchema::of("counter", 4).shaped_by("window_s", 60);
        let changes = schema().changes_of_shape(&other);
        assert_eq!(names(&changes), ["layout", "window_s"]);
        assert_eq!(changes[1].to_string(), "window_s was \"3600\" and is \"60\"");
        assert_eq!(names(&StateSchema::from("a-1").changes_of_shape(&StateSchema::from("a-2"))), ["layout"]);
    }

    #[test]
    fn what_comes_or_goes_and_other_terms_shape_nothing() {
        let other = StateSchema::of("counter", 3).shaped_by("model b", "z").made_under("rules", "r2");
        assert_eq!(schema().changes_of_shape(&other), []);
        assert_eq!(other.changes_of_shape(&schema()), []);
        assert_eq!(names(&schema().changes_of_terms(&other)), ["rules"]);
        assert_eq!(schema().changes_of_terms(&schema()), []);
        let reshaped = StateSchema::of("counter", 4).made_under("rules", "r1");
        assert_eq!(schema().terms_checksum(), reshaped.terms_checksum());
        assert_ne!(schema().terms_checksum(), other.terms_checksum());
        let under = |rules: &[f64]| StateSchema::of("counter", 3).made_under_all_of("rules", &rules);
        assert_eq!(under(&[1.0, 2.0]), under(&[1.0, 2.0]));
        assert_eq!(names(&under(&[1.0, 2.0]).changes_of_terms(&under(&[1.0, 2.5]))), ["rules"]);
    }
}
