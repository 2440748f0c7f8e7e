//! Reads a log back: across cut files, from some point on, and on as it grows.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, Stream};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::cri::Record;
use super::files;

/// How long a follower that has seen everything waits before it looks again.
const PAUSE: Duration = Duration::from_millis(100);
/// Answered at once at most, so that a slow reader holds little.
const CHUNK: usize = 64 * 1024;

/// What of a log is wanted: the options of `pods/log`. The log of a previous attempt is another path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Go on as it grows.
    pub follow: bool,
    /// Only so many of the last lines.
    pub tail_lines: Option<u64>,
    /// Only what was written then or later.
    pub since: Option<Timestamp>,
    /// Each line's time before it.
    pub timestamps: bool,
    /// Stop after so many bytes.
    pub limit_bytes: Option<u64>,
}

/// Reads a log. A follower ends once `ended` is ready (the container has ended and its last output is written) and
/// all of it was read; a log that is not there (yet) is empty.
pub fn read(
    path: PathBuf,
    query: LogQuery,
    ended: impl Future<Output = ()> + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        if let Err(error) = pump(path, query, ended, &sender).await {
            // The reader may have gone; then nobody wants to know.
            let _ = sender.send(Err(error)).await;
        }
    });
    ReceiverStream::new(receiver)
}

