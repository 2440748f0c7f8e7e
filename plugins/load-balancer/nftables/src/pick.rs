//! Which backends a chain picks from, and how.

use std::hash::Hasher;
use std::net::Ipv4Addr;

use fnv::FnvHasher;
use gantry_sdk::load_balancer::Endpoint;
use gantry_sdk::{Value, json};

/// Where a connection may go.
pub type Target = (Ipv4Addr, u16);

/// Into so many classes clients fall. Never another number: with it all of them would move.
const SLOTS: usize = 1024;
/// The same for every rule ever written: a client stays with its backend when the chain is written anew.
const SEED: u32 = 0x6761_6e74;

/// Who takes new connections: those that are ready. When there is none, those that are going and still answer, which is
/// better than nobody.
pub fn usable(endpoints: &[Endpoint], local: bool) -> Vec<Target> {
    let here = |e: &&Endpoint| !local || e.local;
    let ready = targets(endpoints.iter().filter(here).filter(|e| e.ready));
    if !ready.is_empty() {
        return ready;
    }
    targets(endpoints.iter().filter(here).filter(|e| e.serving && e.terminating))
}

fn targets<'a>(endpoints: impl Iterator<Item = &'a Endpoint>) -> Vec<Target> {
    let v4 = |e: &Endpoint| e.addresses.iter().find_map(|address| address.parse().ok());
    let mut targets: Vec<Target> = endpoints.filter_map(|e| Some((v4(e)?, e.port))).collect();
    targets.sort_unstable();
    targets.dedup();
    targets
}

/// The translation to one of the targets: at random, or for `sticky` by the client's address.
pub fn translate(targets: &[Target], sticky: bool) -> Value {
    if let [(address, port)] = targets {
        return json!({"dnat": {"family": "ip", "addr": address, "port": port}});
    }
    let (key, elements) = if sticky { by_client(targets) } else { at_random(targets) };
    json!({"dnat": {"family": "ip", "addr": {"map": {"key": key, "data": {"set": elements}}}}})
}

fn target((address, port): &Target) -> Value {
    json!({"concat": [address, port]})
}

fn at_random(targets: &[Target]) -> (Value, Vec<Value>) {
    let key = json!({"numgen": {"mode": "random", "mod": targets.len(), "offset": 0}});
    (key, targets.iter().enumerate().map(|(n, to)| json!([n, target(to)])).collect())
}

/// Slots by the client's hash. Each slot goes to the target that wins it: when a target goes, only its own slots get
/// another, and all other clients stay where they are.
fn by_client(targets: &[Target]) -> (Value, Vec<Value>) {
    let slots = slots(targets);
    let mut elements = Vec::new();
    let mut first = 0;
    while let Some(winner) = slots.get(first) {
        let run = slots.iter().skip(first).take_while(|slot| *slot == winner).count();
        let last = first + run - 1;
        let range = if run == 1 { json!(first) } else { json!({"range": [first, last]}) };
        elements.push(json!([range, target(winner)]));
        first += run;
    }
    let client = json!({"payload": {"protocol": "ip", "field": "saddr"}});
    (json!({"jhash": {"mod": slots.len(), "seed": SEED, "expr": client}}), elements)
}

fn slots(targets: &[Target]) -> Vec<Target> {
    (0..SLOTS).filter_map(|slot| targets.iter().max_by_key(|to| score(slot, to)).copied()).collect()
}

fn score(slot: usize, (address, port): &Target) -> u64 {
    let mut hasher = FnvHasher::default();
    hasher.write(&(slot as u64).to_le_bytes());
    hasher.write(&address.octets());
    hasher.write(&port.to_le_bytes());
    let hash = hasher.finish();
    // FNV's high bits alone are too much alike for inputs that differ in little.
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(last: u8, ready: bool, serving: bool, terminating: bool, local: bool) -> Endpoint {
        Endpoint { addresses: vec![format!("10.0.0.{last}")], port: 80, ready, serving, terminating, local }
    }

    #[test]
    fn those_that_go_serve_only_when_nobody_else_does() {
        let last = |targets: Vec<Target>| targets.iter().map(|(a, _)| a.octets()[3]).collect::<Vec<_>>();
        let mut all = vec![
            endpoint(2, true, true, false, true),
            endpoint(1, true, true, false, false),
            endpoint(3, false, true, true, true),
            endpoint(4, false, false, false, true),
        ];
        assert_eq!((last(usable(&all, false)), last(usable(&all, true))), (vec![1, 2], vec![2]));
        all.remove(0);
        assert_eq!((last(usable(&all, false)), last(usable(&all, true))), (vec![1], vec![3]));
        all.remove(1);
        all.remove(0);
        assert!(usable(&all, false).is_empty());
    }

    #[test]
    fn a_target_that_goes_takes_only_its_own_clients_along() {
        for count in 2..=40 {
            let all: Vec<Target> = (1..=count).map(|n| (Ipv4Addr::new(10, 0, 0, n), 80)).collect();
            let before = slots(&all);
            let after = slots(&all[1..]);
            assert_eq!(before.len(), after.len());
            for (was, is) in before.iter().zip(&after) {
                assert!(was == is || *was == all[0], "of {count}: {was:?} {is:?}");
            }
            let fair = before.len() / all.len();
            for target in &all {
                let share = before.iter().filter(|slot| *slot == target).count();
                assert!((fair / 3..=fair * 2).contains(&share), "of {count}: {target:?} has {share}, not {fair}");
            }
        }
    }
}
