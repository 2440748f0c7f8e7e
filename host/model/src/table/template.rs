//! Where a column's cell comes from: a JSONPath (`.status.conditions[?(@.type=="Ready")].status`), or a template of
//! several in braces with text between (`{.status.readyReplicas|0}/{.spec.replicas|0}`; after the bar stands what an
//! absent value is shown as, or another path to try). `{.spec.ports[*] => [.port][:.nodePort]/[.protocol]}` shows each
//! value in its own way: what is in brackets vanishes where its path leads to nothing, or to a zero. `{.spec.tls ? yes : no}`
//! shows one text or the other, as its path leads to something or not.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::age::since;
use crate::kind::PrinterColumn;
use crate::selector::LabelSelector;

/// Why a text is no path or template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a path that a column can have")]
pub struct TemplateError(String);

/// Whether a column can use this text.
pub fn check(text: &str) -> Result<(), TemplateError> {
    let fine = match parts(text) {
        Some(parts) => parts.iter().all(|part| match part {
            Part::Text(_) => true,
            Part::Path { path, absent } => {
                steps(path).is_some() && absent.split('|').all(|a| !a.starts_with('.') || steps(a).is_some())
            }
            Part::Whether { path, .. } => steps(path).is_some(),
            Part::Each { path, item } => {
                let paths = pieces(item).into_iter().flatten().filter_map(|piece| piece.path);
                steps(path).is_some() && pieces(item).is_some() && paths.into_iter().all(|p| steps(p).is_some())
            }
        }),
        None => false,
    };
    if fine { Ok(()) } else { Err(TemplateError(text.to_owned())) }
}

/// Every value at a path.
pub fn find<'a>(object: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut at = vec![object];
    for step in steps(path).unwrap_or_else(|| vec![Step::Nowhere]) {
        at = at.into_iter().flat_map(|value| step.from(value)).collect();
    }
    at.retain(|value| !value.is_null());
    at
}

/// A column's cell.
pub(super) fn cell(column: &PrinterColumn, object: &Value, now: Timestamp) -> Value {
    let template = column.json_path.contains('{');
    if column.type_ == "date" || !template {
        let path = column.json_path.trim_start_matches('{').trim_end_matches('}');
        return plain(column, &find(object, path), now);
    }
    let mut out = String::new();
    for part in parts(&column.json_path).unwrap_or_default() {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Path { path, absent } => out.push_str(&first(object, path, absent)),
            Part::Whether { path, yes, no } => {
                out.push_str(if joined(&find(object, path)).is_empty() { no } else { yes });
            }
            Part::Each { path, item } => {
                let items: Vec<String> = find(object, path).into_iter().map(|value| in_own_way(value, item)).collect();
                out.push_str(if items.is_empty() { "<none>" } else { "" });
                out.push_str(&items.join(","));
            }
        }
    }
    match column.type_.as_str() {
        "integer" => out.parse::<i64>().map_or(json!(out), Value::from),
        "boolean" => out.parse::<bool>().map_or(json!(out), Value::from),
        _ => Value::from(out),
    }
}

/// What is at the first path that leads anywhere, or the text that stands for nothing.
fn first(object: &Value, path: &str, absent: &str) -> String {
    match (joined(&find(object, path)), absent.split_once('|').unwrap_or((absent, ""))) {
        (found, _) if !found.is_empty() => found,
        (_, (next, rest)) if next.starts_with('.') => first(object, next, rest),
        (_, (text, _)) => text.to_owned(),
    }
}

/// Part of what one value of several is shown as.
struct Piece<'a> {
    text: &'a str,
    path: Option<&'a str>,
}

/// `[.port][:.nodePort]/[.protocol]` in its pieces; `None`: a bracket is missing.
fn pieces(item: &str) -> Option<Vec<Piece<'_>>> {
    let mut out = Vec::new();
    let mut rest = item;
    while let Some((before, after)) = rest.split_once('[') {
        let (inside, after) = after.split_once(']')?;
        let (text, path) = inside.split_at(inside.find('.')?);
        out.extend([Piece { text: before, path: None }, Piece { text, path: Some(path) }]);
        rest = after;
    }
    out.push(Piece { text: rest, path: None });
    Some(out)
}

fn in_own_way(value: &Value, item: &str) -> String {
    let mut out = String::new();
    for Piece { text, path } in pieces(item).unwrap_or_default() {
        let found = path.map(|path| joined(&find(value, path)));
        if !found.as_ref().is_some_and(|found| found.is_empty() || found == "0") {
            out.push_str(text);
            out.push_str(&found.unwrap_or_default());
        }
    }
    out
}

