//! The load balancer, and what it is made of.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, Group, Members, Result, Rule, unfit};
use crate::classic::{self, Classic};
use crate::names::Owner;
use crate::object::Spec;
use crate::settings::{Kind, Scheme, Settings};

/// A load balancer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balancer {
    /// Follows from what can't be changed about it.
    pub name: String,
    /// `network` or `application`
    pub kind: &'static str,
    /// `internal` or `internet-facing`
    pub scheme: &'static str,
    /// Where it is.
    pub subnets: BTreeSet<String>,
    /// Empty: an application load balancer has the VPC's default one, a network load balancer none: it is open to all.
    pub security_groups: BTreeSet<String>,
    /// The VPC of its targets.
    pub vpc: String,
    /// By name.
    pub groups: BTreeMap<String, Group>,
    /// By port.
    pub listeners: BTreeMap<u16, Listener>,
}

/// A listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// `TCP`, `UDP`, `TCP_UDP`, `TLS`, `HTTP` or `HTTPS`
    pub protocol: &'static str,
    /// Of HTTPS and TLS, the first by default.
    pub certificates: Vec<String>,
    /// For what no rule is for.
    pub default: Action,
    /// In the order in which they are asked.
    pub rules: Vec<Rule>,
}

/// What a Frontend comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A network or an application load balancer.
    Elastic(Balancer),
    /// A Classic one.
    Classic(Classic),
}

/// What a Frontend comes to.
pub fn wanted(owner: &Owner, spec: &Spec, settings: &Settings, members: &Members) -> Result<Wanted> {
    let maker = Maker { owner, spec, settings, members };
    match &spec.http {
        Some(_) if !spec.ports.is_empty() => {
            unfit("has ports and rules for HTTP: a load balancer of AWS serves one of them")
        }
        Some(http) => maker.of_http(http).map(Wanted::Elastic),
        None if settings.kind == Kind::Classic => classic::wanted(&maker).map(Wanted::Classic),
        None => maker.of_ports().map(Wanted::Elastic),
    }
}

/// Makes one of a Frontend.
pub struct Maker<'a> {
    /// Whose it is.
    pub owner: &'a Owner,
    /// What is asked for.
    pub spec: &'a Spec,
    /// How.
    pub settings: &'a Settings,
    /// Who serves.
    pub members: &'a Members,
}

impl Maker<'_> {
    /// Without listeners.
    pub(super) fn bare(&self, kind: &'static str) -> Balancer {
        let scheme = self.scheme();
        // A network load balancer has security groups from the first, or never.
        let grouped = kind == "network" && !self.settings.security_groups.is_empty();
        let fixed = ["balancer", kind, scheme].into_iter().chain(grouped.then_some("security groups"));
        Balancer {
            name: self.owner.name(&fixed.collect::<Vec<_>>()),
            kind,
            scheme,
            subnets: self.settings.subnets.iter().cloned().collect(),
            security_groups: self.settings.security_groups.iter().cloned().collect(),
            vpc: self.settings.vpc.clone(),
            groups: BTreeMap::new(),
            listeners: BTreeMap::new(),
        }
    }

    /// `internal` or `internet-facing`
    pub fn scheme(&self) -> &'static str {
        match self.settings.scheme {
            Scheme::Internal => "internal",
            Scheme::InternetFacing => "internet-facing",
        }
    }

    /// Whether a client is to stay with a backend.
    pub fn sticks(&self) -> bool {
        !matches!(self.spec.session_affinity.kind.as_str(), "" | "None")
    }

    /// A target group serves one load balancer, so that one's name is part of what can't be changed. Its own port is not:
    /// every target says where it serves.
    pub(super) fn add(&self, balancer: &mut Balancer, key: &str, group: Group) -> String {
        let version = group.version.unwrap_or_default();
        let name = self.owner.name(&[&balancer.name, key, group.protocol, version, group.target_type, &balancer.vpc]);
        balancer.groups.insert(name.clone(), Group { name: name.clone(), ..group });
        name
    }
}
