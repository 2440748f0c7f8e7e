//! The reader: every line once, in order, through cuts at any point, torn records, parts of lines; at least once through
//! crashes between any two steps; what went unread is counted to the line.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::Logs;
use crate::logs::{Listener, LogWriter, Source};
use crate::records::batch::Parcel;
use crate::records::join::LONGEST;
use crate::records::positions::Positions;
use crate::records::reader::Reader;

/// What a sink has got: stream, body, part.
type Got = Vec<(String, String, String)>;

fn got(parcel: &Parcel) -> Got {
    let label = |labels: &[gantry_plugin::family::Label], key: &str| {
        labels.iter().find(|label| label.key == key).map(|label| label.value.clone()).unwrap_or_default()
    };
    let records = parcel.batch.records.iter();
    records
        .map(|r| (label(&r.attributes, "log.iostream"), r.body.clone(), label(&r.attributes, "log.line.part")))
        .collect()
}

struct Node {
    logs: Logs,
    reader: Reader,
    listener: Listener,
    positions: Positions,
    got: Got,
    lost: u64,
}

impl Node {
    fn new() -> Self {
        let logs = Logs::new();
        fs::create_dir_all(logs.state()).unwrap();
        let positions = Positions::of(&logs.state(), "sink");
        let (reader, listener) = (Reader::open(&logs.root(), "n", None).unwrap(), logs.notices.listen());
        positions.save(reader.places()).unwrap();
        Self { logs, reader, listener, positions, got: Vec::new(), lost: 0 }
    }

    /// Reads a batch; its fate is open.
    fn look(&mut self) -> Parcel {
        self.lost += self.reader.hear(self.listener.take());
        let parcel = self.reader.fill();
        self.got.extend(got(&parcel));
        parcel
    }

    fn ship(&mut self) {
        let parcel = self.look();
        self.reader.settle(&parcel.places);
    }

    fn ship_all(&mut self) {
        for _ in 0..1000 {
            self.ship();
            if !self.reader.is_ready() {
                return;
            }
        }
        panic!("there is no end to it");
    }

    fn save(&self) {
        self.positions.save(self.reader.places()).unwrap();
    }

    fn crash(&mut self) {
        self.listener = self.logs.notices.listen();
        self.reader = Reader::open(&self.logs.root(), "n", self.positions.load().unwrap()).unwrap();
    }

    fn end(&mut self) {
        self.ship_all();
        self.reader.end(&self.logs.pod()).unwrap();
        self.ship_all();
        assert_eq!(self.reader.behind(), 0);
        assert!(self.reader.is_finished(&self.logs.pod()));
    }

    fn bodies(&self) -> Vec<&str> {
        self.got.iter().map(|(_, body, _)| body.as_str()).collect()
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// So many lines, in one piece.
    Lines(usize),
    /// A long line, of so many bytes.
    Long(usize),
    /// The start of a line, flushed as after a pause; its end is the next line.
    Prompt,
    Ship,
    /// A batch is taken and nobody knows of it.
    Look,
    Save,
    Crash,
}

fn steps(crashes: bool) -> impl Strategy<Value = Vec<Step>> {
    let mut all = vec![
        (1..40_usize).prop_map(Step::Lines).boxed(),
        (1..30_000_usize).prop_map(Step::Long).boxed(),
        Just(Step::Prompt).boxed(),
        Just(Step::Ship).boxed(),
        Just(Step::Save).boxed(),
    ];
    if crashes {
        all.extend([Just(Step::Crash).boxed(), Just(Step::Look).boxed()]);
    }
    proptest::collection::vec(proptest::strategy::Union::new(all), 1..50)
}

struct Play {
    node: Node,
    writer: LogWriter,
    /// Lines by stream, as written.
    want: [Vec<String>; 2],
    number: usize,
    limit: u64,
    files: u32,
}

impl Play {
    fn new(limit: u64, files: u32) -> Self {
        let node = Node::new();
        let writer = node.logs.writer(&node.logs.log(0), limit, files);
        Self { node, writer, want: [Vec::new(), Vec::new()], number: 0, limit, files }
    }

