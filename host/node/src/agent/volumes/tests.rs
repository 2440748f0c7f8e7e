//! Volumes on a real file system.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::payload::{File, Payload};
use super::*;
use crate::agent::testing::cluster::FakeCluster;
use crate::agent::testing::mounts::FakeMounts;
use crate::agent::testing::{UID, desired};

fn payload(files: &[(&str, &str)]) -> Payload {
    let file = |text: &str| File { bytes: text.as_bytes().to_vec(), mode: 0o640 };
    files.iter().map(|(path, text)| ((*path).to_owned(), file(text))).collect()
}

/// What a container sees: path → contents.
fn seen(volume: &Path, folder: &Path, all: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(volume).unwrap().to_str().unwrap().to_owned();
        if name.starts_with("..") {
            continue;
        }
        if path.is_dir() {
            seen(volume, &path, all);
        } else {
            all.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}

fn shown(volume: &Path) -> Vec<(String, String)> {
    let mut all = BTreeMap::new();
    seen(volume, volume, &mut all);
    all.into_iter().collect()
}

#[test]
fn files_change_all_at_once_and_nothing_stale_stays() {
    let temp = tempfile::tempdir().unwrap();
    let volume = temp.path();
    for files in
        [&[("a", "1"), ("b/c", "2")][..], &[("a", "1"), ("b/c", "2")], &[("b/d", "3")], &[("b", "now a file")], &[]]
    {
        atomic::write(volume, &payload(files), |_| Ok(())).unwrap();
        let want: Vec<(String, String)> = files.iter().map(|(p, t)| ((*p).to_owned(), (*t).to_owned())).collect();
        assert_eq!(shown(volume), want);
        let hidden = fs::read_dir(volume)
            .unwrap()
            .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with(".."));
        assert_eq!(hidden.count(), 2, "one version and the link to it");
    }
}

#[test]
fn what_is_the_same_is_not_written_again() {
    let temp = tempfile::tempdir().unwrap();
    let version = || fs::read_link(temp.path().join("..data")).unwrap();
    atomic::write(temp.path(), &payload(&[("a", "1")]), |_| Ok(())).unwrap();
    let first = version();
    atomic::write(temp.path(), &payload(&[("a", "1")]), |_| panic!("written again")).unwrap();
    assert_eq!(version(), first);
    // A crash between the switch and the links is made good.
    fs::remove_file(temp.path().join("a")).unwrap();
    atomic::write(temp.path(), &payload(&[("a", "1")]), |_| Ok(())).unwrap();
    assert_eq!(shown(temp.path()), [("a".to_owned(), "1".to_owned())]);
    let mode = fs::metadata(temp.path().join("a")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o640);
}

#[test]
fn sub_paths_never_leave_their_volume() {
    let temp = tempfile::tempdir().unwrap();
    let (root, outside) = (temp.path().join("v"), temp.path().join("outside"));
    for dir in [&root, &outside, &root.join("in")] {
        fs::create_dir(dir).unwrap();
    }
    fs::write(root.join("file"), "x").unwrap();
    symlink("in", root.join("good")).unwrap();
    symlink(&outside, root.join("evil")).unwrap();
    symlink("../outside", root.join("sly")).unwrap();
    let mounts = FakeMounts::default();
    for (index, (sub, ok)) in [
        ("in", true),
        ("good", true),
        ("file", true),
        ("made/on/the/way", true),
        (".", true),
        ("evil", false),
        ("sly", false),
        ("evil/new", false),
        ("sly/new", false),
        ("../outside", false),
        ("/etc", false),
        ("", false),
    ]
    .into_iter()
    .enumerate()
    {
        let target = temp.path().join(format!("t{index}"));
        assert_eq!(subpath::bind(&root, sub, &target, &mounts).is_ok(), ok, "{sub:?}");
        let shown = mounts.mounted.lock().unwrap().get(&target).cloned();
        let inside = shown.as_ref().is_some_and(|shown| Path::new(shown).starts_with(fs::canonicalize(&root).unwrap()));
        assert_eq!(inside, ok, "{sub:?} shows {shown:?}");
    }
    assert!(fs::read_dir(&outside).unwrap().next().is_none(), "nothing was made outside");
}

struct Fixture {
    cluster: Arc<FakeCluster>,
    maker: Maker,
    temp: tempfile::TempDir,
}

fn fixture() -> Fixture {
    let cluster = Arc::new(FakeCluster::new(Arc::default()));
    let maker = Maker { cluster: cluster.clone(), mounts: Arc::new(FakeMounts::default()), facts: Facts::default() };
    Fixture { cluster, maker, temp: tempfile::tempdir().unwrap() }
}

impl Fixture {
    async fn set_up(&self, volume: Value) -> Result<Vec<(String, String)>, String> {
        let mut volume = volume;
        volume["name"] = json!("v");
        let desired = desired(UID, json!({"volumes": [volume]}), json!({}));
        self.maker.set_up(&desired, &[], self.temp.path()).await.map_err(|error| error.reason)?;
        Ok(shown(&self.temp.path().join("volumes/v")))
    }
}

#[tokio::test]
async fn sources_are_shown_as_asked_for() {
    let f = fixture();
    let meta = |name: &str| json!({"name": name, "namespace": "default"});
    f.cluster.put_source(Source::ConfigMap, "m", json!({"metadata": meta("m"), "data": {"a": "1", "b": "2"}}));
    f.cluster.put_source(Source::Secret, "s", json!({"metadata": meta("s"), "data": {"k": "c2VjcmV0"}}));
    let item = |key: &str, path: &str| json!({"key": key, "path": path});
    let field = json!({"path": "name", "fieldRef": {"fieldPath": "metadata.name"}});
    for (volume, want) in [
        (json!({"configMap": {"name": "m"}}), Ok("a=1 b=2")),
        (json!({"configMap": {"name": "m", "items": [item("a", "x/y")]}}), Ok("x/y=1")),
        (json!({"configMap": {"name": "m", "items": [item("no", "x")]}}), Err("references non-existent key: no")),
        (json!({"configMap": {"name": "m", "items": [item("a", "../x")]}}), Err("invalid path")),
        (json!({"configMap": {"name": "no"}}), Err("configmap \"no\" not found")),
        (json!({"configMap": {"name": "no", "optional": true}}), Ok("")),
        (json!({"secret": {"secretName": "s"}}), Ok("k=secret")),
        (json!({"secret": {"secretName": "no"}}), Err("secret \"no\" not found")),
        (json!({"downwardAPI": {"items": [field]}}), Ok("name=web")),
        (
            json!({"projected": {"sources": [
                {"configMap": {"name": "m", "items": [item("a", "a")]}}, {"secret": {"name": "s"}},
                {"downwardAPI": {"items": [field]}},
            ]}}),
            Ok("a=1 k=secret name=web"),
        ),
        (json!({"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}), Err("not supported")),
        (json!({"emptyDir": {"medium": "HugePages"}}), Err("unknown storage medium")),
        (json!({"persistentVolumeClaim": {"claimName": "c"}}), Err("kind persistentVolumeClaim")),
    ] {
        let found = f.set_up(volume.clone()).await;
        let found = found.map(|files| files.iter().map(|(p, t)| format!("{p}={t}")).collect::<Vec<_>>().join(" "));
        match (found, want) {
            (Ok(found), Ok(want)) => assert_eq!(found, want, "{volume}"),
            (Err(found), Err(want)) => assert!(found.contains(want), "{found} lacks {want}"),
            (found, want) => panic!("{volume}: {found:?} and not {want:?}"),
        }
    }
}
