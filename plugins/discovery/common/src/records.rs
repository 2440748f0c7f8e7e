//! The records of one Service.

use std::collections::btree_map::IntoIter;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use gantry_sdk::discovery::{Data, Service as Srv};

/// `Data`, with an order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Record {
    /// A or AAAA
    Address(IpAddr),
    /// CNAME
    Alias(String),
    /// PTR
    Pointer(String),
    /// SRV: a port and whose.
    Service(u16, String),
}

/// What all SRV records of a scheme say: one of a name is as good as another (RFC 2782).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights {
    /// The same for all, so that all count.
    pub priority: u16,
    /// The same for all, so that all get as much.
    pub weight: u16,
}

impl Record {
    /// As the contract has it.
    pub fn data(&self, Weights { priority, weight }: Weights) -> Data {
        match self {
            Record::Address(IpAddr::V4(address)) => Data::A(address.to_string()),
            Record::Address(IpAddr::V6(address)) => Data::Aaaa(address.to_string()),
            Record::Alias(name) => Data::Cname(name.clone()),
            Record::Pointer(name) => Data::Ptr(name.clone()),
            Record::Service(port, target) => Data::Srv(Srv { priority, weight, port: *port, target: target.clone() }),
        }
    }
}

/// By name; of each the records of one Service, in a steady order and each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records(BTreeMap<String, BTreeSet<Record>>);

impl Records {
    /// One more, unless it is there.
    pub fn add(&mut self, name: impl Into<String>, record: Record) {
        self.0.entry(name.into()).or_default().insert(record);
    }

    /// Of one name.
    pub fn get(&self, name: &str) -> Option<&BTreeSet<Record>> {
        self.0.get(name)
    }

    /// All names with what they have.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &BTreeSet<Record>)> {
        self.0.iter()
    }

    /// No name has any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl IntoIterator for Records {
    type Item = (String, BTreeSet<Record>);
    type IntoIter = IntoIter<String, BTreeSet<Record>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
