//! Deleting objects: at once, or by marking them and waiting.

use std::sync::Arc;

use gantry_model::status::Reason;
use gantry_model::{Draft, Kind, Record, Status};
use gantry_store::{Expect, Op, Write};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::admission::{self, Operation, Subject};
use crate::next::ATTEMPTS;
use crate::options::{DeleteOptions, Propagation, Written};
use crate::special::{self, Special};
use crate::verbs::Objects;
use crate::{fault, metadata};

/// What a pod gets that asks for nothing else.
const DEFAULT_GRACE: i64 = 30;
const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

pub(crate) async fn delete(
    objects: &Objects,
    kind: &Kind,
    namespace: &str,
    name: &str,
    options: &DeleteOptions,
) -> Result<Written, Status> {
    Special::of(kind).deletable(kind, name)?;
    for _ in 0..ATTEMPTS {
        let record = objects.get(kind, namespace, name)?;
        metadata::precondition(kind, &record, &options.preconditions)?;
        let warnings = review(objects, kind, &record, options).await?;
        match step(objects, kind, record, options).await {
            Err(status) if status.reason == Reason::Conflict => {}
            Err(status) => return Err(status),
            Ok(written) => return Ok(Written { warnings, ..written }),
        }
    }
    Err(fault::modified(kind, name))
}

/// What reviewers have to say.
async fn review(
    objects: &Objects,
    kind: &Kind,
    record: &Record,
    options: &DeleteOptions,
) -> Result<Vec<String>, Status> {
    let mut subject = Subject {
        operation: Operation::Delete,
        kind,
        subresource: "",
        namespace: &record.meta.namespace,
        name: &record.meta.name,
        user: options.user.as_ref(),
        dry_run: options.dry_run,
        old: None,
    };
    let mut warnings = Vec::new();
    if admission::wanted(objects, &subject) {
        let mut old = record.value();
        admission::strip(&mut old);
        subject.old = Some(&old);
        admission::judge(objects, &subject, None, &mut warnings).await?;
    }
    Ok(warnings)
}

/// What a deletion does to an object as it is now.
enum Step {
    Remove,
    Mark(Value),
    Nothing,
}

async fn step(objects: &Objects, kind: &Kind, record: Arc<Record>, options: &DeleteOptions) -> Result<Written, Status> {
    let written = |record, removed| Written { record, warnings: Vec::new(), created: false, removed };
    let (op, removed) = match decide(kind, record.value(), options, Timestamp::now()) {
        Step::Nothing => return Ok(written(record, false)),
        Step::Remove => (Op::Delete, true),
        Step::Mark(object) => {
            let draft = Draft::new(record.key.clone(), object, &kind.selectable_fields);
            if options.dry_run {
                return Ok(written(Arc::new(draft.commit(record.revision)), false));
            }
            (Op::Put(draft), false)
        }
    };
    if options.dry_run {
        return Ok(written(record, removed));
    }
    let write = Write { key: record.key.clone(), expect: Expect::Revision(record.revision), op };
    match objects.store().write(write).await {
        Ok(now) => Ok(written(now, removed)),
        Err(error) => Err(fault::status(kind, &record.meta.name, &error)),
    }
}

fn decide(kind: &Kind, mut object: Value, options: &DeleteOptions, now: Timestamp) -> Step {
    let special = Special::of(kind);
    let before = object.clone();
    let finalizers = finalizers(&mut object, options.propagation);
    let kept = finalizers || special.held(&object);
    let period = match special {
        Special::Pod => grace_of_pod(&object, options.grace_seconds),
        _ => 0,
    };
    if metadata::text(&object, "deletionTimestamp").is_empty() {
        if period == 0 && !kept {
            return Step::Remove;
        }
        mark(&mut object, now, period);
        if special == Special::Namespace {
            special::set(&mut object, "status", "phase", json!("Terminating"));
        }
        return Step::Mark(object);
    }
    let current = object.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(0);
    let asked = options.grace_seconds.map_or(current, |_| period).min(current);
    if asked == 0 && !kept {
        return Step::Remove;
    }
    if asked < current {
        shorten(&mut object, current, asked);
    }
    if object == before { Step::Nothing } else { Step::Mark(object) }
}

/// Leaves only the finalizer that the propagation needs, whatever was asked before; whether there is any now.
fn finalizers(object: &mut Value, propagation: Option<Propagation>) -> bool {
    let list = object.pointer("/metadata/finalizers").and_then(Value::as_array).cloned().unwrap_or_default();
    let Some(propagation) = propagation else { return !list.is_empty() };
    let needs = match propagation {
        Propagation::Background => None,
        Propagation::Foreground => Some(FOREGROUND),
        Propagation::Orphan => Some(ORPHAN),
    };
    let mut wanted = list.clone();
    wanted.retain(|finalizer| Some(finalizer.as_str().unwrap_or_default()) == needs || !is_propagation(finalizer));
    if let Some(needs) = needs.filter(|needs| !wanted.iter().any(|finalizer| finalizer == needs)) {
        wanted.push(json!(needs));
    }
    let any = !wanted.is_empty();
    if wanted != list {
        special::set(object, "metadata", "finalizers", Value::Array(wanted));
    }
    any
}

fn is_propagation(finalizer: &Value) -> bool {
    finalizer == FOREGROUND || finalizer == ORPHAN
}

/// How long a pod may take. One that runs nowhere, or no more, needs no time.
fn grace_of_pod(pod: &Value, asked: Option<i64>) -> i64 {
    let text = |path: &str| pod.pointer(path).and_then(Value::as_str).unwrap_or_default();
    if text("/spec/nodeName").is_empty() || matches!(text("/status/phase"), "Failed" | "Succeeded") {
        return 0;
    }
    let own = pod.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64);
    match asked.or(own).unwrap_or(DEFAULT_GRACE) {
        negative if negative < 0 => 1,
        seconds => seconds,
    }
}

fn mark(object: &mut Value, now: Timestamp, period: i64) {
    let at = now.checked_add(SignedDuration::from_secs(period)).unwrap_or(now);
    special::set(object, "metadata", "deletionTimestamp", json!(metadata::time(at)));
    special::set(object, "metadata", "deletionGracePeriodSeconds", json!(period));
    if let Some(generation) = object.pointer("/metadata/generation").and_then(Value::as_i64) {
        special::set(object, "metadata", "generation", json!(generation + 1));
    }
}

/// Brings the end nearer.
fn shorten(object: &mut Value, current: i64, period: i64) {
    if let Ok(at) = metadata::text(object, "deletionTimestamp").parse::<Timestamp>() {
        let at = at.checked_add(SignedDuration::from_secs(period - current)).unwrap_or(at);
        special::set(object, "metadata", "deletionTimestamp", json!(metadata::time(at)));
    }
    special::set(object, "metadata", "deletionGracePeriodSeconds", json!(period));
}
