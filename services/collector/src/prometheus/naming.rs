//! What a workload is called, by the labels of its series.

use anyhow::{Result, bail, ensure};
use std::str::FromStr;

/// Templates, of which the first counts whose labels are all there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Naming {
    first: Template,
    others: Vec<Template>,
}

impl Naming {
    /// Of these texts, the one that goes before the others first.
    ///
    /// # Errors
    /// When there is none, or one is no template.
    pub(crate) fn of(texts: &[String]) -> Result<Self> {
        let Some((first, others)) = texts.split_first() else { bail!("it is empty: name at least one label") };
        let others = others.iter().map(|text| text.parse()).collect::<Result<Vec<Template>>>()?;
        Ok(Self { first: first.parse()?, others })
    }

    /// The first template that can be filled with the labels' values, which `value` gives.
    ///
    /// # Errors
    /// With the names, in quotes, of the labels of which one at least would have to be there, as far as each template is
    /// wanting.
    pub(crate) fn filled<'l>(&self, value: impl Fn(&str) -> Option<&'l str>) -> Result<String, String> {
        let mut missing = Vec::new();
        for template in std::iter::once(&self.first).chain(&self.others) {
            match template.filled(&value) {
                Ok(name) => return Ok(name),
                Err(label) if missing.contains(&label) => {}
                Err(label) => missing.push(label),
            }
        }
        Err(missing.iter().map(|label| format!("{label:?}")).collect::<Vec<_>>().join(" or "))
    }
}

/// A text with labels in braces, as in `{namespace}/{owner_name}`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Label(String),
}

impl Template {
    /// The text with the labels' values in it, which `value` gives.
    ///
    /// # Errors
    /// With the name of a label that is missing or empty.
    fn filled<'l>(&self, value: impl Fn(&str) -> Option<&'l str>) -> Result<String, String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(fixed) => text += fixed,
                Part::Label(label) => {
                    text += value(label).filter(|value| !value.is_empty()).ok_or_else(|| label.clone())?;
                }
            }
        }
        Ok(text)
    }
}

impl FromStr for Template {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((fixed, behind)) = rest.split_once('{') {
            let Some((label, behind)) = behind.split_once('}') else { bail!("{text:?}: a brace is not closed") };
            let is_label = label.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
            ensure!(is_label, "{text:?}: {label:?} is no label");
            if !fixed.is_empty() {
                parts.push(Part::Text(fixed.to_owned()));
            }
            parts.push(Part::Label(label.to_owned()));
            rest = behind;
        }
        ensure!(!parts.is_empty(), "{text:?} names no label: all series would be one workload");
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn labels_stand_in_for_their_names() {
        let template: Template = "{namespace}/x/{owner_name}!".parse().unwrap();
        let filled = |owner: &'static str| {
            template.filled(|label| match label {
                "namespace" => Some("shop"),
                "owner_name" => Some(owner),
                _ => None,
            })
        };
        assert_eq!(filled("web").unwrap(), "shop/x/web!");
        assert_eq!(filled(""), Err("owner_name".to_owned()));
    }

    #[test]
    fn of_several_templates_the_first_counts_that_can_be_filled() {
        let texts = ["{ns}/Deployment/{k8s.deployment.name}", "{ns}/Job/{job-name}"].map(str::to_owned);
        let naming = Naming::of(&texts).unwrap();
        let filled = |labels: &[(&str, &'static str)]| {
            naming.filled(|label| labels.iter().find(|(name, _)| *name == label).map(|(_, value)| *value))
        };
        let (both, job) = ([("k8s.deployment.name", "web"), ("job-name", "nightly")], ("job-name", "nightly"));
        assert_eq!(filled(&[("ns", "shop"), both[0], both[1]]).unwrap(), "shop/Deployment/web");
        assert_eq!(filled(&[("ns", "shop"), job]).unwrap(), "shop/Job/nightly");
        assert_eq!(filled(&[("ns", "shop")]), Err("\"k8s.deployment.name\" or \"job-name\"".to_owned()));
        assert_eq!(filled(&[job]), Err("\"ns\"".to_owned()));
        assert!(Naming::of(&[]).is_err() && Naming::of(&["{a}".to_owned(), "b".to_owned()]).is_err());
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for (text, why) in [("{a", "not closed"), ("{1a}", "no label"), ("web", "names no label"), ("{}", "no label")] {
            assert!(text.parse::<Template>().unwrap_err().to_string().contains(why), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a-z{}/]{0,12}") {
            let _ = text.parse::<Template>();
        }
    }
}
