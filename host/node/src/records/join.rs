//! Puts lines together that the log's writer had to cut, within bounds.

use std::time::Instant;

use super::place::Place;
use crate::logs::{Record, Source};

/// The longest line that is put together, in bytes; of a longer one every record has so much.
pub const LONGEST: usize = 256 * 1024;

/// A line, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When its first byte was written, in nanoseconds since 1970.
    pub time: u64,
    /// Where it came from.
    pub source: Source,
    /// Without the line's end. What is not UTF-8 was replaced.
    pub body: String,
    /// Which part of a line it is.
    pub part: Part,
}

/// Which part of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// More may follow.
    Start,
    /// Neither the first nor the last.
    Middle,
    /// The last.
    End,
}

impl Part {
    /// As the record's attribute `log.line.part` says it.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Whole => None,
            Self::Start => Some("start"),
            Self::Middle => Some("middle"),
            Self::End => Some("end"),
        }
    }
}

/// Lines of one log that have begun and not ended.
#[derive(Debug, Default)]
pub struct Joiner {
    streams: [Stream; 2],
}

#[derive(Debug, Default)]
struct Stream {
    text: Vec<u8>,
    time: u64,
    /// Where the text begins, and since when it waits.
    begun: Option<(Place, Instant)>,
    /// A part of the line was given out.
    inside: bool,
}

impl Joiner {
    /// One that goes on at a place.
    pub fn at(place: &Place) -> Self {
        let mut joiner = Self::default();
        for (stream, inside) in joiner.streams.iter_mut().zip(place.inside) {
            stream.inside = inside;
        }
        joiner
    }

    /// Takes a record that stands at `place`. Lines that it completes, and parts of lines beyond `longest` bytes (four at
    /// least, so that any character fits), go to `out`.
    pub fn put(&mut self, record: &Record, time: u64, place: &Place, longest: usize, out: &mut impl FnMut(Line)) {
        let place = Place { inside: self.inside(), ..*place };
        let [stdout, stderr] = &mut self.streams;
        let stream = match record.source {
            Source::Stdout => stdout,
            Source::Stderr => stderr,
        };
        let source = record.source;
        if record.full && !stream.inside && stream.text.is_empty() {
            out(Line { time, source, body: text(record.text), part: Part::Whole });
            return;
        }
        if stream.begun.is_none() {
            stream.begun = Some((place, Instant::now()));
            stream.time = time;
        }
        stream.text.extend_from_slice(record.text);
        while stream.text.len() > longest {
            let rest = stream.text.split_off(boundary(&stream.text, longest));
            stream.give(source, out);
            stream.text = rest;
            stream.begun = Some((place, Instant::now()));
            stream.time = time;
        }
        if record.full {
            let part = if stream.inside { Part::End } else { Part::Whole };
            out(Line { time: stream.time, source, body: text(&stream.text), part });
            *stream = Stream::default();
        }
    }

    /// Gives out what waits.
    pub fn flush(&mut self, out: &mut impl FnMut(Line)) {
        for (stream, source) in self.streams.iter_mut().zip([Source::Stdout, Source::Stderr]) {
            if !stream.text.is_empty() {
                stream.give(source, out);
            }
            stream.begun = None;
        }
    }

    /// What may be counted as given out when all before `read` was put in.
    pub fn settled(&self, read: Place) -> Place {
        let read = Place { inside: self.inside(), ..read };
        let waiting = self.streams.iter().filter_map(|stream| stream.begun);
        // Both were put in by this reader, the earlier one first.
        waiting.min_by_key(|(_, since)| *since).map_or(read, |(place, _)| place)
    }

    fn inside(&self) -> [bool; 2] {
        self.streams.each_ref().map(|stream| stream.inside)
    }

    /// Since when the oldest text waits.
    pub fn waits_since(&self) -> Option<Instant> {
        self.streams.iter().filter_map(|stream| stream.begun).map(|(_, since)| since).min()
    }

    /// Bytes that wait.
    pub fn held(&self) -> usize {
        self.streams.iter().map(|stream| stream.text.len()).sum()
    }
}

impl Stream {
    fn give(&mut self, source: Source, out: &mut impl FnMut(Line)) {
        let part = if self.inside { Part::Middle } else { Part::Start };
        out(Line { time: self.time, source, body: text(&self.text), part });
        self.text = Vec::new();
        self.inside = true;
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The most bytes up to `most`, at least one, that do not end inside a character.
fn boundary(bytes: &[u8], most: usize) -> usize {
    let is_inside = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
    let back = (0..4).find(|back| *back < most && !is_inside(most - back));
    most - back.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(joiner: &mut Joiner, text: &str, full: bool, source: Source, longest: usize) -> Vec<(String, Part)> {
        let record = Record { time: "", source, full, text: text.as_bytes() };
        let mut lines = Vec::new();
        joiner.put(&record, 1, &Place { lines: 7, ..Place::default() }, longest, &mut |line| lines.push(line));
        lines.into_iter().map(|line| (line.body, line.part)).collect()
    }

    fn line(body: &str, part: Part) -> (String, Part) {
        (body.to_owned(), part)
    }

    #[test]
    fn parts_become_a_line_and_streams_do_not_mix() {
        let mut joiner = Joiner::default();
        assert!(put(&mut joiner, "a", false, Source::Stdout, 99).is_empty());
        assert_eq!(put(&mut joiner, "err", true, Source::Stderr, 99), [line("err", Part::Whole)]);
        assert_eq!(joiner.settled(Place { lines: 9, ..Place::default() }).lines, 7);
        assert_eq!(put(&mut joiner, "b", true, Source::Stdout, 99), [line("ab", Part::Whole)]);
        assert_eq!(joiner.settled(Place { lines: 9, ..Place::default() }).lines, 9);
        assert_eq!(joiner.held(), 0);
    }

    #[test]
    fn long_lines_are_cut_between_characters_and_marked() {
        let mut joiner = Joiner::default();
        // Eight bytes each: the bound falls into a character.
        assert_eq!(put(&mut joiner, "ääää", false, Source::Stdout, 5), [line("ää", Part::Start)]);
        assert_eq!(put(&mut joiner, "ö", false, Source::Stdout, 5), [line("ää", Part::Middle)]);
        let place = joiner.settled(Place::default());
        assert_eq!(put(&mut joiner, "!", true, Source::Stdout, 5), [line("ö!", Part::End)]);
        assert_eq!(put(&mut joiner, "x", true, Source::Stdout, 5), [line("x", Part::Whole)]);
        // Whoever starts again inside the line knows that it is.
        let mut again = Joiner::at(&Place { inside: [true, false], ..place });
        assert_eq!(put(&mut again, "ö!", true, Source::Stdout, 5), [line("ö!", Part::End)]);
    }

    #[test]
    fn what_waits_can_be_given_out_early() {
        let mut joiner = Joiner::default();
        put(&mut joiner, "name: ", false, Source::Stdout, 99);
        assert!(joiner.waits_since().is_some());
        let mut lines = Vec::new();
        joiner.flush(&mut |line| lines.push((line.body, line.part)));
        joiner.flush(&mut |_| panic!("nothing is left"));
        assert_eq!(lines, [line("name: ", Part::Start)]);
        assert!(joiner.waits_since().is_none());
        assert_eq!(joiner.settled(Place::default()).inside, [true, false]);
        assert_eq!(put(&mut joiner, "joe", true, Source::Stdout, 99), [line("joe", Part::End)]);
    }
}
