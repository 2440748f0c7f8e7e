//! What a plugin says about itself: the custom section `gantry:manifest` and the names that the component imports and
//! exports. All of it is read before anything is compiled.

mod anatomy;
mod contract;
mod kinds;

use std::collections::BTreeSet;

use gantry_model::Kind;
use gantry_model::validate::names::qualified_name;
use serde::Deserialize;

pub use anatomy::{Anatomy, SECTION};
pub use contract::CONTRACT;

use crate::grants::Grants;

/// `spec.schedulerName` of pods that did not ask for another one, and what a scheduler serves that says nothing about it.
pub const DEFAULT_SCHEDULER: &str = "default-scheduler";
/// Names of one scheduler.
const MOST_NAMES: usize = 8;

/// What a plugin is for, as far as this host serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// `wit/admission.wit`
    Admission,
    /// `wit/api.wit`
    Api,
    /// `wit/controller.wit`
    Controller,
    /// `wit/discovery.wit`
    Discovery,
    /// `wit/scheduler.wit`
    Scheduler,
    /// `wit/load-balancer.wit`
    LoadBalancer,
    /// `wit/network.wit`
    Network,
    /// `wit/network-policy.wit`
    NetworkPolicy,
    /// `wit/sink.wit`
    Sink,
}

impl Family {
    const ALL: [Self; 9] = [
        Self::Admission,
        Self::Api,
        Self::Controller,
        Self::Discovery,
        Self::Scheduler,
        Self::LoadBalancer,
        Self::Network,
        Self::NetworkPolicy,
        Self::Sink,
    ];

    /// The word in manifests, which is the interface's name too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admission => "admission",
            Self::Api => "api",
            Self::Controller => "controller",
            Self::Discovery => "discovery",
            Self::Scheduler => "scheduler",
            Self::LoadBalancer => "load-balancer",
            Self::Network => "network",
            Self::NetworkPolicy => "network-policy",
            Self::Sink => "sink",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.name() == name)
    }
}

/// A manifest that was checked.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The plugin's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One line for people.
    pub description: String,
    /// What it is for; equal to what it exports.
    pub families: BTreeSet<Family>,
    /// Kinds that it declares, of the origin `Plugin(name)`.
    pub kinds: Vec<Kind>,
    /// What it asks for.
    pub asks: Grants,
    /// Options whose values (a text or a list of texts) are address ranges in CIDR notation that the plugin gives out of:
    /// no pod may get an address of them.
    pub range_options: Vec<String>,
    /// Values of `spec.schedulerName` whose pods it places; none unless it is a scheduler.
    pub scheduler_names: Vec<String>,
}

/// Why a component is no plugin of this host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not WebAssembly, or damaged.
    #[error("is not a WebAssembly component: {0}")]
    NotAComponent(String),
    /// The section is missing.
    #[error("carries no manifest (custom section {SECTION})")]
    NoManifest,
    /// The section does not say what a manifest says.
    #[error("manifest: {0}")]
    Invalid(String),
    /// Another version of the contract.
    #[error("speaks gantry:plugin {theirs}, this host serves {ours}: build it against the SDK of this host")]
    Contract {
        /// The component's.
        theirs: String,
        /// This host's.
        ours: &'static str,
    },
    /// The manifest and the exports disagree.
    #[error("manifest names the family {0}, but the component does not export gantry:plugin/{0}")]
    NotExported(String),
    /// The exports and the manifest disagree.
    #[error("exports gantry:plugin/{0}, but its manifest does not name that family")]
    NotNamed(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    name: String,
    version: String,
    #[serde(default)]
    description: String,
    families: Vec<String>,
    #[serde(default)]
    kinds: Vec<kinds::Declared>,
    #[serde(default)]
    grants: Grants,
    #[serde(default, rename = "range-options")]
    range_options: Vec<String>,
    #[serde(rename = "scheduler-names")]
    scheduler_names: Option<Vec<String>>,
}

impl Manifest {
    /// Reads and checks a component's manifest. The version of the contract comes first: everything else may have
    /// changed with it.
    pub fn of(anatomy: &Anatomy) -> Result<Self, Error> {
        contract::check(anatomy)?;
        let text = anatomy.manifest.as_deref().ok_or(Error::NoManifest)?;
        let manifest = Self::parse(text)?;
        let exported = contract::exported(anatomy);
        for family in &manifest.families {
            if !exported.iter().any(|e| e == family.name()) {
                return Err(Error::NotExported(family.name().to_owned()));
            }
        }
        match exported.into_iter().find(|e| !manifest.families.iter().any(|f| f.name() == *e)) {
            Some(extra) => Err(Error::NotNamed(extra)),
            None => Ok(manifest),
        }
    }

