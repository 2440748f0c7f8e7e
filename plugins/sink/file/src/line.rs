//! A record as a line, and the name of the file that it belongs to.

use gantry_sdk::api::Time;
use gantry_sdk::serde_json;
use gantry_sdk::sink::{LogRecord, Origin};
use gantry_sdk::{Label, Result};
use serde::ser::{Serialize, SerializeMap, Serializer};

const NANOS_PER_MILLI: u64 = 1_000_000;
const NANOS_PER_DAY: u64 = 86_400 * 1_000 * NANOS_PER_MILLI;
/// Leaves room for number and suffix in the 255 bytes that file systems give a name.
const LONGEST_NAME: usize = 200;

/// OpenTelemetry's names for what a container's records are about, in the order of the file's name.
const NAME_PARTS: [&str; 3] = ["k8s.namespace.name", "k8s.pod.name", "k8s.container.name"];

/// Labels as a JSON object.
struct Attributes<'a>(&'a [Label]);

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for label in self.0 {
            map.serialize_entry(&label.key, &label.value)?;
        }
        map.end()
    }
}

/// A record with what it is about.
struct Line<'a>(&'a LogRecord, &'a [Label]);

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let Line(record, resource) = self;
        let mut map = serializer.serialize_map(None)?;
        // As text: as a number it would lose digits in many readers.
        map.serialize_entry("Timestamp", &record.time_unix_nano.to_string())?;
        if record.severity_number != 0 {
            map.serialize_entry("SeverityNumber", &record.severity_number)?;
        }
        map.serialize_entry("Body", &record.body)?;
        if !record.attributes.is_empty() {
            map.serialize_entry("Attributes", &Attributes(&record.attributes))?;
        }
        if !resource.is_empty() {
            map.serialize_entry("Resource", &Attributes(resource))?;
        }
        map.end()
    }
}

/// Appends a record and the end of its line.
pub fn append(to: &mut Vec<u8>, record: &LogRecord, origin: Option<&Origin>) -> Result<()> {
    let resource = origin.map_or(&[][..], |origin| &origin.attributes);
    serde_json::to_writer(&mut *to, &Line(record, resource))?;
    to.push(b'\n');
    Ok(())
}

/// The number of a record's day.
pub fn day(record: &LogRecord) -> u64 {
    record.time_unix_nano / NANOS_PER_DAY
}

/// `2026-01-02`
pub fn day_name(day: u64) -> String {
    let midnight = Time::from_millis(day.saturating_mul(NANOS_PER_DAY / NANOS_PER_MILLI)).to_string();
    midnight.split_once('T').map_or(midnight.clone(), |(date, _)| date.to_string())
}

/// `default_web-1_app`: a name that is safe in any directory. Different origins may share one; every line says what it
/// is about.
pub fn origin_name(origin: Option<&Origin>) -> String {
    let attributes = origin.map_or(&[][..], |origin| &origin.attributes);
    let value = |key: &&str| attributes.iter().find(|label| label.key == **key).map(|label| label.value.as_str());
    let mut parts: Vec<&str> = NAME_PARTS.iter().filter_map(value).collect();
    if parts.is_empty() {
        parts = attributes.iter().map(|label| label.value.as_str()).collect();
    }
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name: String = parts.join("_").chars().map(safe).take(LONGEST_NAME).collect();
    if name.is_empty() { "other".to_string() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(body: &str) -> LogRecord {
        let attributes = vec![Label::new("log.iostream", "stderr")];
        LogRecord {
            origin: 0,
            time_unix_nano: 1_767_323_045_678_901_234,
            severity_number: 17,
            body: body.into(),
            attributes,
        }
    }

    fn origin(labels: &[(&str, &str)]) -> Origin {
        Origin { attributes: labels.iter().map(|(k, v)| Label::new(*k, *v)).collect() }
    }

    #[test]
    fn a_line_has_the_names_of_the_data_model() {
        let mut line = Vec::new();
        append(&mut line, &record("two\nlines \"quoted\""), Some(&origin(&[("k8s.pod.name", "web-1")]))).unwrap();
        let expected = concat!(
            r#"{"Timestamp":"1767323045678901234","SeverityNumber":17,"Body":"two\nlines \"quoted\"","#,
            r#""Attributes":{"log.iostream":"stderr"},"Resource":{"k8s.pod.name":"web-1"}}"#,
            "\n"
        );
        assert_eq!(String::from_utf8(line).unwrap(), expected);
    }

    #[test]
    fn names_of_files() {
        assert_eq!(day_name(day(&record(""))), "2026-01-02");
        let container = [("k8s.container.name", "app"), ("k8s.pod.name", "web.1"), ("k8s.namespace.name", "default")];
        for (labels, expected) in [
            (&container[..], "default_web_1_app"),
            (&[("service.name", "../../etc/passwd")], "______etc_passwd"),
            (&[], "other"),
        ] {
            assert_eq!(origin_name(Some(&origin(labels))), expected);
        }
        assert_eq!(origin_name(Some(&origin(&[("x", &"y".repeat(999))]))).len(), LONGEST_NAME);
        assert_eq!(origin_name(None), "other");
    }
}
