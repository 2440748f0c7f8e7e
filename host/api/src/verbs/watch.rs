//! Watching objects: a line of JSON for each change.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use gantry_model::status::{Cause, Reason};
use gantry_model::{Kind, Record, Status};
use gantry_objects::{Change, Changes, ListOptions, WatchOptions};
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::list::{self, too_new};
use super::{Call, read, render, table};
use crate::wire::negotiate::Form;
use crate::wire::query::invalid_option;
use crate::wire::reply::{self, Response};

/// How often a silent watch says where it is.
const BOOKMARKS: Duration = Duration::from_secs(60);
/// How long a watch runs whose client does not say.
const DEFAULT_SECONDS: u64 = 45 * 60;
const MAX_SECONDS: u64 = 24 * 3600;
/// The initial objects of a watch are sent in pieces of about this many bytes.
const PIECE: usize = 64 << 10;

impl Call<'_> {
    pub(crate) fn watch(&self, kind: &Arc<Kind>, headers: &HeaderMap) -> Result<Response, Status> {
        let form = read::accepted(headers)?;
        let include = table::Include::of(self.query)?;
        let start = self.watch_start(kind)?;
        let options = WatchOptions {
            namespace: start.options.namespace.clone(),
            label_selector: start.options.label_selector.clone(),
            field_selector: start.options.field_selector.clone(),
            from: Some(start.from),
        };
        let changes = self.app.objects.watch(kind, &options)?;
        let seconds = self.query.number::<u64>("timeoutSeconds")?.filter(|s| *s > 0).unwrap_or(DEFAULT_SECONDS);
        let now = Instant::now();
        let watch = Watching {
            changes,
            initial: start.initial,
            initial_end: start.mark.then_some(start.from),
            writer: Writer::new(kind.clone(), form, include),
            bookmarks: self.query.flag("allowWatchBookmarks")?,
            next_bookmark: now + BOOKMARKS,
            deadline: now + Duration::from_secs(seconds.min(MAX_SECONDS)),
            stop: self.app.stop.clone(),
            over: false,
        };
        let lines = futures::stream::unfold(watch, |mut watch| async move {
            let piece = watch.next().await?;
            Some((Ok::<_, std::io::Error>(piece), watch))
        });
        Ok(reply::stream(reply::JSON, Body::from_stream(lines)))
    }

    /// Where the watch begins, and with which objects.
    fn watch_start(&self, kind: &Kind) -> Result<Start, Status> {
        let asked = list::revision(self.query)?;
        let current = self.app.objects.store().revision();
        if let Some(asked) = asked.filter(|asked| *asked > current) {
            return Err(too_new(asked, current));
        }
        let mut options = self.list_options(kind)?;
        (options.limit, options.continue_token) = (0, None);
        let send =
            self.query.get("sendInitialEvents").is_some().then(|| self.query.flag("sendInitialEvents")).transpose()?;
        match self.query.get("resourceVersionMatch") {
            None if send.is_some() => return Err(initial_events_need_match()),
            Some(_) if send.is_none() => return Err(match_needs_initial_events()),
            Some("NotOlderThan") | None => {}
            Some(_) => return Err(initial_events_need_match()),
        }
        let everything = match (send, asked) {
            (Some(send), _) => send,
            (None, asked) => asked.is_none(),
        };
        if !everything {
            return Ok(Start { options, from: asked.unwrap_or(current), initial: VecDeque::new(), mark: false });
        }
        let list = self.app.objects.list(kind, &options)?;
        Ok(Start { options, from: list.revision, initial: list.items.into(), mark: send == Some(true) })
    }
}

struct Start {
    options: ListOptions,
    from: u64,
    initial: VecDeque<Arc<Record>>,
    /// Whether the end of the initial objects is to be marked.
    mark: bool,
}

fn initial_events_need_match() -> Status {
    invalid_option(Cause::forbidden(
        "sendInitialEvents",
        "sendInitialEvents needs resourceVersionMatch=NotOlderThan, which nothing else may use on a watch",
    ))
}

