//! Workloads: how one is called, and how its owner says that it is meant.

use serde_json::Value;

/// Label or annotation of a workload that is meant: `"true"`.
pub const ENABLED: &str = "prescale.io/enabled";

/// Its id: that of all KPIs, actions and records about it.
pub fn id(namespace: &str, kind: &str, name: &str) -> String {
    format!("{namespace}/{kind}/{name}")
}

/// Whether a workload is meant, by its metadata: the label, or where there is none, the annotation.
pub fn is_enabled(metadata: &Value) -> bool {
    let said = metadata["labels"][ENABLED].as_str().or_else(|| metadata["annotations"][ENABLED].as_str());
    said == Some("true")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_label_goes_before_an_annotation() {
        let said = |label: &str, annotation: &str| {
            is_enabled(&json!({"labels": {ENABLED: label}, "annotations": {ENABLED: annotation}}))
        };
        assert!(said("true", "false") && !said("false", "true"));
        assert!(is_enabled(&json!({"annotations": {ENABLED: "true"}})) && !is_enabled(&json!({})));
    }
}
