//! Lines that a plugin writes, through `log` or by printing: they go to the host's log under the plugin's name, and the
//! last ones are kept for the case that it traps.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::bindings::platform::gantry::plugin::log::Level;

/// Lines kept for a trap.
const KEPT: usize = 20;
/// Longer lines are cut.
const LINE: usize = 8 * 1024;
/// Lines a second that reach the log; a plugin that prints in a loop must not fill the disk.
const RATE: u32 = 200;

/// The last lines of one instance.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<VecDeque<String>>>);

impl Lines {
    fn push(&self, line: &str) {
        let mut lines = lock(&self.0);
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        lock(&self.0).drain(..).collect()
    }
}

/// Where all instances of a plugin log.
pub(crate) struct Logger {
    plugin: String,
    version: String,
    budget: Mutex<Budget>,
}

struct Budget {
    since: Instant,
    written: u32,
    dropped: u64,
}

impl Logger {
    pub(crate) fn new(plugin: &str, version: &str) -> Self {
        let budget = Budget { since: Instant::now(), written: 0, dropped: 0 };
        Self { plugin: plugin.to_owned(), version: version.to_owned(), budget: Mutex::new(budget) }
    }

    /// One line, or several if `message` has line breaks.
    pub(crate) fn write(&self, lines: &Lines, level: Level, target: &str, message: &str) {
        for line in message.lines() {
            let line = cut(line);
            lines.push(line);
            if self.admit() {
                self.emit(level, target, line);
            }
        }
    }

    pub(crate) fn stream(self: &Arc<Self>, lines: Lines, name: &'static str) -> Printed {
        Printed { logger: self.clone(), lines, name, partial: Arc::default() }
    }

    fn admit(&self) -> bool {
        let mut budget = lock(&self.budget);
        if budget.since.elapsed() >= Duration::from_secs(1) {
            let dropped = std::mem::take(&mut budget.dropped);
            if dropped > 0 {
                tracing::warn!(
                    plugin = self.plugin,
                    version = self.version,
                    dropped,
                    "log lines past the limit dropped"
                );
            }
            *budget = Budget { since: Instant::now(), written: 0, dropped: 0 };
        }
        if budget.written < RATE {
            budget.written += 1;
            return true;
        }
        budget.dropped += 1;
        false
    }

    fn emit(&self, level: Level, at: &str, line: &str) {
        let (plugin, version) = (&self.plugin, &self.version);
        match level {
            Level::Trace => tracing::trace!(plugin, version, at, "{line}"),
            Level::Debug => tracing::debug!(plugin, version, at, "{line}"),
            Level::Info => tracing::info!(plugin, version, at, "{line}"),
            Level::Warn => tracing::warn!(plugin, version, at, "{line}"),
            Level::Error => tracing::error!(plugin, version, at, "{line}"),
        }
    }
}

/// stdout or stderr of an instance, line by line. Written in place and not by a task, so that what a panic prints is
/// there when the trap is reported.
#[derive(Clone)]
pub(crate) struct Printed {
    logger: Arc<Logger>,
    lines: Lines,
    name: &'static str,
    partial: Arc<Mutex<Vec<u8>>>,
}

impl Printed {
    fn take(&self, bytes: &[u8]) {
        let mut partial = lock(&self.partial);
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || partial.len() >= LINE {
                let line = String::from_utf8_lossy(&partial).into_owned();
                partial.clear();
                self.logger.write(&self.lines, Level::Info, self.name, &line);
            }
        }
    }
}

impl IsTerminal for Printed {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Printed {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for this kind of stream, which is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Printed {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for Printed {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 * 1024)
    }
}

fn cut(line: &str) -> &str {
    let mut end = line.len().min(LINE);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line.get(..end).unwrap_or(line)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_pieces_into_lines_and_keeps_the_last() {
        let logger = Arc::new(Logger::new("p", "1.0.0"));
        let lines = Lines::default();
        let printed = logger.stream(lines.clone(), "stderr");
        printed.take(b"thread 'main' pan");
        printed.take("icked\nsch\u{f6}n".as_bytes());
        assert_eq!(lines.take(), ["thread 'main' panicked"]);
        for n in 0..100 {
            printed.take(format!("{n}\n").as_bytes());
        }
        let kept = lines.take();
        assert_eq!((kept.len(), kept.last().map(String::as_str)), (KEPT, Some("99")));
    }

    #[test]
    fn drops_lines_past_the_rate() {
        let logger = Logger::new("p", "1.0.0");
        let admitted = (0..RATE * 2).filter(|_| logger.admit()).count();
        assert!(admitted >= RATE as usize && admitted < RATE as usize * 2, "{admitted}");
    }

    #[test]
    fn cuts_between_characters() {
        let long = "\u{f6}".repeat(LINE);
        assert_eq!(cut(&long).len(), LINE);
        assert_eq!(cut(&format!("x{long}")).len(), LINE - 1);
    }
}
