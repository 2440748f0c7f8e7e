//! All records, by plugin, zone and name, and what they say to a question.

use std::collections::HashMap;

use gantry_plugin::family::discovery::Description;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{LowerName, Name, RData, Record, RecordType};
use serde::{Deserialize, Serialize};

use super::records::{self, RecordSet};

/// The longest chain of CNAMEs that is followed.
const HOPS: usize = 8;
/// Targets of SRV records whose addresses go along.
const TARGETS: usize = 32;

/// A part of the tree of names that one plugin answers for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// Where it begins.
    pub origin: LowerName,
    /// How long others may remember that there is nothing, in seconds.
    pub negative_ttl: u32,
    /// Whether others are asked about names that it does not have.
    pub fallthrough: bool,
}

/// What one plugin has said.
#[derive(Clone, Debug, Default)]
pub struct Table {
    zones: Vec<Zone>,
    names: HashMap<LowerName, Entry>,
    /// Counts changes: the zones' serial number.
    serial: u32,
    records: usize,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    sets: Vec<RecordSet>,
    /// How many names with records are below this one: it is there although it has none.
    below: u32,
}

/// The tables of all plugins, in the bundle's order.
#[derive(Debug)]
pub struct Tables {
    tables: Vec<Option<Table>>,
    /// Whose a zone is, and which of its zones.
    zones: HashMap<LowerName, (usize, Zone)>,
}

/// What the tables say.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub code: ResponseCode,
    pub answers: Vec<Record>,
    pub authorities: Vec<Record>,
    pub additionals: Vec<Record>,
    /// A CNAME leads to this name, which others know.
    pub elsewhere: Option<Name>,
}

impl Table {
    /// Without records.
    pub fn new(zones: Vec<Zone>) -> Self {
        Self { zones, ..Self::default() }
    }

    /// Its zones, as a plugin describes them. What is no name is left out.
    pub fn described(description: &Description) -> Self {
        let zone = |zone: &gantry_plugin::family::discovery::Zone| {
            let origin = LowerName::from(records::name(&zone.name)?);
            Some(Zone { origin, negative_ttl: zone.negative_ttl, fallthrough: zone.fallthrough })
        };
        Self::new(description.zones.iter().filter_map(zone).collect())
    }

    /// The zones.
    pub fn zones(&self) -> &[Zone] {
        &self.zones
    }

    /// How many records it has.
    pub fn records(&self) -> usize {
        self.records
    }

    /// Every name with records.
    pub fn entries(&self) -> impl Iterator<Item = (&LowerName, &[RecordSet])> {
        self.names.iter().map(|(name, entry)| (name, entry.sets.as_slice())).filter(|(_, sets)| !sets.is_empty())
    }

    /// Whether a name is in one of its zones.
    pub fn covers(&self, name: &LowerName) -> bool {
        self.zones.iter().any(|zone| zone.origin.zone_of(name))
    }

    /// All that a name has now.
    pub fn set(&mut self, name: LowerName, sets: Vec<RecordSet>) {
        let count = |sets: &[RecordSet]| sets.iter().map(|set| set.data.len()).sum::<usize>();
        let is = !sets.is_empty();
        let entry = self.names.entry(name.clone()).or_default();
        let was = !entry.sets.is_empty();
        self.records = self.records.saturating_sub(count(&entry.sets)).saturating_add(count(&sets));
        entry.sets = sets;
        if was != is {
            self.note_below(&name, is);
        }
        self.drop_if_empty(&name);
        self.serial = self.serial.wrapping_add(1);
    }

    /// One name more or less is below those above it.
    fn note_below(&mut self, name: &LowerName, more: bool) {
        let mut above = name.base_name();
        while !above.is_root() {
            let entry = self.names.entry(above.clone()).or_default();
            entry.below = if more { entry.below.saturating_add(1) } else { entry.below.saturating_sub(1) };
            self.drop_if_empty(&above);
            above = above.base_name();
        }
    }

    fn drop_if_empty(&mut self, name: &LowerName) {
        if self.names.get(name).is_some_and(|entry| entry.sets.is_empty() && entry.below == 0) {
            self.names.remove(name);
        }
    }

    fn soa(&self, zone: &Zone) -> Record {
        let origin = Name::from(zone.origin.clone());
        let below = |label: &str| origin.prepend_label(label).unwrap_or_else(|_| origin.clone());
        // Nobody transfers these zones: the intervals are usual ones and mean nothing.
        let data = SOA::new(below("ns"), below("hostmaster"), self.serial, 7_200, 1_800, 86_400, zone.negative_ttl);
        Record::from_rdata(origin, zone.negative_ttl, RData::SOA(data))
    }
}

impl Tables {
    /// Of as many plugins; nothing is known of any yet.
    pub fn new(plugins: usize) -> Self {
        Self { tables: vec![None; plugins], zones: HashMap::new() }
    }

    /// Whether every plugin has said something. Before, what seems to be nobody's may be somebody's.
    pub fn is_complete(&self) -> bool {
        self.tables.iter().all(Option::is_some)
    }