fn plain(column: &PrinterColumn, found: &[&Value], now: Timestamp) -> Value {
    let first = found.first().copied();
    match column.type_.as_str() {
        "date" => json!(since(first.and_then(Value::as_str), now)),
        "integer" | "number" => first.filter(|v| v.is_number()).cloned().unwrap_or_default(),
        "boolean" => first.filter(|v| v.is_boolean()).cloned().unwrap_or_default(),
        _ if found.is_empty() => Value::Null,
        _ => json!(joined(found)),
    }
}

fn joined(found: &[&Value]) -> String {
    found.iter().map(|v| shown(v)).collect::<Vec<_>>().join(",")
}

/// A value as text: selectors and maps as `a=b,c=d`, lists with commas.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(","),
        Value::Object(map) if map.contains_key("matchLabels") || map.contains_key("matchExpressions") => {
            LabelSelector::from_value(value).map(|s| s.to_string()).unwrap_or_default()
        }
        Value::Object(map) if map.values().all(Value::is_string) => {
            map.iter().map(|(k, v)| format!("{k}={}", shown(v))).collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    }
}

enum Part<'a> {
    Text(&'a str),
    Path { path: &'a str, absent: &'a str },
    Each { path: &'a str, item: &'a str },
    Whether { path: &'a str, yes: &'a str, no: &'a str },
}

/// The parts of a template; a text without braces is one path.
fn parts(text: &str) -> Option<Vec<Part<'_>>> {
    if !text.contains('{') {
        return Some(vec![Part::Path { path: text, absent: "" }]);
    }
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (inside, after) = after.split_once('}')?;
        out.push(Part::Text(before));
        out.push(match inside.split_once(" => ") {
            Some((path, item)) => Part::Each { path, item },
            None => match inside.split_once(" ? ") {
                Some((path, texts)) => {
                    let (yes, no) = texts.split_once(" : ").unwrap_or((texts, ""));
                    Part::Whether { path, yes, no }
                }
                None => {
                    let (path, absent) = inside.split_once('|').unwrap_or((inside, ""));
                    Part::Path { path, absent }
                }
            },
        });
        rest = after;
    }
    out.push(Part::Text(rest));
    Some(out)
}

#[derive(Debug, PartialEq)]
enum Step {
    Name(String),
    Index(i64),
    All,
    /// The entries whose value at the path reads so.
    Where(Vec<Step>, String),
    Nowhere,
}

