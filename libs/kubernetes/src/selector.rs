//! Selectors of labels as an API server's queries have them.

use serde_json::Value;

/// The selector of an object (`spec.selector`) as text; `None` where it selects nothing, or cannot be written.
pub fn text_of(selector: &Value) -> Option<String> {
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let mut parts: Vec<String> =
        labels.map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect::<Option<_>>()?;
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str()?;
        let values: Vec<&str> =
            expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let values = values.join(",");
        parts.push(match expression["operator"].as_str()? {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        });
    }
    (!parts.is_empty()).then(|| parts.join(","))
}

/// Text as the value of a parameter of a query.
pub fn encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_selector_is_written_as_queries_have_it() {
        let selector = json!({
            "matchLabels": {"app": "web", "tier": "front"},
            "matchExpressions": [
                {"key": "zone", "operator": "In", "values": ["a", "b"]},
                {"key": "zone", "operator": "NotIn", "values": ["c"]},
                {"key": "live", "operator": "Exists"},
                {"key": "old", "operator": "DoesNotExist"},
            ],
        });
        assert_eq!(text_of(&selector).unwrap(), "app=web,tier=front,zone in (a,b),zone notin (c),live,!old");
        assert_eq!(text_of(&json!({})), None, "it would select everything");
        assert_eq!(text_of(&json!({"matchExpressions": [{"key": "a", "operator": "Gt"}]})), None);
        assert_eq!(encoded("app=web,zone in (a)"), "app%3Dweb%2Czone%20in%20%28a%29");
    }
}
