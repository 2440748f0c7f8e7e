//! What a plugin may do. Nothing by default; what holds is what the manifest asks for *and* the bundle gives.

use std::fmt;
use std::net::SocketAddrV4;

use serde::Deserialize;

use crate::family::KindRef;
use crate::http::{Endpoint, Endpoints};
use crate::local::Locals;
use crate::routes::Route;

/// Verbs on the objects of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectGrant {
    /// API group; empty for core.
    pub group: String,
    /// `Pod`; `*`: every kind of the group.
    pub kind: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `status`, `scale`; `review` and `mutate` for who
    /// looks at the writes of others (a reviewer sees the objects, secrets too); `*`: all.
    pub verbs: Vec<String>,
}

impl ObjectGrant {
    fn covers(&self, kind: &KindRef, verb: &str) -> bool {
        self.group == kind.group
            && (self.kind == "*" || self.kind == kind.kind)
            && self.verbs.iter().any(|v| v == "*" || v == verb)
    }
}

/// One side of a grant: what a manifest asks for, or what a bundle gives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grants {
    /// Objects.
    pub objects: Vec<ObjectGrant>,
    /// Recording Events.
    pub events: bool,
    /// Families of plans it may return: `network`, `proxy`.
    pub plans: Vec<String>,
    /// Prefixes of links on the node.
    pub links: Vec<String>,
    /// Prefixes of nftables tables.
    pub tables: Vec<String>,
    /// Ports of the node that its plans may listen on: `443`, or `8000-8999`.
    pub ports: Vec<Ports>,
    /// Requests that a dialect answers.
    pub routes: Vec<Route>,
    /// Where pods may ask a dialect on their node: `169.254.170.2:80`. In a manifest also `*`: what the bundle names.
    pub local: Vec<Locals>,
    /// WASI capabilities with an effect: `filesystem:NAME`, `sockets`.
    pub wasi: Vec<String>,
    /// Where it may send requests over HTTP: `https://example.com`, or with a port. In a manifest also `*`: what the
    /// bundle names; or `?`: the same, if it names any.
    pub http: Vec<Endpoints>,
}

/// One port, or from one to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Ports {
    first: u16,
    last: u16,
}

impl Ports {
    fn has(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    fn covers(self, other: Self) -> bool {
        self.has(other.first) && self.has(other.last)
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

/// As it stands in a bundle: `80`, `"80"` or `"8000-8999"`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    One(u16),
    Text(String),
}

impl TryFrom<Written> for Ports {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let text = match written {
            Written::One(port) => port.to_string(),
            Written::Text(text) => text,
        };
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port != 0);
        match (port(first), port(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self { first, last }),
            _ => Err(format!("{text:?} is neither a port nor a range of ports as 8000-8999")),
        }
    }
}

/// Every verb that a grant may name.
pub const VERBS: &[&str] =
    &["get", "list", "watch", "create", "update", "patch", "delete", "status", "scale", "review", "mutate", "*"];

impl Grants {
    fn allows(&self, kind: &KindRef, verb: &str) -> bool {
        self.objects.iter().any(|grant| grant.covers(kind, verb))
    }

    /// The first verb that no grant can mean.
    pub(crate) fn unknown_verb(&self) -> Option<&str> {
        self.objects.iter().flat_map(|g| &g.verbs).map(String::as_str).find(|v| !VERBS.contains(v))
    }
}

/// What holds: asked ∩ given.
#[derive(Clone, Debug, Default)]
pub struct Effective {
    asked: Grants,
    given: Grants,
}

impl Effective {
    /// The grants of a plugin that asks for one and is given the other.
    pub fn new(asked: Grants, given: Grants) -> Self {
        Self { asked, given }
    }

    /// May it use this verb on this kind?
    pub fn object(&self, kind: &KindRef, verb: &str) -> bool {
        self.asked.allows(kind, verb) && self.given.allows(kind, verb)
    }

    /// May it touch any object at all?
    pub fn any_object(&self) -> bool {
        !self.asked.objects.is_empty() && !self.given.objects.is_empty()
    }

    /// May it record Events?
    pub fn events(&self) -> bool {
        self.asked.events && self.given.events
    }

    /// May it return plans of this family?
    pub fn plan(&self, family: &str) -> bool {
        both(&self.asked.plans, &self.given.plans).any(|p| p == family)
    }

    /// Prefixes of links that its plans may name.
    pub fn links(&self) -> Vec<String> {
        both(&self.asked.links, &self.given.links).cloned().collect()
    }

    /// Prefixes of nftables tables that its plans may name.
    pub fn tables(&self) -> Vec<String> {
        both(&self.asked.tables, &self.given.tables).cloned().collect()
    }

    /// May its plans listen on this port of the node?
    pub fn port(&self, port: u16) -> bool {
        let any = |ports: &[Ports]| ports.iter().any(|range| range.has(port));
        any(&self.asked.ports) && any(&self.given.ports)
    }