async fn pump(
    path: PathBuf,
    query: LogQuery,
    ended: impl Future<Output = ()> + Send + 'static,
    sender: &mpsc::Sender<io::Result<Bytes>>,
) -> io::Result<()> {
    let mut ended = std::pin::pin!(ended.fuse());
    let mut over = false;
    let mut cursor = blocking(move || Cursor::open(path, query)).await?;
    loop {
        let (back, step) = blocking(move || {
            let step = cursor.step()?;
            Ok((cursor, step))
        })
        .await?;
        cursor = back;
        if !step.bytes.is_empty() && sender.send(Ok(step.bytes)).await.is_err() {
            return Ok(());
        }
        if step.done || (step.at_end && (over || !cursor.query.follow)) {
            return Ok(());
        }
        if step.at_end {
            tokio::select! {
                // One more look: the last lines came before the end.
                () = &mut ended, if !over => over = true,
                () = sender.closed() => return Ok(()),
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// A reader's place.
struct Cursor {
    path: PathBuf,
    query: LogQuery,
    /// Files still to read, the current one first.
    files: VecDeque<BufReader<File>>,
    /// A record of which only the start is written.
    torn: Vec<u8>,
    /// The last text was the start of a line: what follows needs no time before it.
    inside: bool,
    left: u64,
}

struct Step {
    bytes: Bytes,
    /// Everything that is there was read.
    at_end: bool,
    /// Nothing more is wanted.
    done: bool,
}

impl Cursor {
    fn open(path: PathBuf, query: LogQuery) -> io::Result<Self> {
        let mut files: VecDeque<_> = files::open_all(&path)?.into_iter().map(BufReader::new).collect();
        if let Some(lines) = query.tail_lines {
            seek_tail(&mut files, lines)?;
        }
        let left = query.limit_bytes.unwrap_or(u64::MAX);
        Ok(Self { path, query, files, torn: Vec::new(), inside: false, left })
    }

    fn step(&mut self) -> io::Result<Step> {
        let mut out = Vec::new();
        let mut at_end = false;
        while out.len() < CHUNK && self.left > 0 {
            let Some(file) = self.files.front_mut() else {
                if !self.reopen()? {
                    at_end = true;
                    break;
                }
                continue;
            };
            if file.read_until(b'\n', &mut self.torn)? > 0 && self.torn.ends_with(b"\n") {
                let line = std::mem::take(&mut self.torn);
                self.put(&line, &mut out);
                self.torn = line;
                self.torn.clear();
            } else if !self.next_file()? {
                at_end = true;
                break;
            }
        }
        Ok(Step { bytes: out.into(), at_end, done: self.left == 0 })
    }

    /// The log came to be after it was asked for.
    fn reopen(&mut self) -> io::Result<bool> {
        self.files = files::open_all(&self.path)?.into_iter().map(BufReader::new).collect();
        Ok(!self.files.is_empty())
    }

    /// Leaves a file that is read to its end and was cut.
    fn next_file(&mut self) -> io::Result<bool> {
        if self.files.len() > 1 {
            self.files.pop_front();
            self.torn.clear();
            return Ok(true);
        }
        let Some(file) = self.files.front_mut() else { return Ok(false) };
        let Some(next) = files::after(&self.path, file.get_ref())? else { return Ok(false) };
        // More may have been written between the last read and the cut.
        if !file.fill_buf()?.is_empty() {
            return Ok(true);
        }
        self.torn.clear();
        self.files = VecDeque::from([BufReader::new(next)]);
        Ok(true)
    }

    fn put(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let Some(record) = Record::parse(line) else { return };
        let early = |since: Timestamp| record.at().is_some_and(|at| at < since);
        if self.query.since.is_some_and(early) {
            return;
        }
        let before = out.len();
        if self.query.timestamps && !self.inside {
            out.extend_from_slice(record.time.as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(record.text);
        if record.full {
            out.push(b'\n');
        }
        self.inside = !record.full;
        let added = (out.len() - before) as u64;
        if added > self.left {
            out.truncate(before + usize::try_from(self.left).unwrap_or(usize::MAX));
        }
        self.left = self.left.saturating_sub(added);
    }
}

/// Puts the files where their last `lines` lines begin; drops those before. Reads whole files, the newest first.
fn seek_tail(files: &mut VecDeque<BufReader<File>>, lines: u64) -> io::Result<()> {
    let mut wanted = usize::try_from(lines).unwrap_or(usize::MAX);
    let mut kept = VecDeque::new();
    while let Some(mut file) = files.pop_back() {
        let starts = line_starts(&mut file, wanted)?;
        let found = starts.len();
        let at = match starts.front() {
            Some(at) if found >= wanted => *at,
            _ if wanted == 0 => file.seek(SeekFrom::End(0))?,
            _ => 0,
        };
        file.seek(SeekFrom::Start(at))?;
        kept.push_front(file);
        wanted = wanted.saturating_sub(found);
        if wanted == 0 {
            break;
        }
    }
    *files = kept;
    Ok(())
}

/// Where the last `keep` lines of a file begin.
fn line_starts(file: &mut BufReader<File>, keep: usize) -> io::Result<VecDeque<u64>> {
    let mut starts = VecDeque::new();
    let (mut at, mut inside, mut line) = (0, false, Vec::new());
    while keep > 0 && file.read_until(b'\n', &mut line)? > 0 {
        let full = is_full(&line);
        if !inside {
            if starts.len() == keep {
                starts.pop_front();
            }
            starts.push_back(at);
        }
        inside = !full;
        at += line.len() as u64;
        line.clear();
    }
    Ok(starts)
}

fn is_full(line: &[u8]) -> bool {
    Record::parse(line.strip_suffix(b"\n").unwrap_or(line)).is_none_or(|r| r.full)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use futures::StreamExt;
    use tokio::sync::oneshot;

    use super::*;
    use crate::logs::{Limit, LogWriter, Source};

    async fn all(path: &Path, query: LogQuery) -> String {
        let parts: Vec<_> = read(path.to_owned(), query, std::future::pending()).collect().await;
        parts.into_iter().map(|p| String::from_utf8(p.unwrap().to_vec()).unwrap()).collect()
    }

    #[tokio::test]
    async fn a_log_reads_back_across_cuts_and_parts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        assert_eq!(all(&path, LogQuery::default()).await, "");
        let mut writer = LogWriter::new(&path, Limit { bytes: 40_000, files: 10 });
        let mut want = String::new();
        for n in 0..2000 {
            let line = format!("line {n}\n");
            writer.append(Source::Stdout, line.as_bytes());
            want.push_str(&line);
        }
        let long = format!("{}\n", "x".repeat(20_000));
        writer.append(Source::Stdout, long.as_bytes());
        want.push_str(&long);
        writer.append(Source::Stderr, b"no end");
        writer.flush();
        want.push_str("no end");
        assert_eq!(all(&path, LogQuery::default()).await, want);
        for lines in [0, 1, 2, 3, 500, 1500, 9999] {
            let got = all(&path, LogQuery { tail_lines: Some(lines), ..LogQuery::default() }).await;
            let skip = want.lines().count().saturating_sub(usize::try_from(lines).unwrap());
            let tail: String = want.split_inclusive('\n').skip(skip).collect();
            assert_eq!(got, tail, "{lines}");
        }
        let got = all(&path, LogQuery { limit_bytes: Some(10), ..LogQuery::default() }).await;
        assert_eq!(got, "line 0\nlin");
    }

    #[tokio::test]
    async fn times_are_shown_and_filter() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        std::fs::write(
            &path,
            "2024-01-01T00:00:00.000000000Z stdout F old\n\
             2024-01-01T00:00:02.500000000Z stdout P ne\nrubbish\n2024-01-01T00:00:02.600000000Z stdout F w\n",
        )
        .unwrap();
        let since = Some("2024-01-01T00:00:01Z".parse().unwrap());
        let query = LogQuery { since, timestamps: true, ..LogQuery::default() };
        assert_eq!(all(&path, query).await, "2024-01-01T00:00:02.500000000Z new\n");
    }

    #[tokio::test]
    async fn a_follower_sees_everything_through_cuts_and_ends_with_the_container() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let (end, ended) = oneshot::channel::<()>();
        let query = LogQuery { follow: true, ..LogQuery::default() };
        let stream = read(path.clone(), query, async move {
            let _ = ended.await;
        });
        let writing = tokio::task::spawn_blocking(move || {
            let mut writer = LogWriter::new(&path, Limit { bytes: 50_000, files: 50 });
            for n in 0..5000 {
                writer.append(Source::Stdout, format!("{n}\n").as_bytes());
                if n % 100 == 0 {
                    std::thread::yield_now();
                }
            }
            drop(end);
        });
        let parts: Vec<_> = stream.collect().await;
        writing.await.unwrap();
        let got: String = parts.into_iter().map(|p| String::from_utf8(p.unwrap().to_vec()).unwrap()).collect();
        let want: String = (0..5000).map(|n| format!("{n}\n")).collect();
        assert_eq!(got.len(), want.len());
        assert_eq!(got, want);
    }
}
