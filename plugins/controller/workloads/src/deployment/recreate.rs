//! Recreate: all old pods go, and are gone, before the first new one is made.

use super::work::{Tracked, Work};
use super::{cleanup, new_set, scale};

/// One step. `old_pods`: whether a pod of an old set is still there, also one that is only terminating.
pub fn step(work: &mut Work, old_pods: bool) {
    let (wanted, most) = (work.deployment.replicas(), work.most());
    if work.old.iter().any(Tracked::active) {
        work.old.iter_mut().filter(|old| old.active()).for_each(|old| scale::resize(old, 0, wanted, most));
        return;
    }
    if old_pods || work.old.iter().any(|old| old.set.status.replicas > 0) {
        return;
    }
    new_set::ensure(work);
    if let Some(new) = work.new.as_mut().filter(|new| new.was.is_some() && new.set.replicas() != wanted) {
        scale::resize(new, wanted, wanted, most);
        return;
    }
    if work.deployment.complete(&work.deployment.status) {
        cleanup::history(work);
    }
}
