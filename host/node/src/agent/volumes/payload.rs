//! The files of configMap, secret, downwardAPI and projected volumes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Component, Path};

use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, KeyToPath, Volume, VolumeProjection};

use super::Maker;
use crate::agent::desired::Desired;
use crate::agent::downward;
use crate::agent::sources::{self, Contents, SourceError};
use crate::cluster::Source;

const DEFAULT_MODE: i32 = 0o644;

/// A file's contents and mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Contents.
    pub bytes: Vec<u8>,
    /// Mode.
    pub mode: u32,
}

/// Files by relative path.
pub type Payload = BTreeMap<String, File>;

/// One object as a volume shows it.
struct Wanted<'a> {
    source: Source,
    name: &'a str,
    items: Option<&'a Vec<KeyToPath>>,
    optional: bool,
    mode: i32,
}

/// Whether the volume is made of files that the agent writes.
pub fn is_files(volume: &Volume) -> bool {
    volume.config_map.is_some()
        || volume.secret.is_some()
        || volume.downward_api.is_some()
        || volume.projected.is_some()
}

/// Whether a projected volume shows a Secret: those never touch a disk.
pub fn has_secret(volume: &Volume) -> bool {
    projections(volume).any(|projection| projection.secret.is_some())
}

fn projections(volume: &Volume) -> impl Iterator<Item = &VolumeProjection> {
    volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten())
}

/// Reads everything that the volume is to show.
pub async fn gather(
    maker: &Maker,
    desired: &Desired,
    addresses: &[IpAddr],
    volume: &Volume,
) -> Result<Payload, String> {
    let mut payload = Payload::new();
    for wanted in objects(volume) {
        add_object(maker, desired, &wanted, &mut payload).await?;
    }
    let facts = Downward { maker, desired, addresses };
    if let Some(downward) = &volume.downward_api {
        let mode = downward.default_mode.unwrap_or(DEFAULT_MODE);
        facts.add(downward.items.iter().flatten(), mode, &mut payload)?;
    }
    let mode = volume.projected.as_ref().and_then(|projected| projected.default_mode).unwrap_or(DEFAULT_MODE);
    for projection in projections(volume) {
        if let Some(downward) = &projection.downward_api {
            facts.add(downward.items.iter().flatten(), mode, &mut payload)?;
        }
        if projection.service_account_token.is_some() {
            return Err("projected service account tokens are not supported on this node".to_owned());
        }
        if projection.cluster_trust_bundle.is_some() {
            return Err("projected cluster trust bundles are not supported on this node".to_owned());
        }
    }
    Ok(payload)
}

fn objects(volume: &Volume) -> Vec<Wanted<'_>> {
    let mut all = Vec::new();
    if let Some(map) = &volume.config_map {
        all.push(Wanted {
            source: Source::ConfigMap,
            name: &map.name,
            items: map.items.as_ref(),
            optional: map.optional.unwrap_or(false),
            mode: map.default_mode.unwrap_or(DEFAULT_MODE),
        });
    }
    if let Some(secret) = &volume.secret {
        all.push(Wanted {
            source: Source::Secret,
            name: secret.secret_name.as_deref().unwrap_or_default(),
            items: secret.items.as_ref(),
            optional: secret.optional.unwrap_or(false),
            mode: secret.default_mode.unwrap_or(DEFAULT_MODE),
        });
    }
    let mode = volume.projected.as_ref().and_then(|projected| projected.default_mode).unwrap_or(DEFAULT_MODE);
    for projection in projections(volume) {
        if let Some(map) = &projection.config_map {
            let optional = map.optional.unwrap_or(false);
            let items = map.items.as_ref();
            all.push(Wanted { source: Source::ConfigMap, name: &map.name, items, optional, mode });
        }
        if let Some(secret) = &projection.secret {
            let optional = secret.optional.unwrap_or(false);
            let items = secret.items.as_ref();
            all.push(Wanted { source: Source::Secret, name: &secret.name, items, optional, mode });
        }
    }
    all
}

