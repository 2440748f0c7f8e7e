//! Hints by which clients stay in their zone.
//!
//! - `service.kubernetes.io/topology-mode: Auto`: each zone gets as many endpoints as its share of the processors is, so
//!   some serve another zone than their own. If that can't be done without a zone getting too few, there are no hints.
//! - `trafficDistribution`: each endpoint serves its own zone, whatever that leaves the others.
//!
//! The rules and the allowance of 20 % are those of Kubernetes: EndpointSlices' `topologycache` and `trafficdist`.

use std::collections::{BTreeMap, HashMap};

use gantry_sdk::Result;

use super::listed::Listed;
use super::zones::{Shares, Zones};
use crate::object::{EndpointHints, EndpointSlice, Service};

/// The newer of two that say the same comes first.
const MODES: [&str; 2] = ["service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints"];
/// By how much more than its part an endpoint may get.
const OVERLOAD: f64 = 0.2;

/// What hints a Service wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Hinting {
    /// None.
    Nowhere,
    /// Each endpoint at its own zone.
    Own,
    /// By the zones' shares; none known: no hints.
    Shared(Option<Shares>),
}

impl Hinting {
    /// What this one wants.
    pub fn of(service: &Service, zones: &mut Zones) -> Result<Self> {
        let annotations = &service.metadata.annotations;
        let mode = MODES.iter().find_map(|name| annotations.get(*name)).map(String::as_str).unwrap_or_default();
        Ok(match (mode, service.spec.traffic_distribution.as_str()) {
            ("Auto" | "auto", _) => Self::Shared(zones.shares()?),
            (_, "") => Self::Nowhere,
            _ => Self::Own,
        })
    }

    /// Gives endpoints their hints. Those that they have in `slices` stay where that is as good.
    pub fn apply(&self, slices: &[EndpointSlice], listed: &mut [Listed]) {
        let ready = |one: &&mut Listed| one.endpoint.conditions.is_ready();
        let mut chosen: Vec<&mut Listed> = listed.iter_mut().filter(ready).collect();
        // Their order must not depend on what changed last.
        chosen.sort_by(|a, b| Listed::identity(&a.endpoint).cmp(Listed::identity(&b.endpoint)));
        let own: Option<Vec<&str>> = chosen.iter().map(|one| one.endpoint.zone.as_deref()).collect();
        let zones: Option<Vec<String>> = own.and_then(|own| match self {
            Self::Nowhere => None,
            Self::Own => Some(own.into_iter().map(str::to_owned).collect()),
            Self::Shared(shares) => {
                let before = before(slices);
                let kept = chosen.iter().map(|one| before.get(Listed::identity(&one.endpoint)).copied());
                Spread::new(shares.as_ref()?, &own, &kept.collect::<Vec<_>>())?.settle()
            }
        });
        for (one, zone) in chosen.into_iter().zip(zones.into_iter().flatten()) {
            one.endpoint.hints = Some(EndpointHints::at(&zone));
        }
    }
}

/// Where endpoints are hinted at now, by their identity.
fn before(slices: &[EndpointSlice]) -> HashMap<&str, &str> {
    let all = slices.iter().flat_map(|slice| &slice.endpoints);
    all.filter_map(|e| Some((Listed::identity(e), e.hints.as_ref()?.for_zones.first()?.name.as_str()))).collect()
}

/// Endpoints on their way to zones.
struct Spread<'a> {
    own: &'a [&'a str],
    /// How many endpoints a zone needs at least, and how many are its part.
    needs: BTreeMap<&'a str, (usize, f64)>,
    /// Where each endpoint is hinted at.
    at: Vec<Option<&'a str>>,
}

