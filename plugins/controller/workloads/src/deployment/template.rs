//! Pod templates: when two are the same, and the hash that names a ReplicaSet after one.

use std::hash::Hasher;

use fnv::FnvHasher;
use gantry_sdk::Value;

/// The label that tells the pods of one template from those of another.
pub const HASH_LABEL: &str = "pod-template-hash";

/// Maps for which "empty" means the same as "absent". Other empty objects mean something (`emptyDir: {}`).
const PLAIN_MAPS: [&str; 10] = [
    "annotations",
    "labels",
    "limits",
    "matchLabels",
    "metadata",
    "nodeSelector",
    "overhead",
    "requests",
    "resources",
    "securityContext",
];

/// Letters and digits that make no words and are not taken for each other.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Whether two templates make the same pods, whatever the hash label says.
pub fn same(a: &Value, b: &Value) -> bool {
    canonical(a) == canonical(b)
}

/// Ten characters that are the same for the same template and the same number of collisions.
pub fn hash(template: &Value, collisions: i64) -> String {
    let mut hasher = Fnv::default();
    hasher.value(&canonical(template));
    hasher.bytes(&collisions.to_be_bytes());
    let mut rest = hasher.0.finish();
    let mut digit = || {
        let index = usize::try_from(rest % 27).unwrap_or(0);
        rest /= 27;
        ALPHABET.get(index).copied().map_or('b', char::from)
    };
    std::iter::repeat_with(&mut digit).take(10).collect()
}

/// The template without its hash label and without members that say nothing.
fn canonical(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(HASH_LABEL);
    }
    prune(&mut template);
    template
}

fn prune(value: &mut Value) {
    match value {
        Value::Object(members) => members.retain(|name, member| {
            prune(member);
            !blank(name, member)
        }),
        Value::Array(elements) => elements.iter_mut().for_each(prune),
        _ => {}
    }
}

fn blank(name: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(elements) => elements.is_empty(),
        Value::Object(members) => members.is_empty() && PLAIN_MAPS.contains(&name),
        _ => false,
    }
}

/// FNV over a JSON value, members in the order of their names.
#[derive(Default)]
struct Fnv(FnvHasher);

impl Fnv {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Object(members) => {
                let mut names: Vec<_> = members.keys().collect();
                names.sort_unstable();
                self.bytes(b"{");
                for name in names {
                    self.text(name);
                    members.get(name).into_iter().for_each(|member| self.value(member));
                }
                self.bytes(b"}");
            }
            Value::Array(elements) => {
                self.bytes(b"[");
                elements.iter().for_each(|element| self.value(element));
                self.bytes(b"]");
            }
            Value::String(text) => self.text(text),
            plain => {
                self.bytes(b"#");
                self.text(&plain.to_string());
            }
        }
    }

    /// With its length in front: otherwise `ab`, `c` and `a`, `bc` were the same.
    fn text(&mut self, text: &str) {
        self.bytes(&text.len().to_be_bytes());
        self.bytes(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_sdk::json;

    #[test]
    fn what_says_nothing_makes_no_difference() {
        let plain = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c"}]}});
        for other in [
            json!({"metadata": {"labels": {"app": "web", "pod-template-hash": "x"}}, "spec": {"containers": [{"name": "c"}]}}),
            json!({"metadata": {"creationTimestamp": null, "labels": {"app": "web"}}, "spec": {"containers": [{"name": "c"}]}}),
            json!({"metadata": {"labels": {"app": "web"}, "annotations": {}}, "spec": {"containers": [{"name": "c", "resources": {"limits": {}}, "env": []}]}}),
        ] {
            assert!(same(&plain, &other), "{other}");
            assert_eq!(hash(&plain, 0), hash(&other, 0));
        }
        for other in [
            json!({"metadata": {"labels": {"app": "web", "tier": "a"}}, "spec": {"containers": [{"name": "c"}]}}),
            json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "d"}]}}),
            json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c"}], "volumes": [{"emptyDir": {}}]}}),
        ] {
            assert!(!same(&plain, &other), "{other}");
            assert_ne!(hash(&plain, 0), hash(&other, 0));
        }
        let (with, without) = (json!({"volumes": [{"emptyDir": {}}]}), json!({"volumes": [{}]}));
        assert!(!same(&with, &without));
    }

    #[test]
    fn hashes_are_safe_in_names_and_stay_as_they_are() {
        let template = json!({"metadata": {"labels": {"app": "web"}}});
        let name = hash(&template, 0);
        assert_eq!(name.len(), 10);
        assert!(name.bytes().all(|b| ALPHABET.contains(&b)));
        assert_ne!(name, hash(&template, 1));
        // A release that changes this renames every ReplicaSet that collides later: it must not happen unnoticed.
        assert_eq!(name, "h5xq8hm9zb");
    }
}
