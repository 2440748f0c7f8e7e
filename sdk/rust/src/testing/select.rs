//! Label and field selectors in the syntax of queries.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::api::{LabelSelector, LabelSelectorRequirement};
use crate::{Error, Result};

/// Reads `app=web,tier in (a,b),!old`.
pub fn labels(text: &str) -> Result<LabelSelector> {
    let match_expressions = split(text).into_iter().map(requirement).collect::<Result<_>>()?;
    Ok(LabelSelector { match_labels: BTreeMap::new(), match_expressions })
}

fn requirement(part: &str) -> Result<LabelSelectorRequirement> {
    let make = |key: &str, operator: &str, values: &str| LabelSelectorRequirement {
        key: key.trim().to_string(),
        operator: operator.to_string(),
        values: values.split(',').map(|v| v.trim().to_string()).collect(),
    };
    let inside = |list: &str| list.trim().strip_prefix('(').and_then(|l| l.strip_suffix(')')).map(String::from);
    let made = if let Some((key, list)) = part.split_once(" notin ") {
        inside(list).map(|list| make(key, "NotIn", &list))
    } else if let Some((key, list)) = part.split_once(" in ") {
        inside(list).map(|list| make(key, "In", &list))
    } else if let Some((key, value)) = part.split_once("!=") {
        Some(make(key, "NotIn", value))
    } else if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        Some(make(key, "In", value))
    } else if let Some(key) = part.strip_prefix('!') {
        Some(make(key, "DoesNotExist", ""))
    } else {
        Some(make(part, "Exists", ""))
    };
    made.filter(|r| !r.key.is_empty() && !r.key.contains(['(', ')', ' ']))
        .ok_or_else(|| Error::invalid(format!("label selector: can't read {part:?}")))
}

/// At commas outside of parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0;
    let parts = text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// Does the object have the fields that `metadata.name=x,status.phase!=Failed` asks for?
pub fn fields(selector: &str, object: &Value) -> Result<bool> {
    split(selector).into_iter().try_fold(true, |all, part| {
        let (path, wanted, equal) = if let Some((path, wanted)) = part.split_once("!=") {
            (path, wanted, false)
        } else if let Some((path, wanted)) = part.split_once("==").or_else(|| part.split_once('=')) {
            (path, wanted, true)
        } else {
            return Err(Error::invalid(format!("field selector: can't read {part:?}")));
        };
        let found = object.pointer(&format!("/{}", path.trim().replace('.', "/")));
        let found = match found {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        Ok(all && (found == wanted.trim()) == equal)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn label_selectors() {
        let have = BTreeMap::from([("app".to_string(), "web".to_string()), ("tier".to_string(), "a".to_string())]);
        for (text, expected) in [
            ("", true),
            ("app=web", true),
            ("app==web,tier in (a,b)", true),
            ("app!=web", false),
            ("app!=db", true),
            ("tier notin (a, b)", false),
            ("!old", true),
            ("!app", false),
            ("app", true),
            ("old", false),
        ] {
            assert_eq!(labels(text).unwrap().matches(&have), expected, "{text}");
            let again = labels(text).unwrap().to_string();
            assert_eq!(labels(&again).unwrap().matches(&have), expected, "{again}");
        }
        assert!(labels("a in b").is_err());
        assert!(labels("=x").is_err());
    }

    #[test]
    fn field_selectors() {
        let pod = json!({"metadata": {"name": "a"}, "spec": {"hostNetwork": true}});
        for (text, expected) in [
            ("metadata.name=a", true),
            ("metadata.name!=a", false),
            ("spec.nodeName=", true),
            ("spec.hostNetwork=true,metadata.name==a", true),
        ] {
            assert_eq!(fields(text, &pod).unwrap(), expected, "{text}");
        }
        assert!(fields("metadata.name", &pod).is_err());
    }
}
