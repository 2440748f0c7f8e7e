//! What one pass over a ReplicaSet does about the number of its pods.

use std::collections::BTreeSet;

use gantry_sdk::{Error, Value, json};

use super::object::ReplicaSet;
use super::pod::Row;

/// At most so many pods are made or deleted in one pass; the rest is the next pass's.
pub const BURST: usize = 500;

/// What to do about the number of pods.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// There are as many as wanted, or it is not ours to say.
    Nothing,
    /// Make so many.
    Create(usize),
    /// Delete so many.
    Delete(usize),
    /// There are too few, but pods of this template would not be its own.
    Refuse(Error),
}

/// What became of a change.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Pods made.
    pub created: usize,
    /// Uids of pods deleted.
    pub deleted: BTreeSet<String>,
    /// The first write that failed, and `FailedCreate` or `FailedDelete`.
    pub failure: Option<(&'static str, Error)>,
    /// The burst was not enough, or something changed meanwhile: another pass is due at once.
    pub again: bool,
}

/// Decides from the pods that the set controls and selects.
pub fn change(set: &ReplicaSet, pods: &[Row]) -> Change {
    if set.metadata.is_deleting() {
        return Change::Nothing;
    }
    let (have, want) = (pods.iter().filter(|pod| pod.active()).count(), to_count(set.replicas()));
    match want.checked_sub(have) {
        Some(0) => Change::Nothing,
        None => Change::Delete((have - want).min(BURST)),
        Some(missing) => match refusal(set) {
            Some(error) => Change::Refuse(error),
            None => Change::Create(missing.min(BURST)),
        },
    }
}

/// Whether a change as planned leaves more to do.
pub fn exceeds_burst(set: &ReplicaSet, pods: &[Row]) -> bool {
    pods.iter().filter(|pod| pod.active()).count().abs_diff(to_count(set.replicas())) > BURST
}

/// Pods that the selector does not choose would be released as soon as they are made, and made again without end.
fn refusal(set: &ReplicaSet) -> Option<Error> {
    let selector = &set.spec.selector;
    if selector.is_empty() {
        Some(Error::invalid("spec.selector is empty: it would select all pods"))
    } else if !selector.matches(&set.template_labels()) {
        Some(Error::invalid("spec.selector does not match spec.template.metadata.labels"))
    } else {
        None
    }
}

/// Batches of creations: 1, 2, 4 and so on. What is wrong with one pod is mostly wrong with all: a small batch that
/// fails spares the others.
pub fn batches(count: usize) -> impl Iterator<Item = usize> {
    let mut left = count;
    let mut size = 1;
    std::iter::from_fn(move || {
        let batch = size.min(left);
        left -= batch;
        size *= 2;
        (batch > 0).then_some(batch)
    })
}

/// A pod of the set's template.
pub fn pod(set: &ReplicaSet, owner: &gantry_sdk::api::OwnerReference) -> Value {
    let part = |pointer: &str| set.spec.template.pointer(pointer).cloned();
    let mut metadata = json!({
        "generateName": format!("{}-", set.metadata.name),
        "namespace": set.metadata.namespace,
        "ownerReferences": [owner],
    });
    for name in ["labels", "annotations", "finalizers"] {
        if let (Some(value), Some(to)) = (part(&format!("/metadata/{name}")), metadata.as_object_mut()) {
            to.insert(name.to_owned(), value);
        }
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": part("/spec").unwrap_or_default()})
}

fn to_count(replicas: i64) -> usize {
    usize::try_from(replicas).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_sdk::api::{LabelSelector, Resource, Time};

    fn set(replicas: i64) -> ReplicaSet {
        let mut set = ReplicaSet::default();
        set.metadata.name = "web".into();
        set.spec.replicas = Some(replicas);
        set.spec.selector = LabelSelector::labels([("app", "web")]);
        set.spec.template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}});
        set
    }

    fn pods(active: usize, going: usize, failed: usize) -> Vec<Row> {
        let pod = |phase: &str, deleted| Row { 4: deleted, 5: phase.into(), ..Row::default() };
        let all = std::iter::repeat_n(pod("Running", None), active);
        let all = all.chain(std::iter::repeat_n(pod("Running", Some(Time::default())), going));
        all.chain(std::iter::repeat_n(pod("Failed", None), failed)).collect()
    }

    #[test]
    fn counts_only_active_pods() {
        for (want, (active, going, failed), wanted) in [
            (3, (3, 0, 0), Change::Nothing),
            (3, (2, 1, 1), Change::Create(1)),
            (3, (0, 0, 0), Change::Create(3)),
            (3, (5, 2, 1), Change::Delete(2)),
            (0, (2, 0, 0), Change::Delete(2)),
            (2_000, (0, 0, 0), Change::Create(500)),
            (0, (800, 0, 0), Change::Delete(500)),
        ] {
            let pods = pods(active, going, failed);
            assert_eq!(change(&set(want), &pods), wanted, "{want} of {active}+{going}+{failed}");
            assert_eq!(exceeds_burst(&set(want), &pods), want == 2_000 || active == 800);
        }
    }

    #[test]
    fn leaves_pods_of_a_set_that_is_going_to_the_garbage_collector() {
        let mut set = set(3);
        set.metadata.deletion_timestamp = Some(Time::default());
        assert_eq!(change(&set, &[]), Change::Nothing);
    }

    #[test]
    fn makes_no_pods_that_it_would_not_own() {
        let mut other = set(1);
        other.spec.template = json!({"metadata": {"labels": {"app": "db"}}});
        assert!(matches!(change(&other, &[]), Change::Refuse(_)));
        let mut all = set(1);
        all.spec.selector = LabelSelector::default();
        assert!(matches!(change(&all, &[]), Change::Refuse(_)));
        other.spec.replicas = Some(0);
        assert_eq!(change(&other, &[]), Change::Nothing);
    }

    #[test]
    fn starts_slowly() {
        assert_eq!(batches(0).count(), 0);
        assert_eq!(batches(10).collect::<Vec<_>>(), [1, 2, 4, 3]);
        assert_eq!(batches(500).sum::<usize>(), 500);
    }

    #[test]
    fn pods_are_copies_of_the_template() {
        let pod = pod(&set(1), &set(1).controller_reference());
        assert_eq!(pod["metadata"]["generateName"], "web-");
        assert_eq!(pod["metadata"]["labels"], json!({"app": "web"}));
        assert_eq!(pod["metadata"]["annotations"], Value::Null);
        assert_eq!(pod["metadata"]["ownerReferences"][0]["controller"], true);
        assert_eq!(pod["metadata"]["ownerReferences"][0]["blockOwnerDeletion"], true);
        assert_eq!(pod["spec"], json!({"containers": []}));
    }
}