fn match_needs_initial_events() -> Status {
    invalid_option(Cause::forbidden(
        "resourceVersionMatch",
        "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
    ))
}

struct Watching {
    changes: Changes,
    initial: VecDeque<Arc<Record>>,
    initial_end: Option<u64>,
    writer: Writer,
    bookmarks: bool,
    next_bookmark: Instant,
    deadline: Instant,
    stop: CancellationToken,
    over: bool,
}

impl Watching {
    /// The next lines; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if self.over {
            return None;
        }
        let mut out = Vec::new();
        if self.first(&mut out) {
            return Some(out.into());
        }
        tokio::select! {
            changes = self.changes.next() => match changes {
                Ok(changes) => changes.iter().for_each(|change| self.writer.change(change, &mut out)),
                Err(status) => {
                    self.over = true;
                    Writer::error(&status, &mut out);
                }
            },
            () = tokio::time::sleep_until(self.next_bookmark), if self.bookmarks => {
                self.next_bookmark = Instant::now() + BOOKMARKS;
                self.writer.bookmark(self.changes.revision(), false, &mut out);
            }
            () = tokio::time::sleep_until(self.deadline) => self.end(&mut out),
            () = self.stop.cancelled() => self.end(&mut out),
        }
        Some(out.into())
    }

    /// Writes a piece of what was there before the watch; false when there is none left.
    fn first(&mut self, out: &mut Vec<u8>) -> bool {
        while out.len() < PIECE {
            let Some(record) = self.initial.pop_front() else { break };
            self.writer.change(&Change::Added(record), out);
        }
        if self.initial.is_empty()
            && let Some(revision) = self.initial_end.take()
        {
            self.writer.bookmark(revision, true, out);
        }
        !out.is_empty()
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.over = true;
        if self.bookmarks {
            self.writer.bookmark(self.changes.revision(), false, out);
        }
    }
}

/// Writes events in the form that the client asked for.
struct Writer {
    kind: Arc<Kind>,
    begin: String,
    form: Form,
    include: table::Include,
    /// A table's columns are sent once.
    columns_sent: bool,
}

impl Writer {
    fn new(kind: Arc<Kind>, form: Form, include: table::Include) -> Self {
        let begin = render::head(&kind);
        Self { kind, begin, form, include, columns_sent: false }
    }

    fn change(&mut self, change: &Change, out: &mut Vec<u8>) {
        let (name, record) = match change {
            Change::Added(record) => ("ADDED", record),
            Change::Modified(record) => ("MODIFIED", record),
            Change::Deleted(record) => ("DELETED", record),
        };
        open(name, out);
        match self.form {
            Form::Object => render::append_served(&self.begin, record, out),
            Form::Metadata => append(&table::metadata_of(record), out),
            Form::Table => {
                let columns = !std::mem::replace(&mut self.columns_sent, true);
                table::event(&self.kind, record, self.include, columns, out);
            }
        }
        out.extend_from_slice(b"}\n");
    }

    fn bookmark(&self, revision: u64, initial_end: bool, out: &mut Vec<u8>) {
        let mut metadata = json!({ "resourceVersion": revision.to_string(), "creationTimestamp": null });
        if let (true, Some(map)) = (initial_end, metadata.as_object_mut()) {
            map.insert("annotations".to_owned(), json!({ "k8s.io/initial-events-end": "true" }));
        }
        let object = match self.form {
            Form::Object => {
                json!({ "kind": self.kind.kind, "apiVersion": self.kind.api_version(), "metadata": metadata })
            }
            Form::Metadata => table::partial(metadata),
            Form::Table => table::bookmark(metadata),
        };
        open("BOOKMARK", out);
        append(&object, out);
        out.extend_from_slice(b"}\n");
    }

    fn error(status: &Status, out: &mut Vec<u8>) {
        open("ERROR", out);
        append(&status.to_json(), out);
        out.extend_from_slice(b"}\n");
        if status.reason != Reason::Expired {
            tracing::warn!(error = %status, "a watch ended with an error");
        }
    }
}

fn open(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\",\"object\":");
}

fn append(value: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(value.to_string().as_bytes());
}