impl<'a> Spread<'a> {
    /// From where endpoints are, and were hinted at until now. None if there are too few endpoints.
    fn new(shares: &'a Shares, own: &'a [&'a str], kept: &[Option<&str>]) -> Option<Self> {
        let count = own.len();
        let need = |(zone, share): (&'a String, &f64)| {
            let part = share * count as f64;
            let least = (part / (1.0 + OVERLOAD)).ceil();
            (zone.as_str(), (least as usize, part.max(least)))
        };
        let needs: BTreeMap<&str, (usize, f64)> = shares.iter().map(need).collect();
        let least: usize = needs.values().map(|(least, _)| least).sum();
        if needs.len() > count || least > count {
            return None;
        }
        let known = |zone: &str| needs.get_key_value(zone).map(|(zone, _)| *zone);
        let at = own.iter().zip(kept).map(|(own, kept)| kept.and_then(known).or_else(|| known(own))).collect();
        Some(Self { own, needs, at })
    }

    /// A zone for each endpoint: the one where it is, unless another one needs it more.
    fn settle(mut self) -> Option<Vec<String>> {
        // Each turn moves one endpoint to where it is needed, from where one is too many.
        for _ in 0..self.at.len() {
            let Some(to) = self.neediest() else { break };
            let from = self.giver(to)?;
            *self.at.get_mut(from)? = Some(to);
        }
        // Each turn brings somebody home, and takes nobody away from there.
        while self.home() {}
        self.at.into_iter().map(|zone| zone.map(str::to_owned)).collect()
    }

    fn count(&self, zone: &str) -> usize {
        self.at.iter().filter(|one| **one == Some(zone)).count()
    }

    /// The zone that lacks most of its least; if none does, the one that lacks most of its part while an endpoint has none.
    fn neediest(&self) -> Option<&'a str> {
        let lacks = |wanted: f64, zone: &str| wanted - self.count(zone) as f64;
        let most = |zones: &mut dyn Iterator<Item = (&'a str, f64)>| {
            zones.max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(zone, _)| zone)
        };
        let mut short = self.needs.iter().map(|(zone, (least, _))| (*zone, lacks(*least as f64, zone)));
        let mut parts = self.needs.iter().map(|(zone, (_, part))| (*zone, lacks(*part, zone)));
        let homeless = self.at.contains(&None);
        most(&mut short.by_ref().filter(|(_, lacks)| *lacks > 0.0)).or_else(|| most(&mut parts).filter(|_| homeless))
    }

    /// An endpoint that may go to a zone: one that has none, else one of the zone that has most beyond its part. Of those
    /// first one that comes home, then one that is not at home anyway.
    fn giver(&self, to: &str) -> Option<usize> {
        if let Some(free) = self.at.iter().position(Option::is_none) {
            return Some(free);
        }
        let beyond = |(zone, (least, part)): (&&'a str, &(usize, f64))| {
            let count = self.count(zone);
            (count > *least).then_some((*zone, count as f64 - part))
        };
        let (from, _) = self.needs.iter().filter_map(beyond).max_by(|(_, a), (_, b)| a.total_cmp(b))?;
        let there = self.at.iter().zip(self.own).enumerate().filter(|(_, (at, _))| **at == Some(from));
        let rank = |own: &str| if own == to { 0 } else { 1 + usize::from(own == from) };
        there.min_by_key(|(_, (_, own))| rank(own)).map(|(n, _)| n)
    }

    /// Endpoints go back to their own zones as far as those have no more than their part then, and the others their least.
    fn home(&mut self) -> bool {
        let mut moved = false;
        for (n, own) in self.own.iter().enumerate() {
            let Some(Some(away)) = self.at.get(n).copied() else { continue };
            let (Some((_, part)), Some((least, _))) = (self.needs.get(own), self.needs.get(away)) else { continue };
            let fits = (self.count(own) + 1) as f64 <= part.ceil() && self.count(away) > *least;
            if *own != away
                && fits
                && let Some(place) = self.at.get_mut(n)
            {
                *place = Some(own);
                moved = true;
            }
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use crate::object::Endpoint;

    fn listed(zones: &[&str]) -> Vec<Listed> {
        let one = |(n, zone): (usize, &&str)| {
            let zone = Some((*zone).to_owned()).filter(|zone| !zone.is_empty());
            let endpoint = Endpoint { addresses: vec![format!("10.0.0.{n:03}")], zone, ..Endpoint::default() };
            Listed { ports: Vec::new(), endpoint }
        };
        zones.iter().enumerate().map(one).collect()
    }

    fn hints(of: &[Listed]) -> Vec<&str> {
        of.iter().map(|one| one.endpoint.hints.as_ref().map_or("-", |hints| hints.for_zones[0].name.as_str())).collect()
    }

    fn shared(shares: &[(&str, f64)]) -> Hinting {
        Hinting::Shared(Some(shares.iter().map(|(zone, share)| ((*zone).to_owned(), *share)).collect()))
    }

    #[test]
    fn endpoints_serve_zones_by_their_shares() {
        let halves = shared(&[("a", 0.5), ("b", 0.5)]);
        for (hinting, zones, want) in [
            (&halves, &["a", "a", "b", "b"][..], &["a", "a", "b", "b"][..]),
            (&halves, &["a", "a", "a", "a"], &["b", "b", "a", "a"]),
            (&halves, &["a", "a", "a", "a", "b", "b"], &["b", "a", "a", "a", "b", "b"]),
            // Two of three would be more than an endpoint of the other zone may get.
            (&halves, &["a", "a", "b"], &["-", "-", "-"]),
            (&halves, &["a"], &["-"]),
            // A zone without nodes of its own sends its endpoints elsewhere.
            (&halves, &["a", "b", "c", "c"], &["a", "b", "b", "a"]),
            (&halves, &["a", "", "b", "b"], &["-", "-", "-", "-"]),
            (&Hinting::Shared(None), &["a", "b"], &["-", "-"]),
            (&Hinting::Own, &["a", "b", "a"], &["a", "b", "a"]),
            (&Hinting::Own, &["a", "", "a"], &["-", "-", "-"]),
            (&Hinting::Nowhere, &["a", "b"], &["-", "-"]),
        ] {
            let mut all = listed(zones);
            hinting.apply(&[], &mut all);
            assert_eq!(hints(&all), want, "{hinting:?} {zones:?}");
        }
        let mut all = listed(&["a", "b", "a"]);
        all[2].endpoint.conditions.ready = Some(false);
        halves.apply(&[], &mut all);
        assert_eq!(hints(&all), ["a", "b", "-"]);
    }

    proptest! {
        #[test]
        fn every_zone_gets_its_least_and_a_second_pass_changes_nothing(
            parts in prop::collection::vec(1_u32..20, 2..5),
            own in prop::collection::vec(0_usize..5, 0..40),
        ) {
            const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
            let all: f64 = parts.iter().copied().map(f64::from).sum();
            let shares: Vec<(&str, f64)> = NAMES.into_iter().zip(parts.iter().map(|part| f64::from(*part) / all)).collect();
            let hinting = shared(&shares);
            let mut listed = listed(&own.iter().map(|n| NAMES[*n]).collect::<Vec<_>>());
            hinting.apply(&[], &mut listed);
            let found = hints(&listed);
            if found.iter().all(|zone| *zone != "-") && !found.is_empty() {
                for (zone, share) in &shares {
                    let count = found.iter().filter(|found| *found == zone).count() as f64;
                    prop_assert!(count * (1.0 + OVERLOAD) >= share * found.len() as f64 - 1e-9, "{zone}: {found:?}");
                }
            } else {
                prop_assert!(found.iter().all(|zone| *zone == "-"), "some have none: {found:?}");
            }
            let slice = EndpointSlice { endpoints: listed.iter().map(|l| l.endpoint.clone()).collect(), ..EndpointSlice::default() };
            let mut again = listed.clone();
            again.iter_mut().for_each(|one| one.endpoint.hints = None);
            hinting.apply(&[slice], &mut again);
            prop_assert_eq!(hints(&again), found);
        }
    }
}
