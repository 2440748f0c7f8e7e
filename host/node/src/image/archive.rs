//! Reading an image archive: an OCI image layout or what `docker save` writes, as a tar, gzipped or not.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use bytes::Bytes;
use flate2::read::GzDecoder;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::manifest::{Descriptor, Index};
use super::reference::Name;

/// Read at once.
const CHUNK: usize = 512 * 1024;

/// What an archive holds, in its order.
pub enum Part {
    /// A file begins.
    Begin {
        /// Its path in the archive.
        path: String,
        /// Bytes.
        size: u64,
    },
    /// More of it.
    Data(Bytes),
    /// One path is another's content.
    Link {
        /// The name.
        path: String,
        /// What it names.
        target: String,
    },
}

/// Reads an archive; blocking. Ends early when nobody takes the parts.
pub fn scan(archive: &Path, parts: &mpsc::Sender<Part>) -> io::Result<()> {
    let mut file = File::open(archive)?;
    let mut magic = [0; 2];
    let read = file.read(&mut magic)?;
    file.rewind()?;
    let file = BufReader::with_capacity(CHUNK, file);
    if read == 2 && magic == [0x1f, 0x8b] { entries(GzDecoder::new(file), parts) } else { entries(file, parts) }
}

fn entries(reader: impl Read, parts: &mpsc::Sender<Part>) -> io::Result<()> {
    let mut tar = tar::Archive::new(reader);
    for entry in tar.entries()? {
        let mut entry = entry?;
        let path = clean(&entry.path()?.to_string_lossy());
        let kind = entry.header().entry_type();
        if kind.is_symlink() || kind.is_hard_link() {
            let Some(target) = entry.link_name()? else { continue };
            let target = link_target(&path, &target.to_string_lossy(), kind.is_symlink());
            if parts.blocking_send(Part::Link { path, target }).is_err() {
                return Ok(());
            }
        } else if kind.is_file() {
            let begin = Part::Begin { path, size: entry.size() };
            if parts.blocking_send(begin).is_err() || !copy(&mut entry, parts)? {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn copy(entry: &mut impl Read, parts: &mpsc::Sender<Part>) -> io::Result<bool> {
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        if entry.by_ref().take(CHUNK as u64).read_to_end(&mut chunk)? == 0 {
            return Ok(true);
        }
        if parts.blocking_send(Part::Data(chunk.into())).is_err() {
            return Ok(false);
        }
    }
}

/// Without `./` and `..`, so that paths compare.
fn clean(path: &str) -> String {
    let mut out: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out.join("/")
}

fn link_target(path: &str, target: &str, symbolic: bool) -> String {
    let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
    if symbolic { clean(&format!("{dir}/{target}")) } else { clean(target) }
}

/// An entry of `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DockerEntry {
    /// Path of the configuration.
    pub config: String,
    /// Names.
    #[serde(default)]
    pub repo_tags: Option<Vec<String>>,
    /// Paths of the layers, the lowest first.
    pub layers: Vec<String>,
}

/// Follows links to a path with content.
pub fn follow<'a>(links: &'a HashMap<String, String>, path: &'a str) -> &'a str {
    let mut path = path;
    // Links may form a ring.
    for _ in 0..16 {
        match links.get(path) {
            Some(target) => path = target,
            None => break,
        }
    }
    path
}

/// The images of a layout's `index.json` that have names.
pub fn named(index: &[u8]) -> io::Result<Vec<(Name, Descriptor)>> {
    let index: Index = serde_json::from_slice(index)?;
    let found = index.manifests.into_iter().filter_map(|d| Some((name(&d.annotations)?, d)));
    Ok(found.collect())
}

fn name(annotations: &BTreeMap<String, String>) -> Option<Name> {
    let full = annotations.get("io.containerd.image.name");
    // OCI's own annotation may hold a tag only, which names nothing.
    let own = annotations.get("org.opencontainers.image.ref.name").filter(|n| n.contains([':', '/']));
    full.or(own).and_then(|n| Name::parse(n).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_links_are_made_to_compare() {
        assert_eq!(clean("./blobs//sha256/x"), "blobs/sha256/x");
        assert_eq!(clean("../../etc"), "etc");
        assert_eq!(link_target("a/layer.tar", "../b/layer.tar", true), "b/layer.tar");
        assert_eq!(link_target("a/layer.tar", "b/layer.tar", false), "b/layer.tar");
        let links = HashMap::from([("a".to_owned(), "b".to_owned()), ("b".to_owned(), "c".to_owned())]);
        assert_eq!(follow(&links, "a"), "c");
        let ring = HashMap::from([("a".to_owned(), "a".to_owned())]);
        assert_eq!(follow(&ring, "a"), "a");
    }

    #[test]
    fn a_tag_alone_names_no_image() {
        let index = serde_json::json!({"manifests": [
            {"digest": "d1", "size": 1, "annotations": {"org.opencontainers.image.ref.name": "1"}},
            {"digest": "d2", "size": 1, "annotations": {"org.opencontainers.image.ref.name": "docker.io/library/x:1"}},
            {"digest": "d3", "size": 1, "annotations": {"io.containerd.image.name": "y"}},
        ]});
        let found = named(&serde_json::to_vec(&index).unwrap()).unwrap();
        let names: Vec<&str> = found.iter().map(|(n, _)| n.full()).collect();
        assert_eq!(names, ["docker.io/library/x:1", "docker.io/library/y:latest"]);
    }
}
