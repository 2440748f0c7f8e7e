//! A container's environment, its command line, and `$(NAME)` in both.

use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, EnvFromSource, EnvVar, EnvVarSource};

use super::desired::Desired;
use super::downward::{self, Facts};
use super::sources::{self, SourceError};
use crate::cluster::{Cluster, Source};

/// Why a container can't be made as it is configured: `CreateContainerConfigError`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EnvError {
    /// A ConfigMap or Secret.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// An object that is there lacks a key.
    #[error("couldn't find key {key} in {kind} {namespace}/{name}")]
    Key {
        /// Looked for.
        key: String,
        /// `ConfigMap` or `Secret`.
        kind: &'static str,
        /// Of the object.
        namespace: String,
        /// Of the object.
        name: String,
    },
    /// A field of the pod.
    #[error("{0}")]
    Field(String),
}

/// What an environment is made from.
pub struct Sources<'a> {
    /// For ConfigMaps and Secrets.
    pub cluster: &'a Arc<dyn Cluster>,
    /// The pod.
    pub desired: &'a Desired,
    /// Its addresses.
    pub addresses: &'a [IpAddr],
    /// The node.
    pub facts: &'a Facts,
}

/// The variables of the spec, in order, a later one replacing an earlier of the same name.
pub async fn variables(from: &Sources<'_>, container: &Container) -> Result<Vec<(String, String)>, EnvError> {
    let mut all: Vec<(String, String)> = Vec::new();
    for source in container.env_from.iter().flatten() {
        for (name, value) in imported(from, source).await? {
            set(&mut all, name, value);
        }
    }
    for variable in container.env.iter().flatten() {
        if let Some(value) = value(from, container, variable, &all).await? {
            set(&mut all, variable.name.clone(), value);
        }
    }
    Ok(all)
}

fn set(all: &mut Vec<(String, String)>, name: String, value: String) {
    match all.iter_mut().find(|(known, _)| *known == name) {
        Some(entry) => entry.1 = value,
        None => all.push((name, value)),
    }
}

async fn imported(from: &Sources<'_>, source: &EnvFromSource) -> Result<Vec<(String, String)>, EnvError> {
    let (kind, name, optional) = match (&source.config_map_ref, &source.secret_ref) {
        (Some(map), _) => (Source::ConfigMap, map.name.as_str(), map.optional.unwrap_or(false)),
        (None, Some(secret)) => (Source::Secret, secret.name.as_str(), secret.optional.unwrap_or(false)),
        (None, None) => return Ok(Vec::new()),
    };
    let namespace = &from.desired.key.namespace;
    let contents = match sources::read(from.cluster, kind, namespace, name).await? {
        Some(contents) => contents,
        None if optional => return Ok(Vec::new()),
        None => return Err(SourceError::Missing { kind: sources::singular(kind), name: name.to_owned() }.into()),
    };
    let prefix = source.prefix.as_deref().unwrap_or_default();
    let variable =
        |(key, value): (String, Vec<u8>)| (format!("{prefix}{key}"), String::from_utf8_lossy(&value).into_owned());
    Ok(contents.into_iter().map(variable).filter(|(name, _)| is_name(name)).collect())
}

/// What a shell and the C library can live with.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

async fn value(
    from: &Sources<'_>,
    container: &Container,
    variable: &EnvVar,
    known: &[(String, String)],
) -> Result<Option<String>, EnvError> {
    match (&variable.value, &variable.value_from) {
        (Some(value), _) if !value.is_empty() => Ok(Some(expand(value, known))),
        (_, Some(source)) => referred(from, container, source).await,
        (_, None) => Ok(Some(String::new())),
    }
}