    /// Reads the text of a manifest.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let document: Document = toml::from_str(text).map_err(|e| Error::Invalid(one_line(text, &e)))?;
        let invalid = |what: String| Err(Error::Invalid(what));
        if !dns_label(&document.name) {
            return invalid(format!("name {:?} is not a DNS label", document.name));
        }
        if contract::Version::parse(&document.version).is_none() {
            return invalid(format!("version {:?} is not a semantic version", document.version));
        }
        let mut families = BTreeSet::new();
        for name in &document.families {
            match Family::parse(name) {
                Some(family) => families.insert(family),
                None => return invalid(format!("family {name:?} is not one that this host serves")),
            };
        }
        if families.is_empty() {
            return invalid("names no family".to_owned());
        }
        if let Some(verb) = document.grants.unknown_verb() {
            return invalid(format!("grants: verb {verb:?} is not known"));
        }
        let schedules = families.contains(&Family::Scheduler);
        let scheduler_names = match document.scheduler_names {
            Some(_) if !schedules => return invalid("scheduler-names are for schedulers".to_owned()),
            Some(names) => names,
            None => schedules.then(|| DEFAULT_SCHEDULER.to_owned()).into_iter().collect(),
        };
        if schedules {
            check_scheduler_names(&scheduler_names).map_err(Error::Invalid)?;
        }
        let kinds = document.kinds.into_iter().map(|kind| kind.build(&document.name)).collect::<Result<_, _>>();
        Ok(Self {
            kinds: kinds.map_err(Error::Invalid)?,
            name: document.name,
            version: document.version,
            description: document.description,
            families,
            asks: document.grants,
            range_options: document.range_options,
            scheduler_names,
        })
    }
}

/// At least one, each as pods can have it.
pub(crate) fn check_scheduler_names(names: &[String]) -> Result<(), String> {
    if names.is_empty() || names.len() > MOST_NAMES {
        return Err(format!("scheduler-names: give 1 to {MOST_NAMES}"));
    }
    match names.iter().find(|name| !qualified_name(name).is_empty()) {
        Some(name) => Err(format!("scheduler-names: {name:?} can't be the schedulerName of a pod")),
        None => Ok(()),
    }
}

/// What a TOML error says, on one line and with its place.
pub(crate) fn one_line(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().replace('\n', " ");
    match error.span() {
        Some(span) => {
            let line = text.get(..span.start).map_or(1, |head| head.matches('\n').count() + 1);
            format!("line {line}: {message}")
        }
        None => message,
    }
}

/// Lower-case letters, digits and inner hyphens, at most 63.
pub(crate) fn dns_label(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !name.is_empty() && name.len() <= 63 && name.bytes().all(inner) && !name.starts_with('-') && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = include_str!("tests/workloads.toml");

    #[test]
    fn reads_a_manifest() {
        let manifest = Manifest::parse(GOOD).unwrap();
        assert_eq!(manifest.name, "workloads");
        assert_eq!(manifest.families.iter().map(|f| f.name()).collect::<Vec<_>>(), ["controller"]);
        let kind = &manifest.kinds[0];
        assert_eq!((kind.api_version().as_str(), kind.plural.as_str()), ("apps/v1", "deployments"));
        assert_eq!(kind.schema["properties"]["spec"]["properties"]["replicas"]["default"], 1);
        assert_eq!(kind.scale.as_ref().unwrap().label_selector_path.as_deref(), Some(".status.selector"));
        assert_eq!(kind.columns[0].json_path, "{.status.readyReplicas|0}/{.spec.replicas|0}");
        assert_eq!(kind.definition, "io.k8s.api.apps.v1.Deployment");
        assert_eq!(kind.origin, gantry_model::kind::Origin::Plugin("workloads".into()));
        assert_eq!(manifest.asks.objects.len(), 2);
    }

    #[test]
    fn schedulers_say_whose_pods_they_place() {
        let names = |families: &str, more: &str| {
            let text = format!("name = \"s\"\nversion = \"0.1.0\"\nfamilies = [{families}]\n{more}");
            Manifest::parse(&text).map(|manifest| manifest.scheduler_names).map_err(|error| error.to_string())
        };
        assert_eq!(names("\"scheduler\"", "").unwrap(), [DEFAULT_SCHEDULER]);
        assert_eq!(names("\"sink\"", "").unwrap(), [""; 0]);
        assert_eq!(names("\"scheduler\"", "scheduler-names = [\"a\", \"b.c/d\"]").unwrap(), ["a", "b.c/d"]);
        for (families, more, want) in [
            ("\"sink\"", "scheduler-names = [\"a\"]", "are for schedulers"),
            ("\"scheduler\"", "scheduler-names = []", "give 1 to 8"),
            ("\"scheduler\"", "scheduler-names = [\"a b\"]", "\"a b\" can't be the schedulerName"),
        ] {
            let error = names(families, more).unwrap_err();
            assert!(error.contains(want), "{error:?} does not say {want:?}");
        }
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let table = [
            ("name = \"workloads\"", "name = \"Work Loads\"", "name \"Work Loads\" is not a DNS label"),
            ("version = \"0.1.0\"", "version = \"new\"", "version \"new\" is not a semantic version"),
            (
                "families = [\"controller\"]",
                "families = [\"magic\"]",
                "family \"magic\" is not one that this host serves",
            ),
            ("families = [\"controller\"]", "families = []", "names no family"),
            ("version = \"0.1.0\"", "version = \"0.1.0\"\ncolour = 1", "line 3: unknown field `colour`"),
            ("\"watch\"", "\"wink\"", "grants: verb \"wink\" is not known"),
            ("scope = \"Namespaced\"", "scope = \"Everywhere\"", "unknown variant `Everywhere`"),
            ("plural = \"deployments\"", "plural = \"\"", "kinds: plural of Deployment is empty"),
        ];
        for (from, to, want) in table {
            let text = GOOD.replacen(from, to, 1);
            assert_ne!(text, GOOD);
            let error = Manifest::parse(&text).unwrap_err().to_string();
            assert!(error.contains(want), "{error:?} does not say {want:?}");
        }
    }
}
