//! From the contract's records to those of the wire.

use std::net::{Ipv4Addr, Ipv6Addr};

use gantry_plugin::family::discovery::{Change, Data};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, PTR, SRV, TXT};
use hickory_proto::rr::{LowerName, Name, RData, RecordType};
use serde::{Deserialize, Serialize};

/// The longest text of a TXT record, in bytes (RFC 1035).
const LONGEST_TEXT: usize = 255;

/// The records of one type of a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordSet {
    /// Their type.
    pub kind: RecordType,
    /// How long they may be remembered, in seconds.
    pub ttl: u32,
    /// At least one.
    pub data: Vec<RData>,
}

/// What a change says of a name, and how many of its records can't be.
pub(super) struct Said {
    pub name: LowerName,
    pub sets: Vec<RecordSet>,
    pub wrong: usize,
}

/// `None`: that is no name.
pub(super) fn read(change: &Change) -> Option<Said> {
    let name = LowerName::from(name(&change.name)?);
    let mut said = Said { name, sets: Vec::new(), wrong: 0 };
    for data in &change.data {
        match self::data(data) {
            Some(data) => said.add(change.ttl, data),
            None => said.wrong += 1,
        }
    }
    // Nothing may stand beside a CNAME (RFC 1034), and there is one of it.
    if let Some(alias) = said.sets.iter().find(|set| set.kind == RecordType::CNAME).cloned() {
        let all: usize = said.sets.iter().map(|set| set.data.len()).sum();
        let data: Vec<RData> = alias.data.into_iter().take(1).collect();
        said.wrong += all.saturating_sub(1);
        said.sets = vec![RecordSet { data, ..alias }];
    }
    Some(said)
}

impl Said {
    fn add(&mut self, ttl: u32, data: RData) {
        let kind = data.record_type();
        match self.sets.iter_mut().find(|set| set.kind == kind) {
            Some(set) => set.data.push(data),
            None => self.sets.push(RecordSet { kind, ttl, data: vec![data] }),
        }
    }
}

/// An absolute name, given without its last dot.
pub(super) fn name(text: &str) -> Option<Name> {
    let name = Name::from_ascii(format!("{text}.")).ok()?;
    (!text.is_empty() && !name.is_root()).then_some(name)
}

fn data(data: &Data) -> Option<RData> {
    Some(match data {
        Data::A(address) => RData::A(A(address.parse::<Ipv4Addr>().ok()?)),
        Data::Aaaa(address) => RData::AAAA(AAAA(address.parse::<Ipv6Addr>().ok()?)),
        Data::Cname(target) => RData::CNAME(CNAME(name(target)?)),
        Data::Ptr(target) => RData::PTR(PTR(name(target)?)),
        Data::Srv(service) => {
            RData::SRV(SRV::new(service.priority, service.weight, service.port, name(&service.target)?))
        }
        Data::Txt(texts) if !texts.is_empty() && texts.iter().all(|text| text.len() <= LONGEST_TEXT) => {
            RData::TXT(TXT::new(texts.clone()))
        }
        Data::Txt(_) | Data::Other(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: &str, data: Vec<Data>) -> Change {
        Change { name: name.to_owned(), ttl: 5, data }
    }

    #[test]
    fn what_cannot_be_is_left_out() {
        let said = read(&change(
            "Web.cluster.local",
            vec![
                Data::A("10.0.0.1".into()),
                Data::A("10.0.0.2".into()),
                Data::A("10.0.0.256".into()),
                Data::Aaaa("10.0.0.1".into()),
                Data::Aaaa("fd00::1".into()),
                Data::Ptr("a..b".into()),
                Data::Txt(vec!["x".repeat(256)]),
                Data::Other("new".into()),
            ],
        ))
        .unwrap();
        let shown: Vec<_> = said.sets.iter().map(|set| (set.kind, set.data.len())).collect();
        assert_eq!((said.name.to_string().as_str(), said.wrong), ("web.cluster.local.", 5));
        assert_eq!(shown, [(RecordType::A, 2), (RecordType::AAAA, 1)]);
        assert!(read(&change("a..b", Vec::new())).is_none() && read(&change("", Vec::new())).is_none());
    }

    #[test]
    fn a_cname_stands_alone() {
        let alias = |name: &str| Data::Cname(name.into());
        let said = read(&change("x", vec![Data::A("10.0.0.1".into()), alias("a.b"), alias("c.d")])).unwrap();
        assert_eq!(
            (said.sets.len(), said.sets[0].kind, said.sets[0].data.len(), said.wrong),
            (1, RecordType::CNAME, 1, 2)
        );
    }
}
