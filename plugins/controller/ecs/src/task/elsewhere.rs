//! Variables whose values AWS keeps: secrets of Secrets Manager and Systems Manager, and files of S3. They are read before the
//! pod is made, into Secret objects that go with the task; the pod names those, and has no value itself.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ecs_common::endpoints::{Aws, Endpoints};
use gantry_sdk::api::{ObjectMeta, Resource, Time};
use gantry_sdk::objects::{self, Write};
use gantry_sdk::{ErrorCode, KindRef, ObjectRef, Result, json};
use serde::Deserialize;

use super::definition::{ContainerDefinition, DefinitionSpec};
use crate::aws::secrets::Wanted;
use crate::aws::{self, Failure};
use crate::object::Task;

/// How long a service that does not answer is asked again, from when it was asked first.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two tries.
const AGAIN: Duration = Duration::from_secs(5);
const SECRETS: &str =
    "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed";
const FILES: &str = "ResourceInitializationError: failed to download env files";
/// Never what the host says of the object: it quotes what was read.
const UNFIT: &str = "what was read can't be kept in a Secret: it is too large, or a name in it is none";

/// Where the value of a variable is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In a Secret of the namespace, under a key.
    Kept(String, String),
    /// A parameter, by its name.
    Parameter(String),
    /// A secret.
    Secret(Wanted),
}

impl Source {
    /// What `valueFrom` says.
    pub fn of(from: &str) -> Self {
        let parts: Vec<&str> = from.split(':').collect();
        let part = |at: usize| parts.get(at).copied().unwrap_or_default().to_owned();
        match parts.as_slice() {
            ["arn", _, "secretsmanager", ..] => {
                let id = parts.iter().take(7).copied().collect::<Vec<_>>().join(":");
                Self::Secret(Wanted { id, key: part(7), stage: part(8), version: part(9) })
            }
            ["arn", _, "ssm", _, _, rest @ ..] => {
                let name = rest.join(":");
                let name = name.strip_prefix("parameter/").unwrap_or(&name);
                // An ARN has a path without its first slash.
                Self::Parameter(if name.contains('/') { format!("/{name}") } else { name.to_owned() })
            }
            [name, key] => Self::Kept((*name).to_owned(), (*key).to_owned()),
            _ => Self::Parameter(from.to_owned()),
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// All is there.
    All,
    /// Asked again later it may come.
    Later(Duration),
    /// It can't be had: why the task stops.
    Never(String),
}

/// Where the values of one kind are kept: an object, and what is in it.
struct Kept {
    name: String,
    data: BTreeMap<String, String>,
}

/// The object with the values of a task's secrets.
pub fn secrets(task: &str) -> String {
    format!("task-{task}")
}

/// The object with the variables of a container's files.
pub fn files(task: &str, container: usize) -> String {
    format!("task-{task}-files-{container}")
}

/// Where the value of a container's secret is among those.
pub fn key(container: usize, secret: usize) -> String {
    format!("{container}-{secret}")
}

/// Whether anything is to be read.
pub fn is_needed(definition: &DefinitionSpec) -> bool {
    !parts(definition).is_empty()
}

/// Reads what is not there yet. That it is tried is in the task's status before.
pub fn fetch(now: Time, task: &Task, definition: &DefinitionSpec, endpoints: &Endpoints) -> Result<Fetched> {
    for part in parts(definition) {
        let name = part.name(&task.metadata.name);
        match objects::get::<Holder>(&secret(task, &name))? {
            Some(there) if there.metadata.is_controlled_by(&task.metadata.uid) => continue,
            Some(_) => return Ok(Fetched::Never(format!("{}: the Secret {name} is another's", part.words()))),
            None => {}
        }
        let data = match part.read(definition, endpoints) {
            Ok(data) => data,
            Err((_, Failure::Later(_))) if tried(now, task) < PATIENCE => return Ok(Fetched::Later(AGAIN)),
            Err((what, failure)) => return Ok(Fetched::Never(format!("{what}: {}", failure.words()))),
        };
        if let Some(refused) = keep(task, &Kept { name, data })? {
            return Ok(Fetched::Never(format!("{}: {refused}", part.words())));
        }
    }
    Ok(Fetched::All)
}

/// Takes away what was read for a task.
pub fn clear(task: &Task) -> Result<()> {
    let containers = 0..task.spec.containers.len();
    let names = std::iter::once(secrets(&task.metadata.name));
    for name in names.chain(containers.map(|container| files(&task.metadata.name, container))) {
        let target = secret(task, &name);
        let own = objects::get::<Holder>(&target)?.filter(|there| there.metadata.is_controlled_by(&task.metadata.uid));
        if let Some(own) = own {
            objects::settle(Write::delete(target).if_uid(&own.metadata.uid))?;
        }
    }
    Ok(())
}

/// A Secret, of which only whose it is matters.
#[derive(Default, Deserialize)]
struct Holder {
    metadata: ObjectMeta,
}

fn tried(now: Time, task: &Task) -> Duration {
    task.status.fetched_at.map_or(Duration::ZERO, |at| now.since(at))
}

fn secret(task: &Task, name: &str) -> ObjectRef {
    let (namespace, name) = (task.metadata.namespace.clone(), name.to_owned());
    ObjectRef { kind: KindRef::new("", "Secret"), namespace, name }
}

/// Writes it down, so that it goes with the task. Why that can't be, if so.
fn keep(task: &Task, kept: &Kept) -> Result<Option<String>> {
    let mut metadata = ObjectMeta::named(&task.metadata.namespace, &kept.name);
    metadata.owner_references.push(task.controller_reference());
    let data: BTreeMap<&str, String> =
        kept.data.iter().map(|(key, value)| (key.as_str(), STANDARD.encode(value))).collect();
    let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data});
    match objects::apply_one(Write::create_json(&object)) {
        Err(error) if error.is_already_exists() => Ok(None),
        Err(error) if error.code == ErrorCode::Invalid => Ok(Some(UNFIT.to_owned())),
        answer => answer.map(|_| None),
    }
}

