//! What listens on a node: one table for each port, of all frontends that want it.

use std::collections::{BTreeMap, BTreeSet};

use gantry_sdk::load_balancer::{Frontend, Http, Listener as Wanted};
use gantry_sdk::proxy::{Action, Certificate, Listener, Rule, Weighted};

use crate::order::Place;

/// Puts the tables of all frontends together, by the listeners' names.
pub fn merged<'a>(frontends: impl Iterator<Item = &'a Frontend>, access_log: bool) -> BTreeMap<String, Listener> {
    let mut all: BTreeMap<String, Gathered<'a>> = BTreeMap::new();
    for frontend in frontends {
        let Some(http) = &frontend.http else { continue };
        for wanted in &http.listeners {
            all.entry(name(wanted)).or_insert_with(|| Gathered::new(wanted)).add(frontend, http, wanted);
        }
    }
    all.into_iter().map(|(name, gathered)| (name.clone(), gathered.finish(name, access_log))).collect()
}

/// A port spoken on in one way. If somebody wants it in the other, one of the two does not get it, and is told.
fn name(wanted: &Wanted) -> String {
    format!("{}:{}", if wanted.tls { "https" } else { "http" }, wanted.port)
}

/// The name of a frontend's backend among all.
pub fn pool(frontend: &str, backend: &str) -> String {
    format!("{frontend}/{backend}")
}

struct Gathered<'a> {
    wanted: &'a Wanted,
    rules: BTreeMap<Place, Rule>,
    /// Of two for one name the older frontend's counts: it comes first.
    certificates: BTreeMap<(u64, &'a str, usize), Certificate>,
    frontends: BTreeSet<&'a str>,
}

impl<'a> Gathered<'a> {
    fn new(wanted: &'a Wanted) -> Self {
        let (rules, certificates, frontends) = Default::default();
        Self { wanted, rules, certificates, frontends }
    }

    fn add(&mut self, frontend: &'a Frontend, http: &Http, wanted: &'a Wanted) {
        self.frontends.insert(&frontend.id);
        for (index, certificate) in wanted.certificates.iter().enumerate() {
            let namespace = frontend.id.split_once('/').map(|(namespace, _)| namespace).unwrap_or_default();
            let certificate = Certificate {
                hosts: certificate.hosts.clone(),
                namespace: namespace.to_owned(),
                secret: certificate.secret.clone(),
                frontend: frontend.id.clone(),
            };
            self.certificates.insert((frontend.created, frontend.id.as_str(), index), certificate);
        }
        for (index, route) in http.routes.iter().enumerate() {
            if !route.listeners.is_empty() && !route.listeners.contains(&wanted.name) {
                continue;
            }
            let condition = &route.rule.condition;
            let place = Place::new(condition, route.priority, frontend.created, &frontend.id, index);
            let action = led(&route.rule.action, &frontend.id);
            self.rules.insert(place, Rule { condition: condition.clone(), action });
        }
    }

    fn finish(self, name: String, access_log: bool) -> Listener {
        Listener {
            name,
            port: self.wanted.port,
            tls: self.wanted.tls,
            certificates: self.certificates.into_values().collect(),
            rules: self.rules.into_values().collect(),
            frontends: self.frontends.into_iter().map(str::to_owned).collect(),
            access_log,
        }
    }
}

/// The same action, with pools by the names that they have among all.
fn led(action: &Action, frontend: &str) -> Action {
    match action {
        Action::Forward(targets) => {
            let target = |t: &Weighted| Weighted { backend: pool(frontend, &t.backend), weight: t.weight };
            Action::Forward(targets.iter().map(target).collect())
        }
        other => other.clone(),
    }
}
