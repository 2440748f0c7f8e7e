//! Passes: a batch of keys, one call, what becomes of each key.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use gantry_plugin::family::controller::Outcome;
use gantry_plugin::family::{Error, RetryHint};
use gantry_plugin::{Fault, Finding};

use super::{Key, Options};
use crate::backoff::Backoff;
use crate::queue::{Next, Queue};
use crate::recorder::{self, Severity};

pub(super) struct Worker {
    pub options: Arc<Options>,
    pub queue: Arc<Queue<Key>>,
    /// Keys whose batch ended in a fault: one of them may be what the plugin can't stand, so each goes alone until it
    /// was answered.
    pub suspects: Suspects,
}

pub(super) type Suspects = Arc<Mutex<HashSet<Key>>>;

impl Worker {
    /// Until the queue is closed.
    pub(super) async fn run(self) {
        loop {
            let keys = self.queue.take(self.options.batch.max(1)).await;
            if keys.is_empty() {
                return;
            }
            let (alone, together): (Vec<Key>, Vec<Key>) = {
                let suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
                keys.into_iter().partition(|key| suspects.contains(key))
            };
            for key in alone {
                self.pass(vec![key]).await;
            }
            if !together.is_empty() {
                self.pass(together).await;
            }
        }
    }

    async fn pass(&self, keys: Vec<Key>) {
        let targets = keys.iter().map(Key::object_ref).collect();
        let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default();
        match self.options.controller.reconcile(now, targets).await {
            Ok(outcomes) if outcomes.len() == keys.len() => {
                self.clear(&keys);
                for (key, outcome) in keys.into_iter().zip(outcomes) {
                    let next = self.settle(&key, outcome);
                    self.queue.done(key, next);
                }
            }
            Ok(outcomes) => {
                let message = format!("{} outcomes for {} keys", outcomes.len(), keys.len());
                self.suspect(&keys);
                self.fail(keys, "ContractViolated", &message);
            }
            Err(fault) => {
                tracing::warn!(plugin = self.options.plugin, keys = keys.len(), %fault, "a pass gave no answer");
                // A plugin that is away says nothing about any key.
                if !matches!(fault.finding, Finding::Unavailable(_)) {
                    self.suspect(&keys);
                }
                self.fail(keys, reason(&fault), &fault.to_string());
            }
        }
    }

    fn settle(&self, key: &Key, outcome: Outcome) -> Next {
        match outcome {
            Outcome::Done => Next::Done,
            Outcome::RequeueAfterMs(wait) => Next::After(Backoff::asked(wait)),
            Outcome::Failed(error) => self.failed(key, &error),
        }
    }

    fn failed(&self, key: &Key, error: &Error) -> Next {
        tracing::debug!(plugin = self.options.plugin, ?key, error = error.message, "a pass failed");
        // Losing a race is part of working side by side: nobody needs an Event about it.
        if !matches!(error.code, gantry_plugin::family::ErrorCode::Conflict) {
            self.tell(key, "FailedReconcile", &error.message);
        }
        match error.retry {
            RetryHint::Never => Next::Drop,
            RetryHint::Backoff => Next::Retry,
            RetryHint::AfterMs(wait) => Next::After(Backoff::asked(wait)),
        }
    }

    fn suspect(&self, keys: &[Key]) {
        self.suspects.lock().unwrap_or_else(PoisonError::into_inner).extend(keys.iter().cloned());
    }

    fn clear(&self, keys: &[Key]) {
        let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        suspects.retain(|key| !keys.contains(key));
    }

    fn fail(&self, keys: Vec<Key>, reason: &'static str, message: &str) {
        let alone = keys.len() == 1;
        for key in keys {
            if alone {
                self.tell(&key, reason, message);
            }
            self.queue.done(key, Next::Retry);
        }
    }

    fn tell(&self, key: &Key, reason: &'static str, message: &str) {
        let objects = &self.options.objects;
        let Some(kind) = objects.kinds().by_kind(&key.group, &key.kind) else { return };
        if let Ok(record) = objects.get(&kind, &key.namespace, &key.name) {
            let about = recorder::about(&kind, &record);
            self.options.recorder.tell(about, Severity::Warning, self.options.plugin.clone(), reason, message);
        }
    }
}

fn reason(fault: &Fault) -> &'static str {
    match fault.finding {
        Finding::Trap { .. } => "PluginTrapped",
        Finding::Deadline(_) => "PluginTimedOut",
        Finding::Memory(_) => "PluginOutOfMemory",
        Finding::Nonsense(_) => "PluginAnsweredNonsense",
        Finding::Unavailable(_) => "PluginUnavailable",
    }
}
