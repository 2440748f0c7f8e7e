//! What ends up in the directory: one file a day or per origin; sizes and numbers of files stay within their limits; a
//! restart appends; a line cut short is removed; a disk that is full delays a batch and leaves no trace of it; options
//! that can't work are refused.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failure here is a panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use gantry_sdk::sink::{Batch, LogRecord, Origin, Outcome};
use gantry_sdk::testing::Host;
use gantry_sdk::{Config, Label, Sink, Value, json, serde_json};
use sink_file::Files;

/// 2026-01-02T00:00:00Z
const DAY: u64 = 1_767_312_000_000_000_000;
const NANOS_PER_DAY: u64 = 86_400_000_000_000;

fn sink(directory: &Path, options: Value) -> Files {
    let mut config = json!({"directory": directory});
    config.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    let mut sink = Files::default();
    sink.configure(Config::from(config)).unwrap();
    sink
}

fn origin(pod: &str) -> Origin {
    let labels = [("k8s.namespace.name", "default"), ("k8s.pod.name", pod), ("k8s.container.name", "app")];
    Origin { attributes: labels.iter().map(|(key, value)| Label::new(*key, *value)).collect() }
}

fn record(origin: u32, time: u64, body: &str) -> LogRecord {
    let body = body.to_string();
    LogRecord { origin, time_unix_nano: time, severity_number: 0, body, attributes: Vec::new() }
}

fn batch(records: Vec<LogRecord>) -> Batch {
    Batch { origins: vec![origin("web-1"), origin("web-2")], records }
}

/// Bodies by file.
fn bodies(directory: &Path) -> BTreeMap<String, Vec<String>> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let body = |line: &str| serde_json::from_str::<Value>(line).unwrap()["Body"].as_str().unwrap().to_string();
    entries
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_string();
            (name, fs::read_to_string(&path).unwrap().lines().map(body).collect())
        })
        .collect()
}

fn expect(directory: &Path, files: &[(&str, &[&str])]) {
    let list = |bodies: &[&str]| bodies.iter().map(ToString::to_string).collect();
    let expected: BTreeMap<_, Vec<_>> = files.iter().map(|(name, bodies)| (name.to_string(), list(bodies))).collect();
    assert_eq!(bodies(directory), expected);
}

#[test]
fn one_file_a_day_over_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = sink(directory.path(), json!({}));
    let records = vec![record(0, DAY, "a"), record(1, DAY + 1, "b"), record(0, DAY + NANOS_PER_DAY, "c")];
    assert_eq!(first.write(batch(records)), Outcome::Accepted);
    let mut second = sink(directory.path(), json!({"sync": "never"}));
    assert_eq!(second.write(batch(vec![record(0, DAY + 2, "d")])), Outcome::Accepted);
    expect(directory.path(), &[("2026-01-02.jsonl", &["a", "b", "d"]), ("2026-01-03.jsonl", &["c"])]);
}

#[test]
fn one_file_per_origin() {
    let directory = tempfile::tempdir().unwrap();
    let mut sink = sink(directory.path(), json!({"split": "origin"}));
    let records = vec![record(0, DAY, "a"), record(1, DAY, "b"), record(0, DAY, "c"), record(9, DAY, "d")];
    assert_eq!(sink.write(batch(records)), Outcome::Accepted);
    expect(
        directory.path(),
        &[("default_web-1_app.jsonl", &["a", "c"]), ("default_web-2_app.jsonl", &["b"]), ("other.jsonl", &["d"])],
    );
}

#[test]
fn full_files_are_set_aside_and_the_oldest_removed() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("notes.txt"), "").unwrap();
    // Two records of this size fit into a file, three do not.
    let mut sink = sink(directory.path(), json!({"max-bytes": 400, "max-files": 3}));
    for n in 0..9 {
        assert_eq!(sink.write(batch(vec![record(0, DAY, &format!("record {n}"))])), Outcome::Accepted);
    }
    expect(
        directory.path(),
        &[
            ("2026-01-02.000003.jsonl", &["record 4", "record 5"]),
            ("2026-01-02.000004.jsonl", &["record 6", "record 7"]),
            ("2026-01-02.jsonl", &["record 8"]),
            ("notes.txt", &[]),
        ],
    );
    // The next day's file pushes out the oldest; a batch larger than the limit still goes into one file.
    let large = (0..4).map(|n| record(0, DAY + NANOS_PER_DAY, &format!("large {n}"))).collect();
    assert_eq!(sink.write(batch(large)), Outcome::Accepted);
    expect(
        directory.path(),
        &[
            ("2026-01-02.000004.jsonl", &["record 6", "record 7"]),
            ("2026-01-02.jsonl", &["record 8"]),
            ("2026-01-03.jsonl", &["large 0", "large 1", "large 2", "large 3"]),
            ("notes.txt", &[]),
        ],
    );
}

#[test]
fn each_origin_has_its_own_number_of_files() {
    let directory = tempfile::tempdir().unwrap();
    let mut sink = sink(directory.path(), json!({"split": "origin", "max-bytes": 1, "max-files": 2}));
    for n in 0..3 {
        assert_eq!(sink.write(batch(vec![record(0, DAY, &format!("{n}"))])), Outcome::Accepted);
    }
    assert_eq!(sink.write(batch(vec![record(1, DAY, "x")])), Outcome::Accepted);
    expect(
        directory.path(),
        &[
            ("default_web-1_app.000002.jsonl", &["1"]),
            ("default_web-1_app.jsonl", &["2"]),
            ("default_web-2_app.jsonl", &["x"]),
        ],
    );
}

