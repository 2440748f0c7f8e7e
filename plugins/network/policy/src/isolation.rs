//! Which pods of this node are under which policies: from their addresses to a chain per set of policies, which asks each
//! of them and then drops.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use gantry_sdk::json;

use crate::groups::digest;
use crate::kernel::Kernel;
use crate::object::Direction;
use crate::table::{self, Family};

/// Namespace and name of a policy.
pub type Id = (String, String);

/// A policy in one direction.
pub type Side = (Direction, Id);

/// The chain with the rules of a policy in one direction.
pub fn chain((direction, (namespace, name)): &Side) -> String {
    let kind = if *direction == Direction::Ingress { "pi" } else { "pe" };
    format!("{kind}-{}", digest(&format!("{namespace}/{name}")))
}

/// Policies that isolate a pod, by direction; none: it is not isolated.
pub type Under = BTreeMap<Direction, BTreeSet<Id>>;

/// The isolated pods of this node.
#[derive(Default)]
pub struct Isolation {
    pods: BTreeMap<String, (Vec<IpAddr>, Under)>,
    /// How many pods are under just these policies.
    sets: BTreeMap<(Direction, BTreeSet<Id>), usize>,
    /// In how many of these sets a policy is.
    users: BTreeMap<Side, usize>,
    /// Policies that were not used before, or are not any more.
    turned: BTreeSet<Side>,
    /// Who leads an address where, by map and address: two pods may have it for a moment, and the later has it.
    claims: BTreeMap<(String, String), Vec<(String, String)>>,
}

impl Isolation {
    /// What a pod is under now.
    pub fn renew(&mut self, pod: &str, addresses: &[IpAddr], under: Under, kernel: &mut Kernel) {
        let (old_addresses, old) = self.pods.remove(pod).unwrap_or_default();
        if old == under && (under.is_empty() || old_addresses == addresses) {
            if !under.is_empty() {
                self.pods.insert(pod.to_owned(), (old_addresses, old));
            }
            return;
        }
        for (direction, policies) in &under {
            self.take(*direction, policies, kernel);
        }
        let before = leads(&old_addresses, &old);
        let after = leads(addresses, &under);
        for (place, chain) in &after {
            self.claim(place, pod, Some(chain), kernel);
        }
        for place in before.keys().filter(|place| !after.contains_key(*place)) {
            self.claim(place, pod, None, kernel);
        }
        selves(addresses, &under).iter().for_each(|(set, element)| kernel.add_element(set, element));
        selves(&old_addresses, &old).iter().for_each(|(set, element)| kernel.remove_element(set, element));
        for (direction, policies) in &old {
            self.leave(*direction, policies, kernel);
        }
        if !under.is_empty() {
            self.pods.insert(pod.to_owned(), (addresses.to_vec(), under));
        }
    }

    /// Whether a policy has any effect here.
    pub fn uses(&self, side: &Side) -> bool {
        self.users.contains_key(side)
    }

    /// Policies of which that has changed since the last call.
    pub fn turned(&mut self) -> BTreeSet<Side> {
        std::mem::take(&mut self.turned)
    }

    fn take(&mut self, direction: Direction, policies: &BTreeSet<Id>, kernel: &mut Kernel) {
        let users = self.sets.entry((direction, policies.clone())).or_default();
        *users = users.saturating_add(1);
        if *users > 1 {
            return;
        }
        let ask = |id: &Id| vec![table::jump(&chain(&(direction, id.clone())))];
        let rules = policies.iter().map(ask).chain([vec![table::drop()]]).collect();
        kernel.set_chain(&set(direction, policies), Some(rules));
        for id in policies {
            let side = (direction, id.clone());
            let users = self.users.entry(side.clone()).or_default();
            *users = users.saturating_add(1);
            if *users == 1 {
                self.turned.insert(side);
            }
        }
    }

    fn leave(&mut self, direction: Direction, policies: &BTreeSet<Id>, kernel: &mut Kernel) {
        let key = (direction, policies.clone());
        let Some(users) = self.sets.get_mut(&key) else { return };
        *users = users.saturating_sub(1);
        if *users > 0 {
            return;
        }
        self.sets.remove(&key);
        kernel.set_chain(&set(direction, policies), None);
        for id in policies {
            let side = (direction, id.clone());
            let users = self.users.entry(side.clone()).or_default();
            *users = users.saturating_sub(1);
            if *users == 0 {
                self.users.remove(&side);
                self.turned.insert(side);
            }
        }
    }

    fn claim(&mut self, place: &(String, String), pod: &str, chain: Option<&String>, kernel: &mut Kernel) {
        let claims = self.claims.entry(place.clone()).or_default();
        match (claims.iter_mut().find(|(who, _)| who == pod), chain) {
            (Some((_, known)), Some(chain)) => chain.clone_into(known),
            (None, Some(chain)) => claims.push((pod.to_owned(), chain.clone())),
            (_, None) => claims.retain(|(who, _)| who != pod),
        }
        kernel.set_verdict(&place.0, &place.1, claims.last().map(|(_, chain)| chain.clone()));
        if claims.is_empty() {
            self.claims.remove(place);
        }
    }
}

/// The chain of a set of policies.
fn set(direction: Direction, policies: &BTreeSet<Id>) -> String {
    let kind = if direction == Direction::Ingress { 'i' } else { 'e' };
    format!("{kind}-{}", digest(&json!(policies).to_string()))
}

/// From map and address to the chain.
fn leads(addresses: &[IpAddr], under: &Under) -> BTreeMap<(String, String), String> {
    let of = |(direction, policies): (&Direction, &BTreeSet<Id>)| {
        let (direction, chain) = (*direction, set(*direction, policies));
        addresses.iter().map(move |a| ((Family::of(*a).verdicts(direction), a.to_string()), chain.clone()))
    };
    under.iter().flat_map(of).collect()
}

/// A pod always reaches itself, by whatever way.
fn selves(addresses: &[IpAddr], under: &Under) -> Vec<(String, gantry_sdk::Value)> {
    let pair = |a: &IpAddr| (Family::of(*a).selves(), json!({"concat": [a, a]}));
    if under.is_empty() { Vec::new() } else { addresses.iter().map(pair).collect() }
}
