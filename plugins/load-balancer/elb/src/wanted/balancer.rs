//! The load balancer, and what it is made of.

use std::collections::{BTreeMap, BTreeSet};

use super::rules::rules;
use super::{Action, Group, Health, Members, Result, Rule, Target, unfit};
use crate::names::Owner;
use crate::object::{Backend, Http, Port, Spec};
use crate::settings::{Kind, Scheme, Settings, TargetType};

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
    /// Empty: that of the VPC.
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
    /// `TCP`, `UDP`, `HTTP` or `HTTPS`
    pub protocol: &'static str,
    /// Of HTTPS, the first by default.
    pub certificates: Vec<String>,
    /// For what no rule is for.
    pub default: Action,
    /// In the order in which they are asked.
    pub rules: Vec<Rule>,
}

/// What a Frontend comes to.
pub fn balancer(owner: &Owner, spec: &Spec, settings: &Settings, members: &Members) -> Result<Balancer> {
    let maker = Maker { owner, spec, settings, members };
    match &spec.http {
        Some(_) if !spec.ports.is_empty() => {
            unfit("has ports and rules for HTTP: a load balancer of AWS serves one of them")
        }
        Some(http) => maker.of_http(http),
        None => maker.of_ports(),
    }
}

struct Maker<'a> {
    owner: &'a Owner,
    spec: &'a Spec,
    settings: &'a Settings,
    members: &'a Members,
}

impl Maker<'_> {
    fn bare(&self, kind: &'static str) -> Balancer {
        let scheme = match self.settings.scheme {
            Scheme::Internal => "internal",
            Scheme::InternetFacing => "internet-facing",
        };
        Balancer {
            name: self.owner.name(&["balancer", kind, scheme]),
            kind,
            scheme,
            subnets: self.settings.subnets.iter().cloned().collect(),
            security_groups: self.settings.security_groups.iter().cloned().collect(),
            vpc: self.settings.vpc.clone(),
            groups: BTreeMap::new(),
            listeners: BTreeMap::new(),
        }
    }

    fn of_ports(&self) -> Result<Balancer> {
        let http = self.settings.kind == Kind::Alb;
        let mut balancer = self.bare(if http { "application" } else { "network" });
        for port in &self.spec.ports {
            let protocol = self.protocol(port, http)?;
            let (target_type, targets) = self.targets(port)?;
            let group = Group {
                name: String::new(),
                protocol,
                version: http.then_some("HTTP1"),
                port: targets.first().map_or(port.port, |target| target.port),
                target_type,
                health: Health::of_port(&self.settings.check, http),
                targets,
            };
            let name = self.add(&mut balancer, &format!("port {} {}", port.name, port.port), group);
            self.listen(
                &mut balancer,
                port.port,
                Listener {
                    protocol: if http && !self.settings.certificates.is_empty() { "HTTPS" } else { protocol },
                    certificates: if http { self.settings.certificates.clone() } else { Vec::new() },
                    default: Action::to(name),
                    rules: Vec::new(),
                },
            )?;
        }
        Ok(balancer)
    }

    fn protocol(&self, port: &Port, http: bool) -> Result<&'static str> {
        match (port.protocol.as_str(), http) {
            ("" | "TCP", true) => Ok("HTTP"),
            ("" | "TCP", false) => Ok("TCP"),
            ("UDP", false) => Ok("UDP"),
            (other, true) => {
                unfit(format!("port {} is of {other}, which an application load balancer does not serve", port.port))
            }
            (other, false) => {
                unfit(format!("port {} is of {other}, which a network load balancer does not serve", port.port))
            }
        }
    }

    fn targets(&self, port: &Port) -> Result<(&'static str, BTreeSet<Target>)> {
        match self.settings.target_type {
            TargetType::Ip => Ok(("ip", self.members.addresses(&self.spec.backends.selector.match_labels, &port.name))),
            TargetType::Instance if port.node_port == 0 => {
                unfit(format!("port {} has no node port, at which instances could be reached", port.port))
            }
            TargetType::Instance => Ok(("instance", self.members.instances(self.spec, port))),
        }
    }

    fn of_http(&self, http: &Http) -> Result<Balancer> {
        if self.settings.target_type == TargetType::Instance {
            return unfit("rules for HTTP lead to pods, which are targets of the type ip");
        }
        let mut balancer = self.bare("application");
        let mut names = BTreeMap::new();
        for backend in &http.backends {
            let name = self.add(&mut balancer, &format!("backend {}", backend.name), self.of_backend(backend));
            names.insert(backend.name.clone(), name);
        }
        for listener in &http.listeners {
            let secure = listener.protocol == "HTTPS";
            if secure && self.settings.certificates.is_empty() {
                return unfit(format!(
                    "listener {} speaks HTTPS: name certificates of AWS in the annotation elb.gantry.dev/certificates; \
                     Secrets are not given to AWS",
                    listener.name
                ));
            }
            let (rules, default) = rules(http, &listener.name, &|backend| names.get(backend).cloned())?;
            self.listen(
                &mut balancer,
                listener.port,
                Listener {
                    protocol: if secure { "HTTPS" } else { "HTTP" },
                    certificates: if secure { self.settings.certificates.clone() } else { Vec::new() },
                    default,
                    rules,
                },
            )?;
        }
        Ok(balancer)
    }

    fn of_backend(&self, backend: &Backend) -> Group {
        let targets = self.members.addresses(&backend.selector.match_labels, &backend.port);
        Group {
            name: String::new(),
            protocol: "HTTP",
            version: Some(if backend.protocol == "H2C" { "HTTP2" } else { "HTTP1" }),
            port: targets.first().map_or(80, |target| target.port),
            target_type: "ip",
            health: Health::of_backend(backend.health_check.as_ref(), &self.settings.check),
            targets,
        }
    }

    /// A target group serves one load balancer, so that one's name is part of what can't be changed. Its own port is not:
    /// every target says where it serves.
    fn add(&self, balancer: &mut Balancer, key: &str, group: Group) -> String {
        let version = group.version.unwrap_or_default();
        let name = self.owner.name(&[&balancer.name, key, group.protocol, version, group.target_type, &balancer.vpc]);
        balancer.groups.insert(name.clone(), Group { name: name.clone(), ..group });
        name
    }

    fn listen(&self, balancer: &mut Balancer, port: u16, listener: Listener) -> Result<()> {
        match balancer.listeners.insert(port, listener) {
            None => Ok(()),
            Some(_) => unfit(format!("port {port} is there twice, which a load balancer of AWS does not serve")),
        }
    }
}