#[test]
fn a_line_cut_short_by_a_crash_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::new();
    fs::write(directory.path().join("2026-01-02.jsonl"), "{\"Body\":\"whole\"}\n{\"Body\":\"cut sho").unwrap();
    let mut sink = sink(directory.path(), json!({}));
    assert_eq!(sink.write(batch(vec![record(0, DAY, "next")])), Outcome::Accepted);
    expect(directory.path(), &[("2026-01-02.jsonl", &["whole", "next"])]);
    assert!(host.lines()[0].message.contains("cut short"));
}

#[test]
fn a_file_that_somebody_removed_is_made_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut sink = sink(directory.path(), json!({}));
    assert_eq!(sink.write(batch(vec![record(0, DAY, "a")])), Outcome::Accepted);
    fs::remove_file(directory.path().join("2026-01-02.jsonl")).unwrap();
    assert_eq!(sink.write(batch(vec![record(0, DAY, "b")])), Outcome::Accepted);
    expect(directory.path(), &[("2026-01-02.jsonl", &["b"])]);
}

#[test]
fn more_origins_than_open_files() {
    let directory = tempfile::tempdir().unwrap();
    let mut sink = sink(directory.path(), json!({"split": "origin", "sync": "never"}));
    let origins: Vec<Origin> = (0..200).map(|n| origin(&format!("p{n}"))).collect();
    for _ in 0..2 {
        let records = (0..200).map(|n| record(n, DAY, "x")).collect();
        assert_eq!(sink.write(Batch { origins: origins.clone(), records }), Outcome::Accepted);
    }
    let files = bodies(directory.path());
    assert_eq!(files.len(), 200);
    assert!(files.values().all(|bodies| bodies.len() == 2));
}

/// `/dev/full` takes no byte: the second file of the batch fails, and the first gets back its length.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_delays_the_whole_batch() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::new();
    let mut sink = sink(directory.path(), json!({"sync": "never"}));
    assert_eq!(sink.write(batch(vec![record(0, DAY, "a")])), Outcome::Accepted);
    let next = directory.path().join("2026-01-03.jsonl");
    std::os::unix::fs::symlink("/dev/full", &next).unwrap();
    let records = || vec![record(0, DAY, "b"), record(0, DAY + NANOS_PER_DAY, "c")];
    for _ in 0..2 {
        assert_eq!(sink.write(batch(records())), Outcome::RetryAfterMs(5_000));
    }
    fs::remove_file(&next).unwrap();
    expect(directory.path(), &[("2026-01-02.jsonl", &["a"])]);
    assert_eq!(sink.write(batch(records())), Outcome::Accepted);
    expect(directory.path(), &[("2026-01-02.jsonl", &["a", "b"]), ("2026-01-03.jsonl", &["c"])]);
    let complaints = host.lines().iter().filter(|line| line.message.starts_with("records wait")).count();
    assert_eq!(complaints, 1, "said once, not with every batch");
}

#[test]
fn options_that_cannot_work_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    for (options, word) in [
        (json!({"directory": "/does/not/exist"}), "/does/not/exist"),
        (json!({"max-files": 0}), "max-files"),
        (json!({"max-bytes": "lots"}), "max-bytes"),
        (json!({"max-bytes": 0}), "max-bytes"),
        (json!({"split": "month"}), "month"),
        (json!({"compress": true}), "compress"),
    ] {
        let mut config = json!({"directory": directory.path()});
        config.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        let error = Files::default().configure(Config::from(config)).unwrap_err();
        assert!(error.message.contains(word), "{error}");
    }
}

#[test]
fn lines_of_containers_read_back_exactly() {
    let directory = tempfile::tempdir().unwrap();
    let mut sink = sink(directory.path(), json!({"max-bytes": 3000, "sync": "never"}));
    let odd =
        ["", " ", "a\tb", "\"quoted\" \\ back", "\u{1b}[31mred\u{1b}[0m", "\r", "ä🦀\u{2028}", "{\"json\": [1]}", "\0"];
    let bodies: Vec<String> = (0..200).map(|n| format!("{}{n}", odd[n % odd.len()])).collect();
    for chunk in bodies.chunks(7) {
        let records = chunk.iter().map(|body| LogRecord {
            attributes: vec![Label::new("log.iostream", "stdout")],
            ..record(1, DAY + 5, body)
        });
        assert_eq!(sink.write(batch(records.collect())), Outcome::Accepted);
    }
    let mut files: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 5, "{files:?}");
    let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let read: Vec<&str> = lines.iter().map(|line| line["Body"].as_str().unwrap()).collect();
    assert_eq!(read, bodies);
    for line in &lines {
        assert_eq!(line["Resource"]["k8s.pod.name"], "web-2");
        assert_eq!(line["Attributes"]["log.iostream"], "stdout");
        assert_eq!(line["Timestamp"], (DAY + 5).to_string());
    }
}
