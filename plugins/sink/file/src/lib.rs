//! Writes records as JSON lines into the directory that the bundle grants as `records`. A line has the names of
//! OpenTelemetry's log data model: `Timestamp` (nanoseconds since 1970, as text), `SeverityNumber`, `Body`,
//! `Attributes`, `Resource` (what the record is about).
//!
//! - One file a day (`2026-01-02.jsonl`) or one per origin (`default_web-1_app.jsonl`), as `split` says. A file that
//!   would outgrow `max-bytes` is set aside under the next number (`2026-01-02.000001.jsonl`); a file exceeds the limit
//!   only when a single batch does. The oldest files beyond `max-files` are removed: of the directory with `day`, of
//!   the origin with `origin`.
//! - What is durable: with `sync = "batch"` a batch is accepted once its files were synced to the disk; with
//!   `sync = "never"` once the kernel has it, which survives a crash of the host but not of the machine.
//! - A batch is written whole or not at all: after a failure the files get back their former length, and the batch is
//!   asked for again later. A line that a crash cut short is removed when its file is next opened; the host offers
//!   its batch again.

mod directory;
mod line;
mod options;
mod sink;

pub use sink::Files;

gantry_sdk::plugin!(manifest: "manifest.toml", sink: Files);
