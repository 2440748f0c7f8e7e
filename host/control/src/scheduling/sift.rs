//! Classes of pods with which a policy can't do. One such class must not stop the placement of all others: when a policy
//! refuses to be told of everything together, or gives no verdict, it is told of each class alone and asked about it. Pods
//! of those at which it fails wait and are told why. What it refuses to be told of is left out, so what such pods take on
//! nodes where they are already is not known to it: the nodes themselves refuse what does not fit.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use gantry_plugin::family::scheduler::{Class, Delta, Question};

use super::Policy;
use super::class::ClassId;
use super::node::NodeId;
use super::policies::{Trouble, settle};
use crate::backoff::Backoff;

/// More refusals than this are taken for trouble of the policy itself.
const MOST: usize = 16;

/// Between tries with the classes that were left out.
const AGAIN: Backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(60) };

/// Classes whose pods wait, and why.
#[derive(Default)]
pub(super) struct Refused {
    why: HashMap<ClassId, Why>,
    /// Tries in a row that left some out.
    tries: u32,
    until: Option<Instant>,
}

struct Why {
    /// For people.
    text: String,
    /// Policies know of the class; they are only not asked about it.
    told: bool,
}

impl Refused {
    /// What a try came to, after this one.
    pub(super) fn then(&self, mut next: Self) -> Self {
        if !next.is_empty() {
            next.tries = self.tries + 1;
            next.until = Some(Instant::now() + AGAIN.after(next.tries));
        }
        next
    }

    /// How long until they are tried again.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        self.until.filter(|_| !self.is_empty()).map(|until| until.saturating_duration_since(now))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.why.is_empty()
    }

    /// Whether policies have not been told of it.
    pub(super) fn untold(&self, class: ClassId) -> bool {
        self.why.get(&class).is_some_and(|why| !why.told)
    }

    /// Why policies are not asked about it; for people.
    pub(super) fn why(&self, class: ClassId) -> Option<&str> {
        self.why.get(&class).map(|why| why.text.as_str())
    }

    /// The class is gone: its number may be another's soon. Whether policies had not been told of it.
    pub(super) fn forget(&mut self, class: ClassId) -> bool {
        self.why.remove(&class).is_some_and(|why| !why.told)
    }

    /// Tells a policy of each class alone, and asks about it on every node. It must be reset afterwards.
    pub(super) async fn sift(&mut self, policy: &mut Policy, nodes: &[Delta], all: &[Class]) -> Result<(), Trouble> {
        begin(policy, nodes).await?;
        let ids: Vec<NodeId> = nodes.iter().filter_map(node).collect();
        let mut taken = nodes.to_vec();
        for class in all.iter().filter(|class| !self.why.contains_key(&class.id)).cloned().collect::<Vec<_>>() {
            let id = class.id;
            let delta = Delta::ClassSet(class);
            let mut outcome = settle(&policy.name, policy.scheduler.sync(std::slice::from_ref(&delta)).await);
            let told = outcome.is_ok();
            if told {
                taken.push(delta);
                outcome = asked(policy, id, &ids).await;
            }
            if let Err(trouble) = outcome {
                self.leave_out(id, trouble, told)?;
                // After an error its tables are worth nothing.
                begin(policy, &taken).await?;
            }
        }
        Ok(())
    }

    fn leave_out(&mut self, class: ClassId, trouble: Trouble, told: bool) -> Result<(), Trouble> {
        if trouble.away || self.why.len() >= MOST {
            return Err(trouble);
        }
        let Trouble { policy, message, .. } = trouble;
        tracing::warn!(policy, message, "a placement policy can't do with a class of pods");
        let what = if told { "gives no answer about" } else { "does not take" };
        self.why.insert(class, Why { text: format!("scheduler plugin {policy} {what} this pod: {message}"), told });
        Ok(())
    }
}

async fn asked(policy: &mut Policy, class: ClassId, nodes: &[NodeId]) -> Result<(), Trouble> {
    if nodes.is_empty() {
        return Ok(());
    }
    let question = Question { class, nodes: nodes.to_vec() };
    settle(&policy.name, policy.scheduler.evaluate(&[question]).await).map(|_| ())
}

fn node(delta: &Delta) -> Option<NodeId> {
    match delta {
        Delta::NodeSet(node) => Some(node.id),
        _ => None,
    }
}

async fn begin(policy: &mut Policy, deltas: &[Delta]) -> Result<(), Trouble> {
    settle(&policy.name, policy.scheduler.reset().await)?;
    settle(&policy.name, policy.scheduler.sync(deltas).await)
}