    fn line(&mut self, text: &str) {
        self.number += 1;
        let source = [Source::Stdout, Source::Stderr][usize::from(self.number.is_multiple_of(3))];
        let line = format!("{} {text}", self.number);
        self.writer.append(source, format!("{line}\n").as_bytes());
        self.want[source as usize].push(line);
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Lines(count) => {
                let lines: Vec<String> = (0..*count).map(|at| format!("{} of many", self.number + at + 1)).collect();
                self.number += count;
                self.writer.append(Source::Stdout, format!("{}\n", lines.join("\n")).as_bytes());
                self.want[0].extend(lines);
            }
            Step::Long(bytes) => self.line(&"é".repeat(*bytes)),
            Step::Prompt => {
                self.number += 1;
                let start = format!("{} name: ", self.number);
                self.writer.append(Source::Stdout, start.as_bytes());
                self.writer.flush();
                self.writer.append(Source::Stdout, b"joe\n");
                self.want[0].push(format!("{start}joe"));
            }
            Step::Ship => self.node.ship(),
            Step::Look => drop(self.node.look()),
            Step::Save => self.node.save(),
            Step::Crash => {
                // The writer is part of what crashes.
                self.node.crash();
                self.writer = self.node.logs.writer(&self.node.logs.log(0), self.limit, self.files);
            }
        }
    }

