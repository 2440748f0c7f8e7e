//! Revisions and the other annotations that a Deployment keeps on its ReplicaSets.

use super::work::Work;
use crate::object::Labels;
use crate::replicaset::ReplicaSet;

/// The number of the revision.
pub const REVISION: &str = "deployment.kubernetes.io/revision";
/// Numbers that this revision had before rollbacks to it.
pub const HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// The Deployment's replicas when the set was last scaled.
pub const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
/// The greatest number of pods that was allowed then.
pub const MAX: &str = "deployment.kubernetes.io/max-replicas";

/// Annotations of the Deployment that say nothing about its sets.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "deprecated.deployment.rollback.to",
    REVISION,
    HISTORY,
    DESIRED,
    MAX,
];

/// The history is cut at the front when it gets longer.
const HISTORY_CHARS: usize = 2_000;

/// The revision of a set; 0 when it has none.
pub fn of(set: &ReplicaSet) -> i64 {
    number(&set.metadata.annotations, REVISION).unwrap_or(0)
}

/// A number in an annotation.
pub fn number(annotations: &Labels, name: &str) -> Option<i64> {
    annotations.get(name)?.parse().ok()
}

/// The revision that the template of now has to have: greater than all others.
pub fn next(work: &Work) -> i64 {
    work.old.iter().map(|tracked| of(&tracked.set)).max().unwrap_or(0).saturating_add(1)
}

/// Copies the Deployment's annotations and sees that the set's revision is at least this one. A set that is used again
/// keeps the numbers that it had.
pub fn annotate(set: &mut ReplicaSet, from: &Labels, revision: i64) {
    let annotations = &mut set.metadata.annotations;
    let copied = from.iter().filter(|(name, _)| !NOT_COPIED.contains(&name.as_str()));
    annotations.extend(copied.map(|(name, value)| (name.clone(), value.clone())));
    let old = number(annotations, REVISION);
    if old.unwrap_or(0) >= revision {
        return;
    }
    annotations.insert(REVISION.to_owned(), revision.to_string());
    if let Some(old) = old {
        let history = annotations.get(HISTORY).map(String::as_str).unwrap_or_default();
        let history = with(history, &old.to_string());
        annotations.insert(HISTORY.to_owned(), history);
    }
}

fn with(history: &str, revision: &str) -> String {
    let mut kept = history;
    while !kept.is_empty() && kept.len() + revision.len() + 1 > HISTORY_CHARS {
        kept = kept.split_once(',').map_or("", |(_, rest)| rest);
    }
    if kept.is_empty() { revision.to_owned() } else { format!("{kept},{revision}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(of: &[(&str, &str)]) -> Labels {
        of.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn annotated(before: &[(&str, &str)], from: &[(&str, &str)], revision: i64) -> Labels {
        let mut set = ReplicaSet::default();
        set.metadata.annotations = labels(before);
        annotate(&mut set, &labels(from), revision);
        set.metadata.annotations
    }

    #[test]
    fn copies_what_concerns_the_set() {
        let from = [
            ("kubernetes.io/change-cause", "image 2"),
            ("kubectl.kubernetes.io/last-applied-configuration", "{}"),
            (REVISION, "9"),
            (DESIRED, "4"),
        ];
        let wanted = labels(&[("kubernetes.io/change-cause", "image 2"), (REVISION, "1")]);
        assert_eq!(annotated(&[], &from, 1), wanted);
    }

    #[test]
    fn a_rollback_keeps_old_numbers() {
        assert_eq!(annotated(&[(REVISION, "1")], &[], 3), labels(&[(REVISION, "3"), (HISTORY, "1")]));
        let twice = annotated(&[(REVISION, "3"), (HISTORY, "1")], &[], 5);
        assert_eq!(twice, labels(&[(REVISION, "5"), (HISTORY, "1,3")]));
        assert_eq!(annotated(&[(REVISION, "5")], &[], 3), labels(&[(REVISION, "5")]));
    }

    #[test]
    fn history_does_not_grow_without_end() {
        let long = (0..600).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        let cut = with(&long, "600");
        assert!(cut.len() <= HISTORY_CHARS && cut.ends_with(",599,600") && !cut.starts_with("0,"));
    }
}
