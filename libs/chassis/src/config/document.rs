//! The configuration file with the places of its keys.

use super::ConfigError;
use super::refusal::Refusal;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A parsed file. The text is kept, and parsed anew where spans are needed.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    path: PathBuf,
    text: String,
}

impl Document {
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| ConfigError::Unreadable { path: path.to_owned(), problem: e.to_string() })?;
        Self::parse(path, text)
    }

    pub(crate) fn parse(path: &Path, text: String) -> Result<Self, ConfigError> {
        let document = Self { path: path.to_owned(), text };
        let tables = match DeTable::parse(&document.text) {
            Ok(tables) => tables.into_inner(),
            Err(error) => {
                let place = document.place(error.span().map_or(0, |s| s.start));
                return Err(ConfigError::Syntax { place, problem: error.message().to_owned() });
            }
        };
        for (key, value) in &tables {
            if !value.get_ref().is_table() {
                let place = document.place(key.span().start);
                let problem = format!("key {:?} stands outside any [section]", key.get_ref());
                return Err(ConfigError::Syntax { place, problem });
            }
        }
        drop(tables);
        Ok(document)
    }

    /// `file:line` of a byte offset.
    pub(crate) fn place(&self, offset: usize) -> String {
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        let line = 1 + before.iter().filter(|b| **b == b'\n').count();
        format!("{}:{line}", self.path.display())
    }

    fn tables(&self) -> DeTable<'_> {
        DeTable::parse(&self.text).map(Spanned::into_inner).unwrap_or_default()
    }

    /// Names of the sections with their offsets.
    pub(crate) fn sections(&self) -> Vec<(String, usize)> {
        self.tables().iter().map(|(key, _)| (key.get_ref().to_string(), key.span().start)).collect()
    }

    /// One section, with spans into the file.
    pub(crate) fn section(&self, name: &str) -> Option<Spanned<DeValue<'_>>> {
        self.tables().into_iter().find_map(|(key, value)| (key.get_ref() == name).then_some(value))
    }

    /// `file:line` of a key of a section; of the nearest one above it that can be found.
    pub(crate) fn place_of_key(&self, section: &str, path: &[String]) -> String {
        let tables = self.tables();
        let mut table = Some(&tables);
        let mut offset = 0;
        for wanted in std::iter::once(section).chain(path.iter().map(String::as_str)) {
            let found = table.and_then(|t| t.iter().find(|(key, _)| key.get_ref() == wanted));
            let Some((key, value)) = found else { break };
            offset = key.span().start;
            table = value.get_ref().as_table();
        }
        self.place(offset)
    }

    /// Path, within the section, of the innermost key whose value holds the offset.
    pub(crate) fn path_at(&self, section: &str, offset: usize) -> Vec<String> {
        let found = self.section(section).and_then(|v| path_at(v.get_ref().as_table()?, offset));
        found.unwrap_or_default()
    }

    /// `file:line` of what a refusal is about: the first of its keys that the file has in one of its sections, the last
    /// of these first; else the last section that the file has.
    pub(crate) fn place_of_refusal(&self, refusal: &Refusal<'_>) -> Option<String> {
        let tables = self.tables();
        let sections: Vec<_> = refusal.sections.iter().rev().filter_map(|section| at(&tables, section)).collect();
        let in_sections = |key: &&str| {
            let mut tables = sections.iter().filter_map(|(_, section)| section.as_table());
            tables.find_map(|table| offset_of(table, key))
        };
        let offset = refusal.keys.iter().find_map(in_sections).or(sections.first().map(|found| found.0))?;
        Some(self.place(offset))
    }

    /// Whether a section has a key.
    pub(crate) fn has_key(&self, section: &str, path: &[String]) -> bool {
        self.section(section).is_some_and(|v| v.get_ref().as_table().is_some_and(|table| has_key(table, path)))
    }
}

/// Offset and value of what stands at a dotted path. A name may have dots of its own.
fn at<'t, 'i>(table: &'t DeTable<'i>, dotted: &str) -> Option<(usize, &'t DeValue<'i>)> {
    table.iter().find_map(|(key, value)| match dotted.strip_prefix(&**key.get_ref())? {
        "" => Some((key.span().start, value.get_ref())),
        deeper => at(value.get_ref().as_table()?, deeper.strip_prefix('.')?),
    })
}

/// Offset of a key at that dotted path, or of the only one of that name further down. What holds other keys is none.
fn offset_of(table: &DeTable<'_>, key: &str) -> Option<usize> {
    if let Some((offset, value)) = at(table, key)
        && !value.is_table()
    {
        return Some(offset);
    }
    let mut found = Vec::new();
    named(table, key, &mut found);
    (found.len() == 1).then(|| found[0])
}

fn named(table: &DeTable<'_>, name: &str, found: &mut Vec<usize>) {
    for (key, value) in table {
        match value.get_ref().as_table() {
            Some(deeper) => named(deeper, name, found),
            None if &**key.get_ref() == name => found.push(key.span().start),
            None => {}
        }
    }
}

fn has_key(table: &DeTable<'_>, path: &[String]) -> bool {
    let Some((wanted, deeper)) = path.split_first() else { return true };
    let found = table.iter().find(|(key, _)| key.get_ref() == wanted.as_str());
    let Some((_, value)) = found else { return false };
    deeper.is_empty() || value.get_ref().as_table().is_some_and(|table| has_key(table, deeper))
}

fn path_at(table: &DeTable<'_>, offset: usize) -> Option<Vec<String>> {
    table.iter().find_map(|(key, value)| {
        let name = key.get_ref().to_string();
        let deeper = value.get_ref().as_table().and_then(|t| path_at(t, offset));
        match deeper {
            Some(mut path) => {
                path.insert(0, name);
                Some(path)
            }
            None => (value.span().contains(&offset) || key.span().contains(&offset)).then(|| vec![name]),
        }
    })
}
