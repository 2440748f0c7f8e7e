//! Which backends a chain picks from, and how.

use std::hash::Hasher;
use std::net::Ipv4Addr;

use fnv::FnvHasher;
use gantry_sdk::load_balancer::Endpoint;
use gantry_sdk::{Value, json};

use crate::table::goto;

/// Where a connection may go.
pub type Target = (Ipv4Addr, u16);

/// Into so many classes clients fall. Never another number: with it all of them would move.
const SLOTS: usize = 1024;
/// The same for every rule ever written: a client stays with its backend when the chain is written anew.
const SEED: u32 = 0x6761_6e74;

/// Of all endpoints, or of those of this node, those who take new connections: the ready ones. When there is none, those
/// that are going and still answer, which is better than nobody.
pub fn usable<'a>(endpoints: impl Iterator<Item = &'a Endpoint> + Clone) -> Vec<Target> {
    let ready = targets(endpoints.clone().filter(|e| e.ready));
    if !ready.is_empty() {
        return ready;
    }
    targets(endpoints.filter(|e| e.serving && e.terminating))
}

/// Those of this node.
pub fn here(endpoints: &[Endpoint]) -> impl Iterator<Item = &Endpoint> + Clone {
    endpoints.iter().filter(|e| e.local)
}

/// Those that a node of this zone is to use. As in Kubernetes hints count only if every endpoint that is ready has some and
/// they leave this zone one; else all are used.
pub fn near<'a>(endpoints: &'a [Endpoint], zone: &'a str) -> impl Iterator<Item = &'a Endpoint> + Clone {
    let is_for = move |e: &&Endpoint| e.zones.iter().any(|hint| hint == zone);
    let ready = || endpoints.iter().filter(|e| e.ready);
    let hinted = !zone.is_empty() && ready().all(|e| !e.zones.is_empty()) && ready().any(|e| is_for(&e));
    endpoints.iter().filter(move |e| !hinted || is_for(e))
}

fn targets<'a>(endpoints: impl Iterator<Item = &'a Endpoint>) -> Vec<Target> {
    let v4 = |e: &Endpoint| e.addresses.iter().find_map(|address| address.parse().ok());
    let mut targets: Vec<Target> = endpoints.filter_map(|e| Some((v4(e)?, e.port))).collect();
    targets.sort_unstable();
    targets.dedup();
    targets
}

/// The translation to one of the targets, at random.
pub fn translate(targets: &[Target]) -> Value {
    if let [target] = targets {
        return to(target);
    }
    let key = json!({"numgen": {"mode": "random", "mod": targets.len(), "offset": 0}});
    let elements: Vec<Value> = targets.iter().enumerate().map(|(n, to)| json!([n, self::target(to)])).collect();
    json!({"dnat": {"family": "ip", "addr": {"map": {"key": key, "data": {"set": elements}}}}})
}

/// The translation to this one.
pub fn to((address, port): &Target) -> Value {
    json!({"dnat": {"family": "ip", "addr": address, "port": port}})
}

fn target((address, port): &Target) -> Value {
    json!({"concat": [address, port]})
}

/// To the chain of one of the targets, by the client's hash. Each slot goes to the target that wins it: when a target goes,
/// only its own slots get another. So those whom the kernel has not noted, or forgot when all was written anew, mostly stay.
pub fn by_client(targets: &[Target], chain: impl Fn(&Target) -> String) -> Value {
    let slots = slots(targets);
    let mut elements = Vec::new();
    let mut first = 0;
    while let Some(winner) = slots.get(first) {
        let run = slots.iter().skip(first).take_while(|slot| *slot == winner).count();
        let last = first + run - 1;
        let range = if run == 1 { json!(first) } else { json!({"range": [first, last]}) };
        elements.push(json!([range, goto(&chain(winner))]));
        first += run;
    }
    let client = json!({"payload": {"protocol": "ip", "field": "saddr"}});
    let key = json!({"jhash": {"mod": slots.len(), "seed": SEED, "expr": client}});
    json!({"vmap": {"key": key, "data": {"set": elements}}})
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
        let (addresses, zones) = (vec![format!("10.0.0.{last}")], Vec::new());
        Endpoint { addresses, port: 80, ready, serving, terminating, local, zones }
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
        let both = |all: &[Endpoint]| (last(usable(all.iter())), last(usable(here(all))));
        assert_eq!(both(&all), (vec![1, 2], vec![2]));
        all.remove(0);
        assert_eq!(both(&all), (vec![1], vec![3]));
        all.remove(1);
        all.remove(0);
        assert!(usable(all.iter()).is_empty());
    }

    #[test]
    fn hints_count_when_all_have_them_and_the_zone_has_some() {
        let all = |hints: &[&[&str]]| -> Vec<Endpoint> {
            let one = |(n, zones): (usize, &&[&str])| {
                let zones = zones.iter().map(|zone| (*zone).to_owned()).collect();
                Endpoint { zones, ..endpoint(u8::try_from(n).unwrap(), true, true, false, false) }
            };
            hints.iter().enumerate().map(one).collect()
        };
        let used = |hints: &[&[&str]], zone: &str| -> Vec<u8> {
            usable(near(&all(hints), zone)).iter().map(|(a, _)| a.octets()[3]).collect()
        };
        for (hints, zone, want) in [
            (&[&["a"][..], &["b"], &["a", "b"]][..], "a", vec![0, 2]),
            (&[&["a"], &["b"], &["b"]], "b", vec![1, 2]),
            (&[&["a"], &["b"]], "c", vec![0, 1]),
            (&[&["a"], &["b"]], "", vec![0, 1]),
            (&[&["a"], &[]], "a", vec![0, 1]),
            (&[&[], &[]], "a", vec![0, 1]),
        ] {
            assert_eq!(used(hints, zone), want, "{hints:?} in {zone:?}");
        }
        // One that is not ready needs no hint.
        let mut some = all(&[&["a"], &["b"], &[]]);
        some[2].ready = false;
        assert_eq!(usable(near(&some, "b")).len(), 1);
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
