//! Attributes of container instances are labels of nodes: those that ECS gives every instance are Kubernetes' labels for
//! the same things, all others have the same name.

use std::collections::BTreeMap;

/// ECS's names, and the labels that say the same.
const BUILT_IN: [(&str, &str); 4] = [
    ("ecs.availability-zone", "topology.kubernetes.io/zone"),
    ("ecs.cpu-architecture", "kubernetes.io/arch"),
    ("ecs.instance-type", "node.kubernetes.io/instance-type"),
    ("ecs.os-type", "kubernetes.io/os"),
];
/// Nobody gives attributes these names but ECS.
const RESERVED: &str = "ecs.";
/// The longest part of a label.
const LABEL: usize = 63;

/// A node's attributes. Labels with a prefix are the machinery's, not attributes, except those that ECS has a name for.
pub fn of<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    labels.into_iter().filter_map(|(key, value)| attribute(key, value)).collect()
}

fn attribute(key: &str, value: &str) -> Option<(String, String)> {
    if let Some((name, _)) = BUILT_IN.iter().find(|(_, label)| *label == key) {
        let value = match (*name, value) {
            ("ecs.cpu-architecture", "amd64") => "x86_64",
            (_, value) => value,
        };
        return Some(((*name).to_owned(), value.to_owned()));
    }
    let built_in = BUILT_IN.iter().any(|(name, _)| *name == key);
    (!key.contains('/') && !built_in).then(|| (key.to_owned(), value.to_owned()))
}

/// The label under which an attribute is kept. An error says why it can't be one.
pub fn label<'a>(name: &'a str, value: &str) -> Result<&'a str, String> {
    if name.starts_with(RESERVED) {
        return Err(format!("Attribute names that begin with {RESERVED} are reserved."));
    }
    if name.is_empty() || !part(name) {
        return Err(format!(
            "Invalid attribute name {name:?}: up to {LABEL} letters, numbers, hyphens, underscores and periods, beginning \
             and ending with a letter or number, are supported."
        ));
    }
    if !part(value) {
        return Err(format!(
            "Invalid value {value:?} of the attribute {name}: up to {LABEL} letters, numbers, hyphens, underscores and \
             periods, beginning and ending with a letter or number, are supported."
        ));
    }
    Ok(name)
}

/// What can be the name or the value of a label.
fn part(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let end = |b: Option<&u8>| b.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= LABEL && bytes.iter().copied().all(inner) && end(bytes.first()) && end(bytes.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_attributes() {
        let labels = [
            ("kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", "amd64"),
            ("kubernetes.io/hostname", "n1"),
            ("topology.kubernetes.io/zone", "a"),
            ("ecs.ami-id", "ami-1"),
            ("ecs.os-type", "windows"),
            ("stack", "prod"),
        ];
        let expected = [
            ("ecs.ami-id", "ami-1"),
            ("ecs.availability-zone", "a"),
            ("ecs.cpu-architecture", "x86_64"),
            ("ecs.os-type", "linux"),
            ("stack", "prod"),
        ];
        let expected: BTreeMap<_, _> = expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        assert_eq!(of(labels), expected);
    }

    #[test]
    fn attributes_are_labels_where_they_can_be() {
        assert_eq!(label("stack", "prod-1"), Ok("stack"));
        assert_eq!(label("stack", ""), Ok("stack"));
        for (name, value) in [("ecs.os-type", "x"), ("a/b", "x"), ("", "x"), ("-a", "x"), ("a", "x y"), ("a", "x:")] {
            assert!(label(name, value).is_err(), "{name} {value}");
        }
    }
}
