//! The file in which an operator picks plugins: which, by digest, with what configuration, what each is granted, and
//! what happens when one fails.

mod files;
mod pin;
mod size;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::{Map, Value};

pub use files::{FileError, digest};
pub(crate) use files::{find, read_pinned};
pub use pin::PinError;
pub use size::Size;

use crate::grants::Grants;
use crate::http::{Endpoints, Http};
use crate::local::Locals;
use crate::manifest::{check_scheduler_names, dns_label, one_line};

/// The most memory that a bundle can give an instance.
pub(crate) const MOST_MEMORY: u64 = 1 << 30;

/// A bundle that was checked as far as it can be without its plugins.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Its name.
    pub name: String,
    /// Where it was read from; empty for one made from text.
    pub file: PathBuf,
    /// The plugins in the file's order.
    pub plugins: Vec<Entry>,
}

/// One `[[plugin]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Entry {
    /// The plugin's name, as in its manifest.
    pub name: String,
    /// The component: relative to the plugin folders, or absolute. `NAME.wasm` when not given.
    pub source: Option<PathBuf>,
    /// `sha256:…` of the component. A bundle starts only when it is there and right.
    pub digest: Option<String>,
    /// Whether the control plane refuses to start without it.
    #[serde(default = "yes")]
    pub required: bool,
    /// What follows when it fails again and again.
    #[serde(default)]
    pub on_fault: OnFault,
    /// The most memory that one of its instances gets.
    pub memory: Option<Size>,
    /// The longest that a call may run, waiting for the host not counted.
    pub deadline_ms: Option<u64>,
    /// How many calls run at once, where the family allows it.
    pub instances: Option<u32>,
    /// Where a dialect listens by itself, instead of beside the resource API.
    pub listen: Option<Listen>,
    /// Of a scheduler: values of `spec.schedulerName` whose pods it places, in place of those that its manifest names.
    pub scheduler_names: Option<Vec<String>>,
    /// Given to the plugin as JSON.
    #[serde(default)]
    pub config: Map<String, Value>,
    /// What it is given.
    #[serde(default)]
    pub grants: Given,
    /// What is behind WASI.
    #[serde(default)]
    pub wasi: Wasi,
    /// How it makes requests over HTTP to the endpoints that it is granted.
    pub http: Option<Http>,
}

/// `listen = { address = "127.0.0.1:8080", tls = false }`. Dialects that name the same address share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// Port 0 takes a free one; the log says which.
    pub address: SocketAddr,
    /// With the certificate of the resource API. Plain HTTP is for loopback only.
    #[serde(default = "yes")]
    pub tls: bool,
}

/// `[plugin.wasi]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wasi {
    /// Directories by the name under which the manifest asks for them; the plugin sees `/NAME`. `{data}` stands for
    /// the host's data directory.
    #[serde(default)]
    pub directories: BTreeMap<String, String>,
}

/// What follows when a plugin fails again and again. The engine carries it out. There is no fallback to another plugin:
/// `docs/rationale.md` says why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFault {
    /// What it decided last stays; it is tried again with growing pauses.
    #[default]
    LastGood,
    /// It is not tried again before the bundle is loaded anew.
    Halt,
}

/// `grants = "asked"`, or a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// All that the manifest asks for; of HTTP endpoints and of addresses for pods these, where there are some:
    /// `grants = { asked = true, http = ["https://example.com"], local = ["169.254.170.2:80"] }`.
    Asked(Named),
    /// Just this.
    These(Grants),
}

/// What only the bundle can name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Where it may send requests.
    pub http: Vec<Endpoints>,
    /// Where pods may ask it.
    pub local: Vec<Locals>,
}

impl Default for Given {
    fn default() -> Self {
        Self::These(Grants::default())
    }
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let failed = |what: &dyn std::fmt::Display| D::Error::custom(format!("grants: {what}"));
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(word) if word == "asked" => Ok(Self::Asked(Named::default())),
            toml::Value::String(word) => Err(failed(&format!("{word:?} is neither \"asked\" nor a table"))),
            toml::Value::Table(table) if table.contains_key("asked") => {
                let Beside { asked, http, local } =
                    table.try_into().map_err(|e: toml::de::Error| failed(&e.message()))?;
                let named = Named { http, local };
                if asked { Ok(Self::Asked(named)) } else { Err(failed(&"asked is true or not there")) }
            }
            table => Grants::deserialize(table).map(Self::These).map_err(|e| failed(&e.message())),
        }
    }
}

