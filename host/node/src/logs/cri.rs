//! One record: `2026-01-02T03:04:05.678901234Z stdout F text`. `P` marks a line that goes on in the next record of the
//! same stream.

use std::fmt::Write;

use jiff::Timestamp;

/// Which of a process's two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// Standard output, and everything on a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Source {
    /// As records name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// A parsed record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// As written.
    pub time: &'a str,
    /// Where it came from.
    pub source: Source,
    /// The line ends here.
    pub full: bool,
    /// Without the line's end.
    pub text: &'a [u8],
}

impl<'a> Record<'a> {
    /// Parses a record without its `\n`. `None`: not a record (a torn write, another program's file).
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let (time, rest) = split(line)?;
        let (source, rest) = split(rest)?;
        let source = match source {
            b"stdout" => Source::Stdout,
            b"stderr" => Source::Stderr,
            _ => return None,
        };
        // A tag may carry more than its first letter, after colons.
        let (tag, text) = split(rest).unwrap_or((rest, &[]));
        let full = match tag.first()? {
            b'F' => true,
            b'P' => false,
            _ => return None,
        };
        Some(Self { time: std::str::from_utf8(time).ok()?, source, full, text })
    }

    /// When it was written.
    pub fn at(&self) -> Option<Timestamp> {
        self.time.parse().ok()
    }
}

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|b| *b == b' ')?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

/// What stands before a text: made once for all lines that arrive together.
pub struct Prefix {
    full: String,
    part: String,
}

impl Prefix {
    pub fn new(at: Timestamp, source: Source) -> Self {
        let mut head = String::with_capacity(48);
        // Nine digits always: readers compare these texts.
        let _ = write!(head, "{at:.9} {} ", source.name());
        Self { full: format!("{head}F "), part: format!("{head}P ") }
    }

    /// Appends a record.
    pub fn put(&self, out: &mut Vec<u8>, full: bool, text: &[u8]) {
        out.extend_from_slice(if full { self.full.as_bytes() } else { self.part.as_bytes() });
        out.extend_from_slice(text);
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_as_it_was_written() {
        let at = Timestamp::from_nanosecond(1_700_000_000_120_000_000).unwrap();
        for (source, full, text) in [
            (Source::Stdout, true, &b"hello  world"[..]),
            (Source::Stderr, false, b""),
            (Source::Stdout, true, b"\xff\x00 x"),
        ] {
            let mut out = Vec::new();
            Prefix::new(at, source).put(&mut out, full, text);
            let line = out.strip_suffix(b"\n").unwrap();
            let record = Record::parse(line).unwrap();
            assert_eq!(record, Record { time: "2023-11-14T22:13:20.120000000Z", source, full, text });
            assert_eq!(record.at(), Some(at));
        }
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for line in ["", "x", "2023 stdin F x", "2023 stdout X x", "2023 stdout"] {
            assert_eq!(Record::parse(line.as_bytes()), None, "{line}");
        }
        assert_eq!(Record::parse(b"t stdout F").map(|r| r.text), Some(&b""[..]));
    }
}