    /// Requests that it answers.
    pub fn routes(&self) -> Vec<Route> {
        let given = |route: &&Route| self.given.routes.iter().any(|given| given.covers(route));
        self.asked.routes.iter().filter(given).cloned().collect()
    }

    /// Where pods ask it, on each node.
    pub fn local(&self) -> Vec<SocketAddrV4> {
        let asked = |given: &Locals| self.asked.local.iter().any(|a| *a == Locals::Named || a == given);
        let given = self.given.local.iter().filter(|given| asked(given));
        let named = given.filter_map(|given| match given {
            Locals::One(address) => Some(*address),
            Locals::Named => None,
        });
        named.collect()
    }

    /// WASI capabilities.
    pub fn wasi(&self) -> Vec<String> {
        both(&self.asked.wasi, &self.given.wasi).cloned().collect()
    }

    /// Where it may send requests.
    pub fn http(&self) -> Vec<Endpoint> {
        let open = |asked: &Endpoints| matches!(asked, Endpoints::Named | Endpoints::Optional);
        let asked = |given: &Endpoints| self.asked.http.iter().any(|a| open(a) || a == given);
        let given = self.given.http.iter().filter(|given| asked(given));
        let named = given.filter_map(|given| match given {
            Endpoints::One(endpoint) => Some(endpoint.clone()),
            Endpoints::Named | Endpoints::Optional => None,
        });
        named.collect()
    }

    /// Whether it makes requests at all: also one that goes on without endpoints, whose requests are refused then.
    pub fn asks_http(&self) -> bool {
        self.asked.http.contains(&Endpoints::Optional) || !self.http().is_empty()
    }

    /// What is asked for and not given, in words, for `gantry bundle check`.
    pub fn withheld(&self) -> Vec<String> {
        let mut out = Vec::new();
        for grant in &self.asked.objects {
            let kind = KindRef { group: grant.group.clone(), kind: grant.kind.clone() };
            let missing: Vec<&str> =
                grant.verbs.iter().map(String::as_str).filter(|verb| !self.given.allows(&kind, verb)).collect();
            if !missing.is_empty() {
                out.push(format!("asks for {} on {}, which the bundle does not give", missing.join(", "), text(&kind)));
            }
        }
        if self.asked.events && !self.given.events {
            out.push("asks for events, which the bundle does not give".to_owned());
        }
        out.extend(self.lacking());
        out.extend(missing("link", &self.asked.links, &self.given.links));
        out.extend(missing("table", &self.asked.tables, &self.given.tables));
        // Of many ports that it could listen on a few may be enough.
        let given = |port: &Ports| self.given.ports.iter().any(|given| given.covers(*port));
        let ports = self.asked.ports.iter().filter(|port| !given(port));
        out.extend(ports.map(|port| format!("asks for port {port}, which the bundle does not give")));
        out.extend(self.unheard());
        out
    }

    /// The same, of what a plugin can do nothing at all without: families of plans, WASI capabilities, HTTP, requests.
    pub fn lacking(&self) -> Vec<String> {
        let plans = missing("plan", &self.asked.plans, &self.given.plans);
        let wasi = missing("wasi", &self.asked.wasi, &self.given.wasi);
        plans.chain(wasi).chain(self.unreachable()).chain(self.unanswered()).collect()
    }

    fn unanswered(&self) -> impl Iterator<Item = String> + '_ {
        let given = |route: &Route| self.given.routes.iter().any(|given| given.covers(route));
        let missing = self.asked.routes.iter().filter(move |route| !given(route));
        missing.map(|route| format!("asks for requests with {route}, which the bundle does not give"))
    }

    /// What pods can't ask it; it answers all others.
    fn unheard(&self) -> impl Iterator<Item = String> + '_ {
        let given = self.local();
        self.asked.local.iter().filter_map(move |asked| match asked {
            Locals::Named if given.is_empty() => {
                Some("asks for link-local addresses, of which the bundle names none (grants.local)".to_owned())
            }
            Locals::One(address) if !given.contains(address) => {
                Some(format!("asks for pods' requests at {address}, which the bundle does not give"))
            }
            _ => None,
        })
    }

    fn unreachable(&self) -> impl Iterator<Item = String> + '_ {
        let given = self.http();
        self.asked.http.iter().filter_map(move |asked| match asked {
            Endpoints::Named if given.is_empty() => {
                Some("asks for HTTP endpoints, of which the bundle names none (grants.http)".to_owned())
            }
            Endpoints::One(endpoint) if !given.contains(endpoint) => {
                Some(format!("asks for {endpoint}, which the bundle does not give"))
            }
            _ => None,
        })
    }
}

fn missing<'a>(what: &'a str, asked: &'a [String], given: &'a [String]) -> impl Iterator<Item = String> + 'a {
    let names = asked.iter().filter(|name| !given.contains(name));
    names.map(move |name| format!("asks for {what} {name}, which the bundle does not give"))
}

fn both<'a>(asked: &'a [String], given: &'a [String]) -> impl Iterator<Item = &'a String> {
    asked.iter().filter(|name| given.contains(name))
}