impl Step {
    fn from<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        match (self, value) {
            (Step::Name(name), Value::Object(map)) => map.get(name).into_iter().collect(),
            (Step::Index(index), Value::Array(items)) => {
                let index = if *index < 0 { items.len() as i64 + index } else { *index };
                usize::try_from(index).ok().and_then(|n| items.get(n)).into_iter().collect()
            }
            (Step::All, Value::Array(items)) => items.iter().collect(),
            (Step::All, Value::Object(map)) => map.values().collect(),
            (Step::Where(path, wanted), Value::Array(items)) => {
                items.iter().filter(|i| reads(i, path, wanted)).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn reads(item: &Value, path: &[Step], wanted: &str) -> bool {
    let mut at = vec![item];
    for step in path {
        at = at.into_iter().flat_map(|value| step.from(value)).collect();
    }
    at.iter().any(|value| shown(value) == wanted)
}

fn steps(path: &str) -> Option<Vec<Step>> {
    let mut out = Vec::new();
    let mut rest = path.trim();
    rest = rest.strip_prefix('$').unwrap_or(rest);
    while let Some(first) = rest.chars().next() {
        let (step, after) = match first {
            '.' => name(rest.get(1..)?)?,
            '[' => bracket(rest.get(1..)?)?,
            _ if out.is_empty() => name(rest)?,
            _ => return None,
        };
        out.extend(step);
        rest = after;
    }
    Some(out)
}

/// A name up to the next dot or bracket; a backslash takes the next character literally.
fn name(text: &str) -> Option<(Option<Step>, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    let mut end = text.len();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => out.push(chars.next()?.1),
            '.' | '[' => {
                end = at;
                break;
            }
            c => out.push(c),
        }
    }
    let rest = text.get(end..)?;
    // A dot may stand before a bracket, or alone for the object itself.
    let step = match out.as_str() {
        "" if rest.is_empty() || rest.starts_with('[') => None,
        "" => return None,
        "*" => Some(Step::All),
        _ => Some(Step::Name(out)),
    };
    Some((step, rest))
}

fn bracket(text: &str) -> Option<(Option<Step>, &str)> {
    if let Some(filter) = text.strip_prefix("?(") {
        let (filter, rest) = filter.split_once(")]")?;
        let (path, wanted) = filter.split_once("==")?;
        let path = steps(path.trim().strip_prefix('@')?)?;
        return Some((Some(Step::Where(path, unquoted(wanted.trim()).to_owned())), rest));
    }
    for quote in ['\'', '"'] {
        if let Some(quoted) = text.strip_prefix(quote) {
            let (name, rest) = quoted.split_once(quote)?;
            return Some((Some(Step::Name(name.replace('\\', ""))), rest.strip_prefix(']')?));
        }
    }
    let (inside, rest) = text.split_once(']')?;
    let step = if inside == "*" { Step::All } else { Step::Index(inside.trim().parse().ok()?) };
    Some((Some(step), rest))
}

fn unquoted(text: &str) -> &str {
    let strip = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    strip('"').or_else(|| strip('\'')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(type_: &str, path: &str) -> PrinterColumn {
        PrinterColumn {
            name: "x".into(),
            type_: type_.into(),
            format: String::new(),
            description: String::new(),
            priority: 0,
            json_path: path.into(),
        }
    }

    #[test]
    fn cells_come_from_paths_and_templates() {
        let now: Timestamp = "2024-01-03T00:00:00Z".parse().unwrap();
        let object = json!({
            "metadata": {"annotations": {"a.io/b": "c"}, "creationTimestamp": "2024-01-01T00:00:00Z"},
            "spec": {"replicas": 3, "on": true, "list": [{"name": "a"}, {"name": "b"}],
                "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 443, "nodePort": 0, "protocol": "UDP"}],
                "selector": {"matchLabels": {"app": "web", "b": "c"}}, "labels": {"x": "y"}},
            "status": {"conditions": [{"type": "Other", "status": "x"}, {"type": "Ready", "status": "True"}]},
        });
        for (type_, path, want) in [
            ("integer", ".spec.replicas", json!(3)),
            ("integer", ".spec.nothing", Value::Null),
            ("integer", "{.spec.nothing|0}", json!(0)),
            ("boolean", ".spec.on", json!(true)),
            ("string", ".spec.replicas", json!("3")),
            ("string", ".spec.list[*].name", json!("a,b")),
            ("string", ".spec.list[1].name", json!("b")),
            ("string", ".spec.list[-1].name", json!("b")),
            ("string", ".spec.list[7].name", Value::Null),
            ("string", ".metadata.annotations.a\\.io/b", json!("c")),
            ("string", ".metadata.annotations['a.io/b']", json!("c")),
            ("string", ".metadata.annotations['a\\.io/b']", json!("c")),
            ("string", ".status.conditions[?(@.type==\"Ready\")].status", json!("True")),
            ("string", ".status.conditions[?(@.type=='Gone')].status", Value::Null),
            ("string", "{.status.ready|0}/{.spec.replicas|0}", json!("0/3")),
            ("string", "{.spec.list[*].name}", json!("a,b")),
            ("string", "{.spec.none|.spec.nothing|.spec.replicas|<none>}", json!("3")),
            ("string", "{.spec.none|.spec.nothing|<none>}", json!("<none>")),
            ("string", "{.spec.ports[*] => [.port][:.nodePort]/[.protocol]}", json!("80:30080/TCP,443/UDP")),
            ("string", "{.spec.none[*] => [.port]}", json!("<none>")),
            ("string", "{.spec.list ? 80, 443 : 80}", json!("80, 443")),
            ("string", "{.spec.none ? 80, 443 : 80}", json!("80")),
            ("string", "{.spec.selector}", json!("app=web,b=c")),
            ("string", ".spec.labels", json!("x=y")),
            ("date", ".metadata.creationTimestamp", json!("2d")),
            ("date", ".metadata.deletionTimestamp", json!("<unknown>")),
        ] {
            assert_eq!(cell(&column(type_, path), &object, now), want, "{type_} {path}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for path in [
            ".a[",
            ".a[x]",
            ".a..b",
            ".a['b]",
            "{.a",
            ".a[?(@.b)]",
            ".a[?(b==c)]",
            "{.a => [.b}",
            "{.a => [b]}",
            "{.a|.b[}",
        ] {
            assert!(check(path).is_err(), "{path}");
        }
        for path in [".a", ".a[0].b", "{.a}/{.b|0}", ".a.b\\.c", ".", "$.a", "{.a[*] => [.b]/[c.d]}", "{.a|.b|c}"] {
            assert!(check(path).is_ok(), "{path}");
        }
    }
}