/// What stands beside `asked = true`: all else follows from it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Beside {
    asked: bool,
    #[serde(default)]
    http: Vec<Endpoints>,
    #[serde(default)]
    local: Vec<Locals>,
}

fn yes() -> bool {
    true
}

/// Why a bundle can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file.
    #[error("bundle {file}: can't be read")]
    Read {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Its text.
    #[error("bundle {file}: {what}")]
    Invalid {
        /// Which.
        file: PathBuf,
        /// What is wrong, naming the plugin.
        what: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    name: String,
    #[serde(default)]
    plugin: Vec<Entry>,
}

impl Bundle {
    /// Reads a bundle's file.
    pub fn read(file: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(file).map_err(|source| Error::Read { file: file.to_owned(), source })?;
        Self::parse(&text, file)
    }

    /// Reads a bundle's text; `file` is for messages.
    pub fn parse(text: &str, file: &Path) -> Result<Self, Error> {
        let invalid = |what: String| Error::Invalid { file: file.to_owned(), what };
        let document: Document = toml::from_str(text).map_err(|e| invalid(one_line(text, &e)))?;
        check(&document).map_err(invalid)?;
        Ok(Self { name: document.name, file: file.to_owned(), plugins: document.plugin })
    }

    /// The plugin of this name.
    pub fn plugin(&self, name: &str) -> Option<&Entry> {
        self.plugins.iter().find(|entry| entry.name == name)
    }
}

impl Entry {
    /// The component's file name or path, as written.
    pub fn source(&self) -> PathBuf {
        self.source.clone().unwrap_or_else(|| PathBuf::from(format!("{}.wasm", self.name)))
    }

    /// What it is given, when its manifest asks for `asks`.
    pub(crate) fn given(&self, asks: &Grants) -> Grants {
        match &self.grants {
            Given::Asked(Named { http, local }) => {
                let mut grants = asks.clone();
                if !http.is_empty() {
                    grants.http.clone_from(http);
                }
                if !local.is_empty() {
                    grants.local.clone_from(local);
                }
                grants
            }
            Given::These(grants) => grants.clone(),
        }
    }
}

fn check(document: &Document) -> Result<(), String> {
    if !dns_label(&document.name) {
        return Err(format!("name {:?} is not a DNS label", document.name));
    }
    let mut names = BTreeSet::new();
    for entry in &document.plugin {
        if !names.insert(entry.name.as_str()) {
            return Err(format!("plugin {} is there twice", entry.name));
        }
    }
    for entry in &document.plugin {
        check_entry(entry).map_err(|what| format!("plugin {}: {what}", entry.name))?;
    }
    Ok(())
}

fn check_entry(entry: &Entry) -> Result<(), String> {
    if !dns_label(&entry.name) {
        return Err("its name is not a DNS label".to_owned());
    }
    if let Some(digest) = &entry.digest {
        files::check_digest(digest)?;
    }
    if entry.memory.is_some_and(|size| size.bytes() > MOST_MEMORY) {
        return Err(format!("memory must be at most {}Gi", MOST_MEMORY >> 30));
    }
    if entry.deadline_ms == Some(0) {
        return Err("deadline-ms must be more than 0".to_owned());
    }
    if entry.instances.is_some_and(|n| n == 0 || n > 16) {
        return Err("instances must be 1 to 16".to_owned());
    }
    if let Some(listen) = entry.listen.filter(|listen| !listen.tls && !listen.address.ip().is_loopback()) {
        return Err(format!("listen: {} is not loopback, so it needs TLS", listen.address));
    }
    entry.scheduler_names.as_deref().map_or(Ok(()), check_scheduler_names)?;
    let (http, local) = match &entry.grants {
        Given::Asked(named) => (&named.http, &named.local),
        Given::These(grants) => match grants.unknown_verb() {
            Some(verb) => return Err(format!("grants: verb {verb:?} is not known")),
            None => (&grants.http, &grants.local),
        },
    };
    if http.iter().any(|one| !matches!(one, Endpoints::One(_))) {
        return Err("grants: http: name the endpoints; * and ? are for manifests".to_owned());
    }
    if local.contains(&Locals::Named) {
        return Err("grants: local: name the addresses; * is for manifests".to_owned());
    }
    entry.http.as_ref().map_or(Ok(()), Http::check)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name = \"kubernetes\"\n[[plugin]]\nname = \"one\"\ndigest = \"sha256:0000000000000000000000000000000000000000000000000000000000000000\"\nmemory = \"64Mi\"\non-fault = \"halt\"\ngrants = \"asked\"\n[plugin.config]\nlimit = 3\n[[plugin]]\nname = \"two\"\nrequired = false\n[plugin.grants]\nevents = true\n";

    #[test]
    fn reads_a_bundle() {
        let bundle = Bundle::parse(GOOD, Path::new("k.toml")).unwrap();
        let one = bundle.plugin("one").unwrap();
        assert_eq!(one.memory.map(Size::bytes), Some(64 << 20));
        assert_eq!(one.on_fault, OnFault::Halt);
        assert_eq!(one.grants, Given::Asked(Named::default()));
        assert_eq!(one.config["limit"], 3);
        assert_eq!(one.source(), PathBuf::from("one.wasm"));
        let two = bundle.plugin("two").unwrap();
        assert!(!two.required && two.on_fault == OnFault::LastGood);
        assert_eq!(two.grants, Given::These(Grants { events: true, ..Grants::default() }));
    }

    #[test]
    fn names_file_plugin_and_cause() {
        let table = [
            ("name = \"two\"", "name = \"one\"", "plugin one is there twice"),
            ("required = false", "requird = false", "line 12: unknown field `requird`"),
            ("\"64Mi\"", "\"lots\"", "\"lots\" is not a size"),
            ("\"64Mi\"", "\"9Gi\"", "plugin one: memory must be at most 1Gi"),
            ("\"halt\"", "\"hope\"", "unknown variant `hope`"),
            ("sha256:0000", "sha256:", "plugin one: digest"),
            ("grants = \"asked\"", "grants = \"all\"", "grants: \"all\" is neither"),
            ("events = true", "evnts = true", "unknown field `evnts`"),
            ("grants = \"asked\"", "grants = { asked = true, events = true }", "grants: unknown field `events`"),
            (
                "grants = \"asked\"",
                "grants = { asked = true, http = [\"*\"] }",
                "plugin one: grants: http: name the endpoints",
            ),
            (
                "grants = \"asked\"",
                "grants = { asked = true, local = [\"*\"] }",
                "plugin one: grants: local: name the addresses",
            ),
            ("events = true", "local = [\"192.0.2.1:80\"]", "grants: 192.0.2.1:80: pods ask at link-local addresses"),
            ("events = true", "http = [\"example.com\"]", "grants: \"example.com\" is no endpoint"),
            ("[plugin.grants]", "[plugin.http]\nconnections = 0\n[plugin.grants]", "http: connections must be 1 to 64"),
            ("[plugin.grants]", "[plugin.http]\nca = \"x\"\n[plugin.grants]", "unknown field `ca`"),
            ("required = false", "instances = 99", "plugin two: instances must be 1 to 16"),
            ("required = false", "scheduler-names = [\"\"]", "plugin two: scheduler-names: \"\" can't be"),
            (
                "required = false",
                "listen = { address = \"0.0.0.0:80\", tls = false }",
                "is not loopback, so it needs TLS",
            ),
            ("name = \"kubernetes\"", "name = \"kubernetes\"\nplugins = 1", "line 2: unknown field `plugins`"),
        ];
        for (from, to, want) in table {
            let text = GOOD.replacen(from, to, 1);
            let error = Bundle::parse(&text, Path::new("k.toml")).unwrap_err().to_string();
            assert!(error.starts_with("bundle k.toml: ") && error.contains(want), "{error:?} does not say {want:?}");
            assert!(!error.contains('\n'));
        }
    }
}