/// `Pod`, `Deployment.apps`.
pub(crate) fn text(kind: &KindRef) -> String {
    if kind.group.is_empty() { kind.kind.clone() } else { format!("{}.{}", kind.kind, kind.group) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(kind: &str, verbs: &[&str]) -> Grants {
        let verbs = verbs.iter().map(|v| (*v).to_owned()).collect();
        Grants { objects: vec![ObjectGrant { group: String::new(), kind: kind.into(), verbs }], ..Grants::default() }
    }

    fn pod() -> KindRef {
        KindRef { group: String::new(), kind: "Pod".into() }
    }

    #[test]
    fn holds_only_what_is_asked_and_given() {
        let table = [
            (grants("Pod", &["get"]), grants("Pod", &["get"]), true),
            (grants("Pod", &["get"]), grants("*", &["*"]), true),
            (grants("Pod", &["list"]), grants("*", &["*"]), false),
            (grants("Pod", &["get"]), grants("Node", &["get"]), false),
            (grants("Pod", &["get"]), Grants::default(), false),
        ];
        for (asked, given, want) in table {
            assert_eq!(Effective::new(asked.clone(), given.clone()).object(&pod(), "get"), want, "{asked:?} {given:?}");
        }
    }

    #[test]
    fn ports_are_single_or_ranges() {
        let ports = |text: &str| toml::from_str::<Grants>(&format!("ports = {text}")).map(|grants| grants.ports);
        assert_eq!(ports("[80, \"443\", \"8000-8999\"]").unwrap().len(), 3);
        for wrong in ["[0]", "[\"9-8\"]", "[\"http\"]", "[70000]"] {
            assert!(ports(wrong).is_err(), "{wrong}");
        }
        let grants = |text: &str| Grants { ports: ports(text).unwrap(), ..Grants::default() };
        let held = Effective::new(grants("[\"1-65535\"]"), grants("[80, \"8000-8999\"]"));
        assert!(held.port(80) && held.port(8443) && !held.port(443));
        assert!(!Effective::new(grants("[80]"), Grants::default()).port(80));
        let withheld = Effective::new(grants("[80, \"8000-9000\"]"), grants("[\"1-8999\"]")).withheld();
        assert_eq!(withheld, ["asks for port 8000-9000, which the bundle does not give"]);
    }

    #[test]
    fn endpoints_are_named_by_the_bundle() {
        let grants = |text: &str| toml::from_str::<Grants>(&format!("http = {text}")).unwrap();
        let (any, one, other) =
            (r#"["*"]"#, r#"["https://a.example"]"#, r#"["https://a.example:444", "http://b.example"]"#);
        let table = [
            (any, one, "https://a.example", 0),
            (any, any, "", 1),
            (any, "[]", "", 1),
            (r#"["?"]"#, one, "https://a.example", 0),
            (r#"["?"]"#, "[]", "", 0),
            (one, one, "https://a.example", 0),
            (one, other, "", 1),
            (one, any, "", 1),
            ("[]", one, "", 0),
            (other, other, "https://a.example:444 http://b.example", 0),
        ];
        for (asked, given, want, lacking) in table {
            let held = Effective::new(grants(asked), grants(given));
            let texts: Vec<String> = held.http().iter().map(ToString::to_string).collect();
            assert_eq!((texts.join(" ").as_str(), held.lacking().len()), (want, lacking), "{asked} {given}");
            assert_eq!(held.asks_http(), !want.is_empty() || asked.contains('?'), "{asked} {given}");
        }
    }

    #[test]
    fn addresses_for_pods_are_named_by_the_bundle() {
        let grants = |text: &str| toml::from_str::<Grants>(&format!("local = {text}")).unwrap();
        let (any, one, other) = (r#"["*"]"#, r#"["169.254.170.2:80"]"#, r#"["169.254.170.2:81"]"#);
        for (asked, given, want, withheld) in [
            (any, one, "169.254.170.2:80", 0),
            (any, any, "", 1),
            (any, "[]", "", 1),
            (one, one, "169.254.170.2:80", 0),
            (one, other, "", 1),
            ("[]", one, "", 0),
        ] {
            let held = Effective::new(grants(asked), grants(given));
            let texts: Vec<String> = held.local().iter().map(ToString::to_string).collect();
            assert_eq!((texts.join(" ").as_str(), held.withheld().len()), (want, withheld), "{asked} {given}");
            assert!(held.lacking().is_empty(), "a dialect can do without: {asked} {given}");
        }
    }

    #[test]
    fn says_what_is_withheld() {
        let asked = Grants { events: true, wasi: vec!["sockets".into()], ..grants("Pod", &["get", "delete"]) };
        let notes = Effective::new(asked, grants("Pod", &["get"])).withheld();
        assert_eq!(
            notes,
            [
                "asks for delete on Pod, which the bundle does not give",
                "asks for events, which the bundle does not give",
                "asks for wasi sockets, which the bundle does not give",
            ]
        );
    }
}
