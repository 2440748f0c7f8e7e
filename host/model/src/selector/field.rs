//! Field selectors: `spec.nodeName=n1,status.phase!=Failed`.

use std::fmt;

use super::SelectorError;
use crate::kind::Kind;
use crate::record::Record;

/// One term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRequirement {
    /// `spec.nodeName`
    pub path: String,
    /// What it is compared with; may be empty.
    pub value: String,
    /// `=` or `!=`.
    pub equal: bool,
}

/// Fields that are false where they are absent.
const FLAGS: [&str; 2] = ["spec.hostNetwork", "spec.unschedulable"];

/// Terms that all must hold. Without terms everything matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    requirements: Vec<FieldRequirement>,
}

impl FieldSelector {
    /// Reads the text of a `fieldSelector` parameter. A backslash takes `,`, `=` and `\` literally.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        for part in terms(text) {
            let wrong = || SelectorError::Field { selector: text.to_owned(), part: part.to_owned() };
            let at = operator(part).ok_or_else(wrong)?;
            let (path, rest) = part.split_at_checked(at).ok_or_else(wrong)?;
            let (equal, value) = if let Some(value) = rest.strip_prefix("!=") {
                (false, value)
            } else {
                (true, rest.strip_prefix("==").or(rest.strip_prefix('=')).ok_or_else(wrong)?)
            };
            let value = unescaped(value).ok_or_else(wrong)?;
            requirements.push(FieldRequirement { path: path.trim().to_owned(), value, equal });
        }
        Ok(Self { requirements })
    }

    /// Whether all terms hold of the object.
    pub fn matches(&self, record: &Record) -> bool {
        self.requirements.iter().all(|r| {
            let have = match record.field(&r.path) {
                "" if FLAGS.contains(&r.path.as_str()) => "false",
                have => have,
            };
            (have == r.value) == r.equal
        })
    }

    /// The terms.
    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.requirements
    }

    /// Whether everything matches.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// The value that a field must have, where a term asks for one: a lister may go by an index on it.
    pub fn exact(&self, path: &str) -> Option<&str> {
        // What is not there is in no index.
        let indexed =
            |r: &&FieldRequirement| r.equal && r.path == path && !(FLAGS.contains(&path) && r.value != "true");
        self.requirements.iter().find(indexed).map(|r| r.value.as_str())
    }

    /// The first field that objects of this kind can't be selected by.
    pub fn unsupported(&self, kind: &Kind) -> Option<&str> {
        let known = |path: &str| match path {
            "metadata.name" => true,
            "metadata.namespace" => kind.namespaced(),
            _ => kind.selectable_fields.iter().any(|f| f == path),
        };
        self.requirements.iter().map(|r| r.path.as_str()).find(|path| !known(path))
    }
}

/// Splits at commas that no backslash precedes.
fn terms(text: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    text.split(move |c| {
        let here = escaped;
        escaped = c == '\\' && !here;
        c == ',' && !here
    })
    .filter(|part| !part.is_empty())
}

/// Where the operator begins.
fn operator(part: &str) -> Option<usize> {
    let mut before = None;
    for (at, c) in part.char_indices() {
        if c == '=' && before != Some('\\') {
            return Some(if before == Some('!') { at - 1 } else { at });
        }
        before = Some(c);
    }
    None
}

fn unescaped(value: &str) -> Option<String> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push(chars.next().filter(|c| matches!(c, '\\' | ',' | '='))?),
            '=' | ',' => return None,
            c => out.push(c),
        }
    }
    Some(out)
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, r) in self.requirements.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            let value = r.value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            write!(f, "{comma}{}{}{value}", r.path, if r.equal { "=" } else { "!=" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Draft, Key, key::Resource};
    use serde_json::json;

    #[test]
    fn terms_match_fields() {
        let key = Key::new(Resource::new("", "pods"), "a", "web");
        let object =
            json!({"metadata": {"name": "web", "namespace": "a"}, "spec": {"nodeName": "n=1", "hostNetwork": true}});
        let selectable = ["spec.nodeName", "status.phase", "spec.hostNetwork"].map(str::to_owned);
        let record = Draft::new(key, object, &selectable).commit(1);
        for (text, want) in [
            ("", true),
            ("metadata.name=web", true),
            ("metadata.name==web,metadata.namespace=a", true),
            ("metadata.name!=web", false),
            ("spec.nodeName=n\\=1", true),
            ("spec.nodeName=", false),
            ("status.phase=", true),
            ("status.phase!=Failed", true),
            ("spec.hostNetwork=true", true),
            ("spec.hostNetwork=false", false),
            ("spec.unschedulable=false", true),
            ("spec.unschedulable!=false", false),
        ] {
            let selector = FieldSelector::parse(text).unwrap();
            assert_eq!(selector.matches(&record), want, "{text}");
            assert_eq!(FieldSelector::parse(&selector.to_string()).unwrap(), selector, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["a", "a=b=c", "a=b\\x", "a,b=c"] {
            assert!(FieldSelector::parse(text).is_err(), "{text}");
        }
        assert_eq!(
            FieldSelector::parse("a=b,c").unwrap_err().to_string(),
            "invalid selector: 'a=b,c'; can't understand 'c'"
        );
    }

    #[test]
    fn an_index_is_found() {
        let selector = FieldSelector::parse("spec.nodeName=n,status.phase!=x").unwrap();
        assert_eq!(selector.exact("spec.nodeName"), Some("n"));
        assert_eq!(selector.exact("status.phase"), None);
        assert_eq!(FieldSelector::parse("spec.hostNetwork=false").unwrap().exact("spec.hostNetwork"), None);
    }
}
