//! Classes of pods that a policy does not take. One such class must not stop the placement of all others: when a policy
//! refuses to be told of everything together, it is told of each class alone, and those that it refuses are left out.
//! Their pods wait and are told why. What such pods take on nodes where they are already is not known to the policies:
//! the nodes themselves refuse what does not fit.

use std::collections::HashMap;

use gantry_plugin::family::scheduler::{Class, Delta};

use super::Policy;
use super::class::ClassId;
use super::policies::{Trouble, settle};

/// More refusals than this are taken for trouble of the policy itself.
const MOST: usize = 16;

/// Classes that are left out, and why.
#[derive(Default)]
pub(super) struct Refused {
    why: HashMap<ClassId, String>,
}

impl Refused {
    pub(super) fn is_empty(&self) -> bool {
        self.why.is_empty()
    }

    pub(super) fn contains(&self, class: ClassId) -> bool {
        self.why.contains_key(&class)
    }

    /// For people.
    pub(super) fn why(&self, class: ClassId) -> Option<&str> {
        self.why.get(&class).map(String::as_str)
    }

    /// The class is gone: its number may be another's soon. Whether it was left out.
    pub(super) fn forget(&mut self, class: ClassId) -> bool {
        self.why.remove(&class).is_some()
    }

    /// Tells a policy of each class alone. It must be reset afterwards.
    pub(super) async fn sift(&mut self, policy: &mut Policy, nodes: &[Delta], all: &[Class]) -> Result<(), Trouble> {
        begin(policy, nodes).await?;
        let mut taken = nodes.to_vec();
        for class in all.iter().filter(|class| !self.why.contains_key(&class.id)).cloned().collect::<Vec<_>>() {
            let id = class.id;
            let delta = Delta::ClassSet(class);
            match settle(&policy.name, policy.scheduler.sync(std::slice::from_ref(&delta)).await) {
                Ok(()) => taken.push(delta),
                Err(trouble) if trouble.away || self.why.len() >= MOST => return Err(trouble),
                Err(Trouble { policy: name, message, .. }) => {
                    tracing::warn!(policy = name, message, "a placement policy does not take a class of pods");
                    let why = format!("scheduler plugin {name} does not take this pod: {message}");
                    self.why.insert(id, why);
                    // After an error its tables are worth nothing.
                    begin(policy, &taken).await?;
                }
            }
        }
        Ok(())
    }
}

async fn begin(policy: &mut Policy, deltas: &[Delta]) -> Result<(), Trouble> {
    settle(&policy.name, policy.scheduler.reset().await)?;
    settle(&policy.name, policy.scheduler.sync(deltas).await)
}
