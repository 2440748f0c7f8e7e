//! Where things are.

use std::env;
use std::path::{Path, PathBuf};

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Cargo's target folder.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// The release binary.
pub fn gantry() -> PathBuf {
    target().join("release/gantry")
}

/// Plugins' components.
pub fn plugins() -> PathBuf {
    target().join("plugins")
}

/// The test image's archive.
pub fn image() -> PathBuf {
    target().join("images/web.tar")
}

/// The stock bundle as its authors write it: without digests.
pub fn bundle() -> PathBuf {
    root().join("plugins/bundles/kubernetes.toml")
}

/// The stock bundle with the digests of the components that were built.
pub fn pinned_bundle() -> PathBuf {
    plugins().join("kubernetes.toml")
}
