//! `objects` as a guest calls it: grants first, then the host's objects.

use std::borrow::Cow;

use serde::Deserialize;

use super::Host;
use crate::bindings::platform::gantry::plugin as wit;
use crate::family::objects::{Event, Query, Subresource, Write, Written};
use crate::family::{Error, ErrorCode, KindRef, ObjectRef, RetryHint};
use crate::grants::text;

impl wit::objects::Host for Host {
    async fn get(&mut self, target: ObjectRef) -> Result<Vec<u8>, Error> {
        self.granted(&target.kind, "get")?;
        let answer = self.plugin.objects.get(target).await;
        self.plugin.health.moved_in(answer.as_ref().map_or(0, Vec::len));
        answer
    }

    async fn list(&mut self, query: Query) -> Result<Vec<u8>, Error> {
        self.granted(&query.kind, "list")?;
        let answer = self.plugin.objects.list(query).await;
        self.plugin.health.moved_in(answer.as_ref().map_or(0, Vec::len));
        answer
    }

    async fn apply(&mut self, writes: Vec<Write>) -> Vec<Result<Written, Error>> {
        self.plugin.health.moved_out(writes.iter().map(size).sum());
        let verdicts: Vec<Result<(), Error>> = writes.iter().map(|write| self.may_write(write)).collect();
        let granted = writes.into_iter().zip(&verdicts).filter(|(_, verdict)| verdict.is_ok()).map(|(write, _)| write);
        let granted: Vec<Write> = granted.collect();
        let answers = if granted.is_empty() { Vec::new() } else { self.plugin.objects.apply(granted).await };
        let mut answers = answers.into_iter();
        let next =
            || Err(error(ErrorCode::Internal, "the host gave no answer to this write".to_owned(), RetryHint::Backoff));
        verdicts
            .into_iter()
            .map(|verdict| match verdict {
                Ok(()) => answers.next().unwrap_or_else(next),
                Err(refusal) => Err(refusal),
            })
            .collect()
    }

    async fn record_events(&mut self, events: Vec<Event>) {
        if !self.writes {
            let line = format!("{} events dropped: a review records none", events.len());
            self.plugin.logger.write(&self.lines, wit::log::Level::Warn, "objects", &line);
        } else if self.plugin.grants.events() {
            self.plugin.objects.record_events(events).await;
        } else {
            let line = format!("{} events dropped: the plugin is not granted events", events.len());
            self.plugin.logger.write(&self.lines, wit::log::Level::Warn, "objects", &line);
        }
    }
}

impl Host {
    fn granted(&self, kind: &KindRef, verb: &str) -> Result<(), Error> {
        if self.plugin.grants.object(kind, verb) {
            return Ok(());
        }
        let message = format!("the bundle does not grant {verb} on {}", text(kind));
        Err(error(ErrorCode::Forbidden, message, RetryHint::Never))
    }

    fn may_write(&self, write: &Write) -> Result<(), Error> {
        if !self.writes {
            let message = "a review only reads: it can't write objects".to_owned();
            return Err(error(ErrorCode::Forbidden, message, RetryHint::Never));
        }
        match write {
            Write::Create(json) => self.granted(&kind_of(json)?, "create"),
            Write::Update(json) => self.granted(&kind_of(json)?, "update"),
            Write::Patch(patch) => {
                let verb = match patch.subresource {
                    Subresource::None => "patch",
                    Subresource::Status => "status",
                    Subresource::Scale => "scale",
                };
                self.granted(&patch.target.kind, verb)
            }
            Write::Delete(deletion) => self.granted(&deletion.target.kind, "delete"),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    #[serde(borrow)]
    api_version: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
}

/// The kind that an object says it is.
fn kind_of(json: &[u8]) -> Result<KindRef, Error> {
    let head: Head<'_> = serde_json::from_slice(json).map_err(|e| {
        error(ErrorCode::Invalid, format!("an object to write does not say apiVersion and kind: {e}"), RetryHint::Never)
    })?;
    let group = head.api_version.split_once('/').map_or("", |(group, _)| group);
    Ok(KindRef { group: group.to_owned(), kind: head.kind.into_owned() })
}

fn size(write: &Write) -> usize {
    match write {
        Write::Create(json) | Write::Update(json) => json.len(),
        Write::Patch(patch) => patch.merge.len(),
        Write::Delete(_) => 0,
    }
}

fn error(code: ErrorCode, message: String, retry: RetryHint) -> Error {
    Error { code, message, retry }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kind_of_an_object() {
        let kind = kind_of(br#"{"kind":"Deployment","spec":{"x":[1]},"apiVersion":"apps\/v1"}"#).unwrap();
        assert_eq!((kind.group.as_str(), kind.kind.as_str()), ("apps", "Deployment"));
        let pod = kind_of(br#"{"apiVersion":"v1","kind":"Pod"}"#).unwrap();
        assert_eq!((pod.group.as_str(), pod.kind.as_str()), ("", "Pod"));
        for bad in [&b"{}"[..], b"[]", b"nonsense", br#"{"apiVersion":"v1"}"#] {
            assert!(matches!(kind_of(bad).unwrap_err().code, ErrorCode::Invalid));
        }
    }
}
