//! Compiled code on disk, so that a start with known plugins takes milliseconds.
//!
//! A file holds a SHA-256 and the code that it is of. Its name is the component's digest and a hash of everything that
//! the code depends on (wasmtime's version, its settings, the processor's features).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use wasmtime::component::Component;

/// Compiled components that are kept; the ones unused for longest go first.
const KEPT: usize = 64;
/// Bytes of the hash before the code.
const HASH: usize = 32;

pub(super) struct Cache {
    dir: Option<PathBuf>,
    settings: String,
}

impl Cache {
    pub(super) fn new(dir: Option<PathBuf>, engine: &wasmtime::Engine) -> Self {
        // The hasher's keys are constants, so the name is the same in every process.
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self { dir, settings: format!("{:016x}", hasher.finish()) }
    }

    /// The component, from the cache if it is there. A cache that fails costs time and nothing else.
    pub(super) fn component(
        &self,
        engine: &wasmtime::Engine,
        digest: &str,
        bytes: &[u8],
    ) -> wasmtime::Result<Component> {
        let Some(dir) = &self.dir else { return Component::new(engine, bytes) };
        let hex = digest.trim_start_matches("sha256:");
        let file = dir.join(format!("{hex}-{}.cwasm", self.settings));
        if let Some(component) = load(engine, &file) {
            return Ok(component);
        }
        let code = engine.precompile_component(bytes)?;
        if let Err(error) = store(dir, &file, &code) {
            tracing::warn!(file = %file.display(), %error, "compiled code can't be cached");
        }
        deserialize(engine, Trusted(&code))
    }
}

/// Code that this program compiled, in this process or an earlier one.
struct Trusted<'a>(&'a [u8]);

#[allow(unsafe_code)]
fn deserialize(engine: &wasmtime::Engine, code: Trusted<'_>) -> wasmtime::Result<Component> {
    // SAFETY: `deserialize` runs what it is given as machine code, so the bytes must be what `precompile_component`
    // gave, unchanged. `Trusted` is made in two places. In `Cache::component` the bytes come straight from that call.
    // In `load` they come from a file that only this user could write: folder and file belong to the effective user
    // and nobody else may write to them, so whoever could change them could as well change this program. `load` also
    // compares a SHA-256 over the very bytes passed here (they are in memory by then: no change of the file can come
    // in between), which excludes torn and rotten files. Code of another wasmtime, of other settings or for another
    // processor has another file name, and wasmtime checks its own header for these as well.
    unsafe { Component::deserialize(engine, code.0) }
}

fn load(engine: &wasmtime::Engine, file: &Path) -> Option<Component> {
    if !ours(file.parent()?) || !ours(file) {
        return None;
    }
    let bytes = std::fs::read(file).ok()?;
    let (hash, code) = bytes.split_at_checked(HASH)?;
    if Sha256::digest(code).as_slice() != hash {
        tracing::warn!(file = %file.display(), "damaged compiled code in the cache, compiled again");
        return None;
    }
    let component = deserialize(engine, Trusted(code)).ok()?;
    // The time says when it was last of use; what was not for longest is dropped first.
    if let Ok(handle) = std::fs::File::options().append(true).open(file) {
        let _ = handle.set_modified(SystemTime::now());
    }
    Some(component)
}

/// Whether only this user can write it. A symbolic link is judged as itself and refused.
fn ours(path: &Path) -> bool {
    let user = nix::unistd::geteuid().as_raw();
    std::fs::symlink_metadata(path)
        .is_ok_and(|meta| meta.uid() == user && meta.mode() & 0o022 == 0 && !meta.file_type().is_symlink())
}

fn store(dir: &Path, file: &Path, code: &[u8]) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    if !ours(dir) {
        return Err(std::io::Error::other("others may write to the cache folder"));
    }
    // Its own name for each attempt: the same component may be loaded twice at once.
    static ATTEMPT: AtomicU64 = AtomicU64::new(0);
    let attempt = ATTEMPT.fetch_add(1, Relaxed);
    let temporary = file.with_extension(format!("{}-{attempt}.tmp", std::process::id()));
    let written = write(&temporary, code).and_then(|()| std::fs::rename(&temporary, file));
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    prune(dir);
    written
}

fn write(temporary: &Path, code: &[u8]) -> std::io::Result<()> {
    let _ = std::fs::remove_file(temporary);
    let mut out = std::fs::File::options().write(true).create_new(true).mode(0o600).open(temporary)?;
    out.write_all(&Sha256::digest(code))?;
    out.write_all(code)?;
    // Renamed only when its bytes are down: a crash must not leave a name without them.
    out.sync_data()
}

fn prune(dir: &Path) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    let mut files: Vec<(SystemTime, PathBuf)> = entries
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|e| e == "cwasm"))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    files.sort();
    let surplus = files.len().saturating_sub(KEPT);
    for (_, path) in files.into_iter().take(surplus) {
        let _ = std::fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Magic, version 0xd, layer 1: an empty component.
    const EMPTY: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];

    #[test]
    fn keeps_code_and_distrusts_what_changed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("cache");
        let engine = wasmtime::Engine::default();
        let cache = Cache::new(Some(folder.clone()), &engine);
        cache.component(&engine, "sha256:ab", &EMPTY).unwrap();
        let file = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
        assert!(file.file_name().unwrap().to_str().unwrap().starts_with("ab-"));
        assert!(load(&engine, &file).is_some());

        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o622)).unwrap();
        assert!(load(&engine, &file).is_none(), "others may write it");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        let good = std::fs::read(&file).unwrap();
        for broken in [good[..good.len() / 2].to_vec(), good[..10].to_vec(), Vec::new()] {
            std::fs::write(&file, &broken).unwrap();
            assert!(load(&engine, &file).is_none(), "torn");
        }
        cache.component(&engine, "sha256:ab", &EMPTY).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), good, "made anew");
    }

    #[test]
    fn keeps_so_many() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..KEPT + 3 {
            let file = dir.path().join(format!("{n}.cwasm"));
            std::fs::write(&file, b"").unwrap();
            let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(n as u64);
            std::fs::File::options().append(true).open(&file).unwrap().set_modified(at).unwrap();
        }
        prune(dir.path());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), KEPT);
        assert!(!dir.path().join("2.cwasm").exists() && dir.path().join("3.cwasm").exists());
    }
}
