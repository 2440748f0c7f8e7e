//! What rules for HTTP come to: an application load balancer.

use std::collections::BTreeMap;

use super::balancer::{Balancer, Listener, Maker};
use super::rules::rules;
use super::{Group, Health, Result, unfit};
use crate::object::{Backend, Http};
use crate::settings::TargetType;

impl Maker<'_> {
    pub(super) fn of_http(&self, http: &Http) -> Result<Balancer> {
        self.check_http(http)?;
        let mut balancer = self.bare("application");
        let mut names = BTreeMap::new();
        for backend in &http.backends {
            let group = self.of_backend(backend)?;
            let name = self.add(&mut balancer, &format!("backend {}", backend.name), group);
            names.insert(backend.name.clone(), name);
        }
        for given in &http.listeners {
            let secure = given.protocol == "HTTPS";
            let (rules, default) = rules(http, &given.name, &|backend| names.get(backend).cloned())?;
            let listener = Listener {
                protocol: if secure { "HTTPS" } else { "HTTP" },
                certificates: if secure { self.settings.certificates.clone() } else { Vec::new() },
                default,
                rules,
            };
            if balancer.listeners.insert(given.port, listener).is_some() {
                return unfit(format!(
                    "two listeners have port {}, which a load balancer of AWS does not serve",
                    given.port
                ));
            }
        }
        Ok(balancer)
    }

    fn check_http(&self, http: &Http) -> Result<()> {
        let secure = http.listeners.iter().find(|one| one.protocol == "HTTPS");
        match secure {
            _ if self.settings.target_type == TargetType::Instance => {
                unfit("rules for HTTP lead to pods, which are targets of the type ip")
            }
            _ if !self.spec.sources().is_empty() => {
                unfit("sourceRanges are for ports: rules for HTTP have match.sources")
            }
            _ if self.sticks() => unfit("sessionAffinity is for ports: a rule for HTTP leads where its weights say"),
            _ if !self.settings.tls_ports.is_empty() => {
                unfit("elb.gantry.dev/tls-ports is for ports: a listener for HTTP says itself that it speaks HTTPS")
            }
            None if !self.settings.certificates.is_empty() => {
                unfit("certificates are named, and no listener speaks HTTPS: set a listener's protocol: HTTPS")
            }
            Some(listener) if self.settings.certificates.is_empty() => unfit(format!(
                "listener {} speaks HTTPS: name certificates of AWS in the annotation elb.gantry.dev/certificates; \
                 Secrets are not given to AWS",
                listener.name
            )),
            _ => Ok(()),
        }
    }

    fn of_backend(&self, backend: &Backend) -> Result<Group> {
        let targets = self.members.addresses(&backend.selector, &backend.port);
        Ok(Group {
            name: String::new(),
            protocol: "HTTP",
            version: Some(if backend.protocol == "H2C" { "HTTP2" } else { "HTTP1" }),
            port: targets.first().map_or(80, |target| target.port),
            target_type: "ip",
            health: Health::of_backend(backend.health_check.as_ref(), &self.settings.check)?,
            sticky: false,
            targets,
        })
    }
}