/// What is kept together.
enum Part {
    Secrets,
    Files(usize),
}

fn parts(definition: &DefinitionSpec) -> Vec<Part> {
    let all = &definition.container_definitions;
    let far = |container: &ContainerDefinition| {
        container.secrets.iter().any(|secret| !matches!(Source::of(&secret.value_from), Source::Kept(..)))
    };
    let secrets = all.iter().any(far).then_some(Part::Secrets);
    let files = all.iter().enumerate().filter(|(_, container)| !container.environment_files.is_empty());
    secrets.into_iter().chain(files.map(|(index, _)| Part::Files(index))).collect()
}

type Read = std::result::Result<BTreeMap<String, String>, (String, Failure)>;

impl Part {
    fn name(&self, task: &str) -> String {
        match self {
            Self::Secrets => secrets(task),
            Self::Files(container) => files(task, *container),
        }
    }

    fn words(&self) -> &'static str {
        match self {
            Self::Secrets => SECRETS,
            Self::Files(_) => FILES,
        }
    }

    fn read(&self, definition: &DefinitionSpec, endpoints: &Endpoints) -> Read {
        match self {
            Self::Secrets => values(definition, endpoints),
            Self::Files(index) => variables(definition, *index, endpoints),
        }
    }
}

fn endpoint(endpoints: &Endpoints, aws: Aws) -> std::result::Result<&str, Failure> {
    endpoints.of(aws).ok_or_else(|| Failure::Refused {
        code: "RequestError".to_owned(),
        message: format!("the configuration names no endpoint for {}", aws.title()),
    })
}

/// Values of all secrets that are elsewhere. Each is asked for once, however many have it.
fn values(definition: &DefinitionSpec, endpoints: &Endpoints) -> Read {
    let mut places = Vec::new();
    for (container, of) in definition.container_definitions.iter().enumerate() {
        let sources = of.secrets.iter().enumerate();
        places.extend(sources.map(|(at, secret)| (key(container, at), Source::of(&secret.value_from))));
    }
    let parameter = |source: &Source| match source {
        Source::Parameter(name) => Some(name.clone()),
        _ => None,
    };
    let mut names: Vec<String> = places.iter().filter_map(|(_, source)| parameter(source)).collect();
    names.sort_unstable();
    names.dedup();
    let from_ssm = |failure| (format!("{SECRETS}: unable to retrieve secrets from ssm"), failure);
    let parameters = match names.is_empty() {
        true => BTreeMap::new(),
        false => endpoint(endpoints, Aws::Ssm).and_then(|at| aws::parameters::values(at, &names)).map_err(from_ssm)?,
    };
    let mut known: BTreeMap<Wanted, String> = BTreeMap::new();
    let mut data = BTreeMap::new();
    for (key, source) in places {
        match source {
            Source::Kept(..) => {}
            Source::Parameter(name) => drop(data.insert(key, parameters.get(&name).cloned().unwrap_or_default())),
            Source::Secret(wanted) => drop(data.insert(key, from_asm(&wanted, endpoints, &mut known)?)),
        }
    }
    Ok(data)
}

