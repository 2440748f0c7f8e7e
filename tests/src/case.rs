//! What a scenario works with: kubectl in a namespace, and the questions that tests ask.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::kubectl::Version;
use crate::suite::patience;
use crate::{Kubectl, wait_for};

/// A namespace and a kubectl for it.
pub struct Case {
    pub kubectl: Kubectl,
    pub namespace: String,
}

impl Case {
    /// Makes the namespace.
    pub(crate) fn new(name: &str, kubectl: &Kubectl) -> Result<Self> {
        let namespace = name.replace('_', "-");
        let namespace = namespace.get(..63).unwrap_or(&namespace).trim_end_matches('-').to_owned();
        kubectl.run(&["create", "namespace", &namespace])?;
        Ok(Self { kubectl: kubectl.in_namespace(&namespace), namespace })
    }

    /// Deletes the namespace with all that is in it, and waits until it is gone.
    pub(crate) fn remove(&self) -> Result<()> {
        self.run(&["delete", "namespace", &self.namespace, "--timeout=120s"]).map(drop)
    }

    /// What there is, for the report of a failure.
    pub(crate) fn state(&self) -> String {
        let show = |args: &[&str]| self.run(args).unwrap_or_else(|error| format!("{error:#}"));
        format!(
            "with kubectl {}.{}, namespace {}:\n{}{}",
            self.kubectl.version().0,
            self.kubectl.version().1,
            self.namespace,
            show(&["get", "deployments,replicasets,pods", "-o", "wide"]),
            show(&["get", "events", "--sort-by=.metadata.creationTimestamp"]),
        )
    }

    /// Whether this kubectl is of that version or a newer one.
    pub fn at_least(&self, version: Version) -> bool {
        self.kubectl.version() >= version
    }

    /// kubectl's standard output.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        self.kubectl.run(args)
    }

    /// A command line without quotes in it.
    pub fn line(&self, line: &str) -> Result<String> {
        self.run(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// All that a kubectl which must fail says.
    pub fn fail(&self, line: &str) -> Result<String> {
        self.kubectl.fail(&line.split_whitespace().collect::<Vec<_>>(), "")
    }

    /// Applies an object.
    pub fn apply(&self, object: &Value) -> Result<String> {
        self.kubectl.apply(&object.to_string())
    }

    /// Applies an object that must be refused.
    pub fn refused(&self, object: &Value) -> Result<String> {
        self.kubectl.fail(&["apply", "-f", "-"], &object.to_string())
    }

    /// `get LINE -o json`
    pub fn get(&self, line: &str) -> Result<Value> {
        self.kubectl.json(&[&["get"], line.split_whitespace().collect::<Vec<_>>().as_slice()].concat())
    }

    /// The items of a list.
    pub fn list(&self, line: &str) -> Result<Vec<Value>> {
        let mut list = self.get(line)?;
        let items = list.get_mut("items").map(Value::take).context("it is no list")?;
        Ok(items.as_array().cloned().unwrap_or_default())
    }

    /// Names of a list.
    pub fn names(&self, line: &str) -> Result<Vec<String>> {
        Ok(self.list(line)?.iter().map(|item| text(item, "/metadata/name")).collect())
    }

    /// Whether an object is gone.
    pub fn is_gone(&self, line: &str) -> Result<bool> {
        Ok(self.line(&format!("get {line} --ignore-not-found -o name"))?.trim().is_empty())
    }

    /// Asks until it is so.
    pub fn until<T>(&self, what: &str, ask: impl FnMut() -> Result<T>) -> Result<T> {
        wait_for(what, patience(), ask)
    }

    /// Waits until an object has a value at a JSON pointer; gives the object.
    pub fn until_is(&self, object: &str, pointer: &str, want: impl Into<Value>) -> Result<Value> {
        let want = want.into();
        self.until(&format!("{object}: {pointer} to be {want}"), || {
            let found = self.get(object)?;
            match found.pointer(pointer) {
                value if value.unwrap_or(&Value::Null) == &want => Ok(found),
                value => bail!("{object}: {pointer} is {value:?}, not {want}; status: {}", at(&found, "/status")),
            }
        })
    }

    /// Waits until an object is gone.
    pub fn until_gone(&self, object: &str) -> Result<()> {
        self.until(&format!("{object} to be gone"), || {
            ensure!(self.is_gone(object)?, "{object} is still there: {}", self.line(&format!("get {object} -o yaml"))?);
            Ok(())
        })
    }

    /// Waits for an event; gives its message.
    pub fn until_event(&self, object: &str, reason: &str) -> Result<String> {
        self.until(&format!("an event {reason} about {object}"), || {
            let events = self.list(&format!("events --field-selector involvedObject.name={object},reason={reason}"))?;
            let first = events.first().with_context(|| format!("there is no event {reason} about {object}"))?;
            Ok(text(first, "/message"))
        })
    }

    /// Waits until the log of a pod has this in it; gives the log.
    pub fn until_log(&self, args: &str, want: &str) -> Result<String> {
        self.until(&format!("{want:?} in the log of {args}"), || {
            let log = self.line(&format!("logs {args}"))?;
            ensure!(log.contains(want), "the log of {args} has no {want:?}: {log}");
            Ok(log)
        })
    }

    /// That nothing changes for a while: what should not happen can't be waited for.
    pub fn stays(&self, while_: Duration, mut check: impl FnMut() -> Result<()>) -> Result<()> {
        let end = std::time::Instant::now() + while_;
        while std::time::Instant::now() < end {
            check()?;
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }
}

/// Text at a JSON pointer; empty when there is none.
pub fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A number at a JSON pointer; 0 when there is none, as absent counts are.
pub fn number(value: &Value, pointer: &str) -> i64 {
    value.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

/// What is at a JSON pointer.
pub fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}