    fn shipped(&self, stream: &str) -> Vec<&str> {
        let of_stream = self.node.got.iter().filter(|(from, _, _)| from == stream);
        of_stream.map(|(_, body, _)| body.as_str()).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_line_once_and_in_order(steps in steps(false), limit in 3000..60_000_u64) {
        let mut play = Play::new(limit, 400);
        steps.iter().for_each(|step| play.step(step));
        play.node.end();
        prop_assert_eq!(play.shipped("stdout"), play.want[0].iter().map(String::as_str).collect::<Vec<_>>());
        prop_assert_eq!(play.shipped("stderr"), play.want[1].iter().map(String::as_str).collect::<Vec<_>>());
        prop_assert_eq!(play.node.lost, 0);
    }

    #[test]
    fn at_least_once_through_crashes_and_first_in_order(steps in steps(true), limit in 3000..60_000_u64) {
        let mut play = Play::new(limit, 400);
        steps.iter().for_each(|step| play.step(step));
        play.node.end();
        for (stream, want) in ["stdout", "stderr"].into_iter().zip(&play.want) {
            let mut seen = BTreeSet::new();
            let first: Vec<&str> = play.shipped(stream).into_iter().filter(|body| seen.insert(*body)).collect();
            prop_assert_eq!(first, want.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_was_rotated_away_is_counted_to_the_line(steps in steps(false), limit in 500..4000_u64, files in 1..4_u32) {
        let mut play = Play::new(limit, files);
        // Lines of one record each, so that lines and records count the same.
        let short = steps.iter().filter(|step| !matches!(step, Step::Long(_) | Step::Prompt));
        short.for_each(|step| play.step(step));
        play.node.end();
        let shipped = play.node.got.len() as u64;
        prop_assert_eq!(shipped + play.node.lost, play.number as u64);
        let wanted = play.want[0].iter().map(String::as_str);
        let mut wanted = wanted.skip_while(|line| shipped > 0 && *line != play.node.bodies()[0]);
        for body in play.node.bodies() {
            prop_assert!(wanted.any(|line| line == body), "{} out of order", body);
        }
    }
}

#[test]
fn a_torn_record_is_waited_for_and_never_swallows_the_next() {
    let mut node = Node::new();
    let path = node.logs.log(0);
    fs::write(&path, "2024-01-01T00:00:00.000000000Z stdout F one\n2024-01-01T00:00:00.0000").unwrap();
    node.reader.end(&node.logs.pod()).unwrap();
    node.ship_all();
    assert_eq!(node.bodies(), ["one"]);
    // The kill was in the middle of a write. The next writer goes on behind it.
    node.logs.writer(&path, 0, 5).append(Source::Stdout, b"two\n");
    node.ship_all();
    assert_eq!(node.bodies(), ["one", "two"]);
}

#[test]
fn a_record_that_is_finished_later_is_read_whole() {
    let mut node = Node::new();
    let path = node.logs.log(0);
    fs::write(&path, "2024-01-01T00:00:00.000000000Z stdout F on").unwrap();
    node.reader.end(&node.logs.pod()).unwrap();
    node.ship_all();
    assert!(node.got.is_empty());
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"e\nrubbish\n").unwrap();
    node.reader.end(&node.logs.pod()).unwrap();
    node.ship_all();
    assert_eq!(node.bodies(), ["one"]);
}

#[test]
fn a_sink_begins_with_what_is_written_from_then_on() {
    let mut node = Node::new();
    let path = node.logs.log(0);
    let mut writer = node.logs.writer(&path, 100, 5);
    (0..20).for_each(|n| writer.append(Source::Stdout, format!("old {n}\n").as_bytes()));
    node.listener = node.logs.notices.listen();
    node.reader = Reader::open(&node.logs.root(), "n", None).unwrap();
    // Killed before it shipped anything: it has begun all the same.
    node.save();
    node.crash();
    node.ship_all();
    assert!(node.got.is_empty(), "{:?}", node.got);
    writer.append(Source::Stdout, b"new\n");
    node.logs.writer(&node.logs.log(1), 100, 5).append(Source::Stdout, b"another\n");
    node.ship_all();
    assert_eq!(node.bodies().into_iter().collect::<BTreeSet<_>>(), BTreeSet::from(["another", "new"]));
}

#[test]
fn lines_beyond_the_bound_come_in_marked_parts() {
    let mut node = Node::new();
    let text = "x".repeat(LONGEST * 2 + 10);
    node.logs.writer(&node.logs.log(0), 0, 5).append(Source::Stdout, format!("{text}\nshort\n").as_bytes());
    node.end();
    let parts: Vec<_> = node.got.iter().map(|(_, body, part)| (body.len(), part.as_str())).collect();
    assert_eq!(parts, [(LONGEST, "start"), (LONGEST, "middle"), (10, "end"), (5, "")]);
}

#[test]
fn a_file_that_somebody_truncated_is_read_again_from_its_start() {
    let mut node = Node::new();
    let path = node.logs.log(0);
    node.logs.writer(&path, 0, 5).append(Source::Stdout, b"one\ntwo\nthree\n");
    node.ship_all();
    let first = fs::read(&path).unwrap().iter().position(|b| *b == b'\n').unwrap() as u64 + 1;
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(first).unwrap();
    node.logs.writer(&path, 0, 5).append(Source::Stdout, b"four\n");
    node.ship_all();
    assert_eq!(node.bodies(), ["one", "two", "three", "one", "four"]);
}

#[test]
fn an_inode_that_is_used_again_is_another_file() {
    let mut node = Node::new();
    let path = node.logs.log(0);
    node.logs.writer(&path, 0, 5).append(Source::Stdout, b"a line of some length\n");
    node.ship_all();
    // Somebody removes it and the next file gets its inode, which file systems like to do.
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    node.logs.writer(&path, 0, 5).append(Source::Stdout, b"and now for something different\n");
    // It is looked for over a while before it counts as gone.
    let begun = Instant::now();
    while node.got.len() < 2 && begun.elapsed() < Duration::from_secs(30) {
        node.ship_all();
        node.reader.wake(Instant::now());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(node.bodies().last(), Some(&"and now for something different"));
}

#[test]
fn records_say_what_they_are_of_and_when() {
    let mut node = Node::new();
    fs::write(node.logs.log(2), "2024-01-01T00:00:00.000000007Z stderr F \u{1F980}\n").unwrap();
    node.reader.end(&node.logs.pod()).unwrap();
    let parcel = node.look();
    let record = &parcel.batch.records[0];
    assert_eq!((record.time_unix_nano, record.body.as_str()), (1_704_067_200_000_000_007, "\u{1F980}"));
    let origin = &parcel.batch.origins[record.origin as usize].attributes;
    let value = |key: &str| origin.iter().find(|label| label.key == key).map(|label| label.value.as_str());
    assert_eq!(value("k8s.pod.name"), Some("web"));
    assert_eq!(value("k8s.container.restart_count"), Some("2"));
    assert_eq!(value("container.id"), Some("u-1-app-2"));
    assert_eq!(node.got[0].0, "stderr");
}

#[test]
fn a_batch_is_bounded_and_logs_take_turns() {
    let mut node = Node::new();
    let mut chatty = node.logs.writer(&node.logs.log(0), 0, 5);
    let block = format!("{}\n", "y".repeat(1000)).repeat(1000);
    (0..20).for_each(|_| chatty.append(Source::Stdout, block.as_bytes()));
    node.logs.writer(&node.logs.log(1), 0, 5).append(Source::Stdout, b"quiet\n");
    let (mut batches, mut heard) = (0, None);
    while node.reader.is_ready() || batches == 0 {
        let parcel = node.look();
        batches += 1;
        assert!(parcel.bytes <= (1 << 20) + 300 * 1024, "{} bytes", parcel.bytes);
        if got(&parcel).iter().any(|(_, body, _)| body == "quiet") {
            heard = heard.or(Some(batches));
        }
        node.reader.settle(&parcel.places);
    }
    assert!(batches >= 19 && heard.is_some_and(|at| at <= 2), "{heard:?} of {batches}");
}