async fn add_object(
    maker: &Maker,
    desired: &Desired,
    wanted: &Wanted<'_>,
    payload: &mut Payload,
) -> Result<(), String> {
    let namespace = &desired.key.namespace;
    let found = sources::read(&maker.cluster, wanted.source, namespace, wanted.name).await;
    let contents = match found.map_err(|error| error.to_string())? {
        Some(contents) => contents,
        None if wanted.optional => return Ok(()),
        None => {
            let kind = sources::singular(wanted.source);
            return Err(SourceError::Missing { kind, name: wanted.name.to_owned() }.to_string());
        }
    };
    add_contents(wanted, contents, payload)
}

fn add_contents(wanted: &Wanted<'_>, contents: Contents, payload: &mut Payload) -> Result<(), String> {
    let Some(items) = wanted.items.filter(|items| !items.is_empty()) else {
        for (key, bytes) in contents {
            insert(payload, &key, bytes, wanted.mode)?;
        }
        return Ok(());
    };
    for item in items {
        match contents.get(&item.key) {
            Some(bytes) => insert(payload, &item.path, bytes.clone(), item.mode.unwrap_or(wanted.mode))?,
            None if wanted.optional => {}
            None => {
                let kind = sources::singular(wanted.source);
                return Err(format!("{kind} \"{}\" references non-existent key: {}", wanted.name, item.key));
            }
        }
    }
    Ok(())
}

struct Downward<'a> {
    maker: &'a Maker,
    desired: &'a Desired,
    addresses: &'a [IpAddr],
}

impl Downward<'_> {
    fn add<'f>(
        &self,
        files: impl Iterator<Item = &'f DownwardAPIVolumeFile>,
        mode: i32,
        payload: &mut Payload,
    ) -> Result<(), String> {
        for file in files {
            let facts = &self.maker.facts;
            let value = match (&file.field_ref, &file.resource_field_ref) {
                (Some(field), _) => downward::field(self.desired, self.addresses, facts, &field.field_path)?,
                (None, Some(field)) => downward::resource(&self.desired.spec(), None, facts, field)?,
                (None, None) => String::new(),
            };
            insert(payload, &file.path, value.into_bytes(), file.mode.unwrap_or(mode))?;
        }
        Ok(())
    }
}

/// A path from an object must stay inside the volume, whoever wrote the object.
fn insert(payload: &mut Payload, path: &str, bytes: Vec<u8>, mode: i32) -> Result<(), String> {
    let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if path.is_empty() || !plain || path.starts_with("..") {
        return Err(format!("invalid path {path:?} in a volume"));
    }
    payload.insert(path.to_owned(), File { bytes, mode: u32::try_from(mode).unwrap_or(0o644) & 0o777 });
    Ok(())
}

/// The objects that the pod's volumes and environment read.
pub fn interests(desired: &Desired) -> Vec<(Source, String)> {
    let spec = desired.spec();
    let mut all: Vec<(Source, String)> = Vec::new();
    for volume in spec.volumes.iter().flatten() {
        all.extend(objects(volume).iter().map(|wanted| (wanted.source, wanted.name.to_owned())));
    }
    for unit in &desired.units {
        for from in unit.spec.env_from.iter().flatten() {
            all.extend(from.config_map_ref.iter().map(|r| (Source::ConfigMap, r.name.clone())));
            all.extend(from.secret_ref.iter().map(|r| (Source::Secret, r.name.clone())));
        }
        for from in unit.spec.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
            all.extend(from.config_map_key_ref.iter().map(|r| (Source::ConfigMap, r.name.clone())));
            all.extend(from.secret_key_ref.iter().map(|r| (Source::Secret, r.name.clone())));
        }
    }
    all.extend(spec.image_pull_secrets.iter().flatten().map(|r| (Source::Secret, r.name.clone())));
    all.sort();
    all.dedup();
    all
}
