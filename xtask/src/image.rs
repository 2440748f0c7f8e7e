//! The test image: an OCI image layout in a tar, with one layer that holds one static program. Made here because no
//! registry can be assumed.

use std::fs;

use anyhow::Result;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::shell::Step;
use crate::{build, paths};

/// The name under which containerd knows it.
pub const NAME: &str = "gantry.local/web:1";

/// Builds the program and its image.
pub fn build() -> Result<()> {
    let program = fs::read(build::web()?)?;
    let step = Step::new(format!("image {NAME}"));
    let archive = archive(&program)?;
    if let Some(dir) = paths::image().parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(paths::image(), &archive)?;
    step.done(&format!("{} KB", archive.len() / 1000));
    Ok(())
}

/// An image layout (opencontainers/image-spec, image-layout.md) as a tar.
fn archive(program: &[u8]) -> Result<Vec<u8>> {
    let layer = tar(&[("etc/passwd", 0o644, PASSWD.as_bytes()), ("web", 0o755, program)])?;
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "config": {"Entrypoint": ["/web"], "Cmd": ["serve"], "Env": ["PATH=/"], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
    });
    let config = serde_json::to_vec(&config)?;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
    });
    let manifest = serde_json::to_vec(&manifest)?;
    let mut entry = descriptor(MANIFEST, &manifest);
    if let Some(entry) = entry.as_object_mut() {
        entry.insert(
            "annotations".into(),
            json!({"io.containerd.image.name": NAME, "org.opencontainers.image.ref.name": "1"}),
        );
    }
    let index = json!({"schemaVersion": 2, "manifests": [entry]});
    let blob = |bytes: &[u8]| format!("blobs/sha256/{}", hex::encode(Sha256::digest(bytes)));
    tar(&[
        ("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#),
        ("index.json", 0o644, &serde_json::to_vec(&index)?),
        (&blob(&config), 0o644, &config),
        (&blob(&manifest), 0o644, &manifest),
        (&blob(&layer), 0o644, &layer),
    ])
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const PASSWD: &str = "root:x:0:0:root:/:/web\nweb:x:1000:1000:web:/:/web\n";

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Entries without times or owners: the same input gives the same bytes.
fn tar(files: &[(&str, u32, &[u8])]) -> Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, mode, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(*mode);
        header.set_size(bytes.len() as u64);
        builder.append_data(&mut header, path, *bytes)?;
    }
    Ok(builder.into_inner()?)
}