async fn referred(
    from: &Sources<'_>,
    container: &Container,
    source: &EnvVarSource,
) -> Result<Option<String>, EnvError> {
    if let Some(field) = &source.field_ref {
        let value = downward::field(from.desired, from.addresses, from.facts, &field.field_path);
        return value.map(Some).map_err(EnvError::Field);
    }
    if let Some(field) = &source.resource_field_ref {
        let spec = from.desired.spec();
        return downward::resource(&spec, Some(container), from.facts, field).map(Some).map_err(EnvError::Field);
    }
    let (kind, name, key, optional) = match (&source.config_map_key_ref, &source.secret_key_ref) {
        (Some(r), _) => (Source::ConfigMap, &r.name, &r.key, r.optional.unwrap_or(false)),
        (None, Some(r)) => (Source::Secret, &r.name, &r.key, r.optional.unwrap_or(false)),
        (None, None) => return Ok(Some(String::new())),
    };
    let namespace = &from.desired.key.namespace;
    let contents = match sources::read(from.cluster, kind, namespace, name).await? {
        Some(contents) => contents,
        None if optional => return Ok(None),
        None => return Err(SourceError::Missing { kind: sources::singular(kind), name: name.clone() }.into()),
    };
    match contents.get(key) {
        Some(value) => Ok(Some(String::from_utf8_lossy(value).into_owned())),
        None if optional => Ok(None),
        None => Err(EnvError::Key {
            key: key.clone(),
            kind: if kind == Source::ConfigMap { "ConfigMap" } else { "Secret" },
            namespace: namespace.clone(),
            name: name.clone(),
        }),
    }
}

/// Replaces `$(NAME)` by the variable's value. `$$` stands for `$`; what is unknown stays as it is.
pub fn expand(text: &str, variables: &[(String, String)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = after.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match variables.iter().find(|(known, _)| known == name) {
                Some((_, value)) => out.push_str(value),
                None => {
                    out.push_str("$(");
                    out.push_str(name);
                    out.push(')');
                }
            }
            rest = after;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// `NAME=value` for the runtime: the image's, then the spec's over them.
pub fn merged(image: &[String], hostname: &str, own: &[(String, String)]) -> Vec<String> {
    let mut all: Vec<(String, String)> = Vec::new();
    const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    set(&mut all, "PATH".to_owned(), PATH.to_owned());
    set(&mut all, "HOSTNAME".to_owned(), hostname.to_owned());
    let image = image.iter().filter_map(|text| text.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned()));
    for (name, value) in image.chain(own.iter().cloned()) {
        set(&mut all, name, value);
    }
    all.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// The command line: the spec's command replaces the image's program and its arguments; the spec's arguments only the
/// latter.
pub fn command_line(
    container: &Container,
    image: &crate::runtime::Image,
    variables: &[(String, String)],
) -> Result<Vec<String>, String> {
    let expanded =
        |words: &Option<Vec<String>>| words.iter().flatten().map(|word| expand(word, variables)).collect::<Vec<_>>();
    let (command, args) = (expanded(&container.command), expanded(&container.args));
    let line: Vec<String> = match (command.is_empty(), args.is_empty()) {
        (false, _) => [command, args].concat(),
        (true, false) => [image.entrypoint.clone(), args].concat(),
        (true, true) => [image.entrypoint.clone(), image.cmd.clone()].concat(),
    };
    if line.is_empty() { Err("no command specified".to_owned()) } else { Ok(line) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Image;

    fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
        all.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn references_are_expanded_once() {
        let known = pairs(&[("A", "1"), ("B", "$(A)"), ("EMPTY", "")]);
        for (text, want) in [
            ("$(A)-$(B)", "1-$(A)"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$(NONE) $(EMPTY)|", "$(NONE) |"),
            ("$A ${A} $(A", "$A ${A} $(A"),
            ("50$", "50$"),
            ("ä$(A)ö", "ä1ö"),
        ] {
            assert_eq!(expand(text, &known), want, "{text}");
        }
    }

    #[test]
    fn the_spec_overrides_the_image() {
        let env = merged(&["PATH=/x".into(), "A=image".into()], "h", &pairs(&[("A", "own"), ("Z", "a=b")]));
        assert_eq!(env, ["PATH=/x", "HOSTNAME=h", "A=own", "Z=a=b"]);
    }

    #[test]
    fn command_lines_follow_the_table() {
        let image = Image { entrypoint: vec!["e".into()], cmd: vec!["c".into()], ..Image::default() };
        let none = Image::default();
        let words = |text: &str| (!text.is_empty()).then(|| text.split(' ').map(str::to_owned).collect());
        for (command, args, image, want) in [
            ("", "", &image, "e c"),
            ("", "$(A)", &image, "e 1"),
            ("x", "", &image, "x"),
            ("x", "y $(A)", &image, "x y 1"),
            ("", "", &none, ""),
        ] {
            let container = Container { command: words(command), args: words(args), ..Container::default() };
            let line = command_line(&container, image, &pairs(&[("A", "1")])).map(|l| l.join(" "));
            assert_eq!(line.unwrap_or_default(), want, "{command} {args}");
        }
    }
}
