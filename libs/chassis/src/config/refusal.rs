//! What a refusal of the configuration names: ranges and contradictions are checked where nobody knows the file, so
//! that its line is found by the sections and keys in the text.

/// The sections that a text begins with, such as `[planner.for.web]`, and the keys that follow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusal<'a> {
    /// Dotted, as in the text.
    pub(crate) sections: Vec<&'a str>,
    /// Dotted within one of the sections, or the last part alone, in the order of the text.
    pub(crate) keys: Vec<&'a str>,
}

impl<'a> Refusal<'a> {
    /// Reads `[SECTION], then [SECTION] ... KEY is VALUE: ...`. A key is a word before `:`, `=` or `is`, and each that
    /// has an underscore.
    pub(crate) fn read(text: &'a str) -> Self {
        let (mut sections, mut rest) = (Vec::new(), text);
        while let Some((section, behind)) = rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
            sections.push(section);
            rest = behind.strip_prefix(", then ").unwrap_or(behind);
        }
        let mut keys = Vec::new();
        let mut words = rest.split_whitespace().peekable();
        while let Some(word) = words.next() {
            let is_key = word.contains('_') || word.ends_with(':') || matches!(words.peek(), Some(&"is" | &"="));
            let key = word.trim_matches(|c: char| !(c.is_alphanumeric() || c == '_'));
            if is_key && key.starts_with(char::is_alphabetic) {
                keys.push(key);
            }
        }
        Self { sections, keys }
    }

    /// Whether it may be about that key of a section.
    pub(crate) fn is_about(&self, section: &str, path: &[String]) -> bool {
        let dotted = format!("{section}.{}", path.join("."));
        let within = |of: &&str| dotted.strip_prefix(*of).and_then(|key| key.strip_prefix('.')).map(str::to_owned);
        let is_key = |path: String| self.keys.iter().any(|key| path == *key || path.ends_with(&format!(".{key}")));
        self.sections.iter().filter_map(within).any(is_key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_and_keys_are_read_from_the_text() {
        let read =
            Refusal::read("[planner.for.a], then [planner.for.b] does not make sense: replicas_max is 3: give 5");
        assert_eq!(read.sections, ["planner.for.a", "planner.for.b"]);
        assert_eq!(read.keys, ["sense", "replicas_max"]);
        assert!(read.is_about("planner", &["for", "a", "guardrails", "replicas_max"].map(str::to_owned)));
        assert!(!read.is_about("planner", &["for", "c", "guardrails", "replicas_max"].map(str::to_owned)));
        let range = Refusal::read("[grouper] patience_s = 299: 300 to 86400 are possible");
        assert_eq!((range.sections, range.keys), (vec!["grouper"], vec!["patience_s"]));
        assert!(!Refusal::read("there is nothing to collect").is_about("collector", &["there".to_owned()]));
    }
}
