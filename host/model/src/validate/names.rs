//! What names, labels and keys may look like. Every function gives the problems found, in Kubernetes' words.

fn alphanumeric(c: u8) -> bool {
    c.is_ascii_alphanumeric()
}

fn lower(c: u8) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

fn too_long(max: usize) -> String {
    format!("must be no more than {max} characters")
}

fn ends(text: &[u8], ok: impl Fn(u8) -> bool) -> bool {
    matches!((text.first(), text.last()), (Some(a), Some(z)) if ok(*a) && ok(*z))
}

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const ENV: &str = "a valid environment variable name must consist only of printable ASCII characters other than '='";

fn is_label(text: &[u8]) -> bool {
    ends(text, lower) && text.iter().all(|c| lower(*c) || *c == b'-')
}

/// A DNS label: `web-1`.
pub fn dns_label(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    if text.len() > 63 {
        out.push(too_long(63));
    }
    if !is_label(text.as_bytes()) {
        out.push(LABEL.to_owned());
    }
    out
}

/// A DNS subdomain: `web-1.example.com`.
pub fn dns_subdomain(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    if text.len() > 253 {
        out.push(too_long(253));
    }
    if !text.split('.').all(|label| is_label(label.as_bytes())) {
        out.push(SUBDOMAIN.to_owned());
    }
    out
}

/// A DNS label that begins with a letter: names of Services.
pub fn dns_1035_label(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    if text.len() > 63 {
        out.push(too_long(63));
    }
    if !is_label(text.as_bytes()) || !text.starts_with(|c: char| c.is_ascii_lowercase()) {
        out.push(LABEL_1035.to_owned());
    }
    out
}

/// Anything that can be one segment of a path: names of roles.
pub fn path_segment(text: &str) -> Vec<String> {
    if text == "." || text == ".." {
        return vec![format!("may not be '{text}'")];
    }
    ["/", "%"].iter().filter(|part| text.contains(**part)).map(|part| format!("may not contain '{part}'")).collect()
}

/// A label key: `app` or `example.com/app`.
pub fn qualified_name(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let name = match text.split_once('/') {
        None => text,
        Some((_, name)) if name.contains('/') => {
            return vec![format!(
                "a qualified name {} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
                QUALIFIED.trim_start_matches("name part ")
            )];
        }
        Some((prefix, name)) => {
            if prefix.is_empty() {
                out.push("prefix part must be non-empty".to_owned());
            } else {
                out.extend(dns_subdomain(prefix).into_iter().map(|problem| format!("prefix part {problem}")));
            }
            name
        }
    };
    if name.is_empty() {
        out.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        out.push(format!("name part {}", too_long(63)));
    }
    if !part(name) {
        out.push(QUALIFIED.to_owned());
    }
    out
}

fn part(text: &str) -> bool {
    ends(text.as_bytes(), alphanumeric) && text.bytes().all(|c| alphanumeric(c) || matches!(c, b'-' | b'_' | b'.'))
}

/// The value of a label; may be empty.
pub fn label_value(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    if text.len() > 63 {
        out.push(too_long(63));
    }
    if !text.is_empty() && !part(text) {
        out.push(VALUE.to_owned());
    }
    out
}

/// A key of a ConfigMap or Secret, which becomes a file name.
pub fn config_key(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    if text.len() > 253 {
        out.push(too_long(253));
    }
    if text.is_empty() || !text.bytes().all(|c| alphanumeric(c) || matches!(c, b'-' | b'_' | b'.')) {
        out.push(CONFIG_KEY.to_owned());
    } else if text == "." || text == ".." {
        out.push(format!("must not be '{text}'"));
    } else if text.starts_with("..") {
        out.push("must not start with '..'".to_owned());
    }
    out
}

/// The name of an environment variable.
pub fn env_name(text: &str) -> Vec<String> {
    if text.is_empty() || !text.bytes().all(|c| (0x20..0x7f).contains(&c) && c != b'=') {
        return vec![ENV.to_owned()];
    }
    Vec::new()
}

/// The name of a port: `http`.
pub fn port_name(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    if text.len() > 15 {
        out.push("must be no more than 15 characters".to_owned());
    }
    if !text.bytes().all(|c| lower(c) || c == b'-') {
        out.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !text.bytes().any(|c| c.is_ascii_lowercase()) {
        out.push("must contain at least one letter (a-z)".to_owned());
    }
    if text.contains("--") {
        out.push("must not contain consecutive hyphens".to_owned());
    }
    if text.starts_with('-') || text.ends_with('-') {
        out.push("must not begin or end with a hyphen".to_owned());
    }
    out
}

/// A port number.
pub fn port_number(number: i64) -> Vec<String> {
    if (1..=65535).contains(&number) { Vec::new() } else { vec!["must be between 1 and 65535, inclusive".to_owned()] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_takes_and_refuses() {
        let long = "a".repeat(64);
        type Rule = fn(&str) -> Vec<String>;
        let table: [(Rule, &[&str], &[&str]); 8] = [
            (dns_label, &["a", "1", "a-b"], &["", "A", "-a", "a-", "a.b", &long]),
            (dns_subdomain, &["a", "a.b", "1.2"], &["", ".", "a.", "a..b", "A.b", "a_b"]),
            (dns_1035_label, &["a", "a-1"], &["", "1a", "a."]),
            (qualified_name, &["a", "A_b.c", "x.io/y"], &["", "/a", "a/", "a/b/c", "X.io/y", "-a", &long]),
            (label_value, &["", "a", "A.b_c"], &["-", "a b", "a.", &long]),
            (config_key, &["a", "A_b", ".a"], &["", ".", "..", "..a", "a/b"]),
            (env_name, &["A", "a.b-c", "1"], &["", "a=b", "é"]),
            (port_name, &["http", "a-1"], &["", "1", "a--b", "-a", "HTTP", "aaaaaaaaaaaaaaaa"]),
        ];
        for (n, (rule, good, bad)) in table.iter().enumerate() {
            good.iter().for_each(|text| assert!(rule(text).is_empty(), "{n}: {text}"));
            bad.iter().for_each(|text| assert!(!rule(text).is_empty(), "{n}: {text}"));
        }
    }
}
