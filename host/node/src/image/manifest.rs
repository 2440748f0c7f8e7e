//! Manifests, indexes and configurations, OCI's and Docker's alike: only what a runtime needs of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Docker's manifest, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's list of manifests.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// OCI's manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI's index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Docker's configuration.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// A plain layer, as Docker names it.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// A pointer to a blob.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    #[serde(default)]
    pub media_type: String,
    /// `sha256:…`
    pub digest: String,
    /// Bytes.
    pub size: i64,
    /// Names, in an image layout's index.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Where it runs, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

/// Where an image runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// Go's name of the architecture.
    pub architecture: String,
    /// `linux`
    pub os: String,
    /// For arm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// One image.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// 2
    pub schema_version: u32,
    /// Missing in some OCI manifests.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// Its configuration.
    pub config: Descriptor,
    /// The lowest first.
    pub layers: Vec<Descriptor>,
}

/// One image for several platforms.
#[derive(Clone, Debug, Deserialize)]
pub struct Index {
    /// One a platform.
    pub manifests: Vec<Descriptor>,
}

/// An image's configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// What a container gets by default.
    pub config: Defaults,
    /// Its layers, unpacked.
    pub rootfs: RootFs,
}

/// What a container gets by default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(missing_docs, reason = "the fields of ContainerSpec of the same names")]
pub struct Defaults {
    pub entrypoint: Option<Vec<String>>,
    pub cmd: Option<Vec<String>>,
    pub env: Option<Vec<String>>,
    pub working_dir: Option<String>,
    pub user: Option<String>,
}

/// Digests of unpacked layers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RootFs {
    /// The lowest first.
    pub diff_ids: Vec<String>,
}

/// Whether a blob of this type lists manifests.
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, DOCKER_LIST | OCI_INDEX)
}

/// The manifest of an index for this machine.
pub fn for_this_machine(index: &Index) -> Option<&Descriptor> {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let fits = |d: &&Descriptor| d.platform.as_ref().is_some_and(|p| p.os == "linux" && p.architecture == arch);
    let only = || index.manifests.first().filter(|d| index.manifests.len() == 1 && d.platform.is_none());
    index.manifests.iter().find(fits).or_else(only)
}

/// Names of the snapshots of an image's layers, one for each: digests over all layers up to there.
pub fn chain_ids(diff_ids: &[String]) -> Vec<String> {
    let mut ids: Vec<String> = Vec::with_capacity(diff_ids.len());
    for diff in diff_ids {
        let id = match ids.last() {
            None => diff.clone(),
            Some(parent) => sha256(format!("{parent} {diff}").as_bytes()),
        };
        ids.push(id);
    }
    ids
}

/// A blob's digest.
pub fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_ids_cover_all_layers_below() {
        let diffs = ["sha256:a".to_owned(), "sha256:b".to_owned(), "sha256:c".to_owned()];
        let ids = chain_ids(&diffs);
        assert_eq!(ids[0], "sha256:a");
        assert_eq!(ids[1], sha256(b"sha256:a sha256:b"));
        assert_eq!(ids[2], sha256(format!("{} sha256:c", ids[1]).as_bytes()));
        assert!(chain_ids(&[]).is_empty());
    }

    #[test]
    fn the_machine_s_platform_is_chosen() {
        let of = |os: &str, arch: &str| serde_json::json!({"digest": arch, "size": 1, "platform": {"os": os, "architecture": arch}});
        let list = serde_json::json!({"manifests": [of("windows", "amd64"), of("linux", "s390x"), of("linux", "amd64"), of("linux", "arm64")]});
        let index: Index = serde_json::from_value(list).unwrap();
        let arch = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
        assert_eq!(for_this_machine(&index).unwrap().digest, arch);
        let other: Index = serde_json::from_value(serde_json::json!({"manifests": [of("linux", "s390x")]})).unwrap();
        assert!(for_this_machine(&other).is_none());
    }
}
