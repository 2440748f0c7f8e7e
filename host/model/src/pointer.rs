//! Pointers into objects, as projections of lists use them.

use serde_json::Value;

/// The value at an RFC 6901 pointer. On an array a step may also be `key=value`: the first element whose member `key`
/// is that string, number or boolean (`/status/conditions/type=Ready/status`).
pub fn find<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    if pointer.is_empty() {
        return Some(value);
    }
    pointer.strip_prefix('/')?.split('/').try_fold(value, step)
}

fn step<'a>(value: &'a Value, token: &str) -> Option<&'a Value> {
    match value {
        Value::Object(members) if token.contains('~') => members.get(&token.replace("~1", "/").replace("~0", "~")),
        Value::Object(members) => members.get(token),
        Value::Array(elements) => match token.split_once('=') {
            Some((key, wanted)) => elements.iter().find(|element| element.get(key).is_some_and(|v| reads(v, wanted))),
            None => elements.get(token.parse::<usize>().ok()?),
        },
        _ => None,
    }
}

fn reads(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text == wanted,
        Value::Bool(flag) => wanted == if *flag { "true" } else { "false" },
        Value::Number(number) => number.to_string() == wanted,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn finds_what_a_pointer_names() {
        let pod = json!({
            "metadata": {"annotations": {"a.io/b": "c"}, "ownerReferences": [{"uid": "1"}, {"uid": "2", "controller": true}]},
            "status": {"conditions": [{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": "False"}]},
        });
        for (pointer, wanted) in [
            ("/metadata/annotations/a.io~1b", Some(json!("c"))),
            ("/metadata/ownerReferences/0/uid", Some(json!("1"))),
            ("/metadata/ownerReferences/controller=true/uid", Some(json!("2"))),
            ("/status/conditions/type=Ready/status", Some(json!("False"))),
            ("/status/conditions/type=Gone/status", None),
            ("/status/conditions/7", None),
            ("/status/conditions/type", None),
            ("/status/phase", None),
            ("status", None),
            ("", Some(pod.clone())),
        ] {
            assert_eq!(find(&pod, pointer), wanted.as_ref(), "{pointer}");
        }
    }
}
