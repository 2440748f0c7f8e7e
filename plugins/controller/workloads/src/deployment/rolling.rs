//! RollingUpdate: the new set grows and the old ones shrink, within the limits.

use super::work::{Tracked, Work};
use super::{cleanup, new_set, scale};

/// One step. Either the new set changes or the old ones do: each is decided on counts that the other has not touched.
pub fn step(work: &mut Work) {
    new_set::ensure(work);
    if grow(work) || shrink(work) {
        return;
    }
    if work.deployment.complete(&work.deployment.status) {
        cleanup::history(work);
    }
}

/// The size that the new set may have now.
pub fn new_size(work: &Work) -> i64 {
    let (wanted, size) = (work.deployment.replicas(), work.new.as_ref().map_or(0, |new| new.set.replicas()));
    if work.deployment.recreates() {
        return wanted;
    }
    let room = (work.most() - work.total()).max(0);
    (size + room.min(wanted - size)).min(wanted)
}

fn grow(work: &mut Work) -> bool {
    let (size, wanted, most) = (new_size(work), work.deployment.replicas(), work.most());
    let Some(new) = work.new.as_mut().filter(|new| new.was.is_some() && new.set.replicas() != size) else {
        return false;
    };
    scale::resize(new, size, wanted, most);
    true
}

fn shrink(work: &mut Work) -> bool {
    let new_unavailable = work.new.as_ref().map_or(0, |new| new.set.replicas() - new.set.available());
    // Pods of the new set that do not serve yet must not be counted on.
    let spare = work.total() - work.least() - new_unavailable;
    if spare <= 0 || !work.old.iter().any(Tracked::active) {
        return false;
    }
    let unhealthy = take(work, spare, |old| old.set.replicas() - old.set.available());
    let healthy = take(work, work.available() - work.least(), |old| old.set.replicas());
    unhealthy + healthy > 0
}

/// Takes at most `budget` pods from the old sets, oldest first, at most `from` of each. Answers how many it took.
fn take(work: &mut Work, budget: i64, from: impl Fn(&Tracked) -> i64) -> i64 {
    let (wanted, most) = (work.deployment.replicas(), work.most());
    let mut taken = 0;
    for old in work.old.iter_mut().filter(|old| old.active()) {
        let part = from(old).min(budget - taken);
        if part > 0 {
            scale::resize(old, old.set.replicas() - part, wanted, most);
            taken += part;
        }
    }
    taken
}