fn from_asm(
    wanted: &Wanted,
    endpoints: &Endpoints,
    known: &mut BTreeMap<Wanted, String>,
) -> std::result::Result<String, (String, Failure)> {
    let failed = |failure| {
        let what = format!("{SECRETS}: unable to retrieve secret from asm: failed to fetch secret {}", wanted.id);
        (format!("{what} from secrets manager"), failure)
    };
    let all = Wanted { key: String::new(), ..wanted.clone() };
    let whole = match known.get(&all) {
        Some(whole) => whole.clone(),
        None => {
            let at = endpoint(endpoints, Aws::SecretsManager).map_err(failed)?;
            let whole = aws::secrets::whole(at, &all).map_err(failed)?;
            known.insert(all, whole.clone());
            whole
        }
    };
    aws::secrets::part(&whole, &wanted.key).map_err(failed)
}

/// Variables of a container's files. Of several with one name the first counts.
fn variables(definition: &DefinitionSpec, container: usize, endpoints: &Endpoints) -> Read {
    let mut data = BTreeMap::new();
    let given = definition.container_definitions.get(container).map(|of| of.environment_files.as_slice());
    for file in given.unwrap_or_default() {
        let failed = |failure| (format!("{FILES}: {}", file.value), failure);
        let (bucket, key) = place(&file.value).unwrap_or_default();
        let text = endpoint(endpoints, Aws::S3).and_then(|at| aws::files::text(at, bucket, key)).map_err(failed)?;
        for (number, name, value) in lines(&text) {
            if !is_variable(name) {
                // Without the line: it may be the rest of a value that has several.
                let message = format!("line {number} has no name of a variable before its =");
                return Err(failed(Failure::Refused { code: "InvalidFile".to_owned(), message }));
            }
            data.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
    }
    Ok(data)
}

/// Bucket and key of `arn:aws:s3:::BUCKET/KEY`.
fn place(arn: &str) -> Option<(&str, &str)> {
    arn.split_once(":::").and_then(|(_, rest)| rest.split_once('/'))
}

/// `NAME=value` in each line, with its number; what begins with `#` is a note.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    let said = (1..).zip(text.lines()).filter(|(_, line)| !line.trim_start().starts_with('#'));
    said.filter_map(|(number, line)| line.split_once('=').map(|(name, value)| (number, name.trim(), value)))
        .filter(|(_, name, _)| !name.is_empty())
}

/// What can be the name of a variable, and a key of a Secret.
fn is_variable(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    name.len() <= 253 && name.bytes().all(inner) && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_apart() {
        let secret = |key: &str, stage: &str, version: &str| {
            let id = "arn:aws:secretsmanager:r:1:secret:db-AbCdEf".to_owned();
            Source::Secret(Wanted { id, key: key.into(), stage: stage.into(), version: version.into() })
        };
        for (from, want) in [
            ("db:password", Source::Kept("db".into(), "password".into())),
            ("/shop/db", Source::Parameter("/shop/db".into())),
            ("db", Source::Parameter("db".into())),
            ("arn:aws:ssm:r:1:parameter/shop/db", Source::Parameter("/shop/db".into())),
            ("arn:aws:ssm:r:1:parameter/db", Source::Parameter("db".into())),
            ("arn:aws:secretsmanager:r:1:secret:db-AbCdEf", secret("", "", "")),
            ("arn:aws:secretsmanager:r:1:secret:db-AbCdEf:user::", secret("user", "", "")),
            ("arn:aws:secretsmanager:r:1:secret:db-AbCdEf::AWSPREVIOUS:", secret("", "AWSPREVIOUS", "")),
            ("arn:aws:secretsmanager:r:1:secret:db-AbCdEf:user:AWSPREVIOUS:v", secret("user", "AWSPREVIOUS", "v")),
        ] {
            assert_eq!(Source::of(from), want, "{from}");
        }
    }

    #[test]
    fn files_have_a_variable_a_line() {
        let text = "# A note\nA=1\r\n  #B=2\nC = x=y \n\nnothing\n=3\nD=\n";
        assert_eq!(lines(text).collect::<Vec<_>>(), [(1 + 1, "A", "1"), (4, "C", " x=y "), (8, "D", "")]);
        for (name, want) in
            [("A_1", true), ("a.b-c", true), ("1A", false), ("A B", false), ("postgres://u:pw@h/d?x", false)]
        {
            assert_eq!(is_variable(name), want, "{name}");
        }
        assert_eq!(place("arn:aws:s3:::bucket/a/b.env"), Some(("bucket", "a/b.env")));
    }
}