    /// All that a plugin says, in place of what it said before.
    pub fn replace(&mut self, plugin: usize, mut table: Table) {
        let Some(place) = self.tables.get_mut(plugin) else { return };
        if let Some(old) = place {
            table.serial = old.serial.wrapping_add(1);
        }
        *place = Some(table);
        self.zones.clear();
        for (number, table) in self.tables.iter().enumerate() {
            for zone in table.iter().flat_map(|table| &table.zones) {
                self.zones.entry(zone.origin.clone()).or_insert_with(|| (number, zone.clone()));
            }
        }
    }

    /// What a plugin said last.
    pub fn of(&self, plugin: usize) -> Option<&Table> {
        self.tables.get(plugin)?.as_ref()
    }

    /// The same, to change it.
    pub fn of_mut(&mut self, plugin: usize) -> Option<&mut Table> {
        self.tables.get_mut(plugin)?.as_mut()
    }

    /// What they say; `None`: the name is nobody's here. `turn` is another number each time: of several addresses each
    /// is the first at times.
    pub(super) fn ask(&self, name: &Name, kind: RecordType, turn: usize) -> Option<Found> {
        let mut found = Found::default();
        let mut name = name.clone();
        for _ in 0..HOPS {
            let lower = LowerName::from(&name);
            let Some((table, zone)) = self.zone_of(&lower) else {
                return found.leads_to(name);
            };
            let Some(entry) = table.names.get(&lower).filter(|entry| !entry.sets.is_empty()) else {
                let known = table.names.contains_key(&lower) || (lower == zone.origin && !zone.fallthrough);
                if !known && zone.fallthrough {
                    return found.leads_to(name);
                }
                return Some(found.nothing(table, zone, &lower, kind, known));
            };
            let fits = |set: &&RecordSet| set.kind == kind || kind == RecordType::ANY;
            let before = found.answers.len();
            entry.sets.iter().filter(fits).for_each(|set| found.answers.extend(records_of(&name, set, turn)));
            if found.answers.len() > before {
                self.addresses_of_targets(&mut found, turn);
                return Some(found);
            }
            let Some((alias, target)) = entry.sets.iter().find_map(alias) else {
                return Some(found.nothing(table, zone, &lower, kind, true));
            };
            found.answers.extend(records_of(&name, alias, turn));
            name = target;
        }
        // A ring, or something as good as one.
        Some(Found { code: ResponseCode::ServFail, ..Found::default() })
    }

    fn zone_of(&self, name: &LowerName) -> Option<(&Table, &Zone)> {
        let mut at = name.clone();
        loop {
            if let Some((plugin, zone)) = self.zones.get(&at) {
                return Some((self.of(*plugin)?, zone));
            }
            if at.is_root() {
                return None;
            }
            at = at.base_name();
        }
    }

    /// Whoever asks for SRV asks for the addresses of its targets next.
    fn addresses_of_targets(&self, found: &mut Found, turn: usize) {
        let target = |record: &Record| if let RData::SRV(srv) = &record.data { Some(srv.target.clone()) } else { None };
        let mut targets: Vec<Name> = found.answers.iter().filter_map(target).take(TARGETS).collect();
        targets.sort();
        targets.dedup();
        for name in targets {
            let lower = LowerName::from(&name);
            let Some(entry) = self.zone_of(&lower).and_then(|(table, _)| table.names.get(&lower)) else { continue };
            let addresses = entry.sets.iter().filter(|set| matches!(set.kind, RecordType::A | RecordType::AAAA));
            addresses.for_each(|set| found.additionals.extend(records_of(&name, set, turn)));
        }
    }
}

impl Found {
    /// What a name that is not ours leads to: nothing at once, or what others know of a CNAME's target.
    fn leads_to(mut self, name: Name) -> Option<Self> {
        if self.answers.is_empty() {
            return None;
        }
        self.elsewhere = Some(name);
        Some(self)
    }

    /// No such type, or no such name.
    fn nothing(mut self, table: &Table, zone: &Zone, name: &LowerName, kind: RecordType, known: bool) -> Self {
        let soa = table.soa(zone);
        if *name == zone.origin && matches!(kind, RecordType::SOA | RecordType::ANY) {
            self.answers.push(soa);
            return self;
        }
        self.code = if known { ResponseCode::NoError } else { ResponseCode::NXDomain };
        self.authorities.push(soa);
        self
    }
}

fn records_of(name: &Name, set: &RecordSet, turn: usize) -> impl Iterator<Item = Record> {
    let first = turn.checked_rem(set.data.len()).unwrap_or_default();
    let data = set.data.iter().skip(first).chain(set.data.iter().take(first));
    data.map(move |data| Record::from_rdata(name.clone(), set.ttl, data.clone()))
}

fn alias(set: &RecordSet) -> Option<(&RecordSet, Name)> {
    match set.data.first() {
        Some(RData::CNAME(target)) => Some((set, target.0.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
