//! A containerd, an image and a registry for tests, each the test's own.

#![allow(dead_code, reason = "each test uses some of it")]

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use gantry_node::containerd::{Containerd, Options, clean};
use gantry_node::runtime::{ContainerSpec, Ended, Runtime};
use gantry_tests::{Process, containerd, wait_for};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

pub const IMAGE: &str = "test.local/busybox:1";
const BUSYBOX: &str = "/bin/busybox";

/// A running containerd with the test image in it. Everything goes when `stop` is called.
pub struct Node {
    pub dir: tempfile::TempDir,
    pub runtime: Containerd,
    options: Options,
    daemon: Option<Process>,
}

impl Node {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let daemon = containerd::start(dir.path())
            .expect("containerd starts: is the package containerd installed, and are we root?");
        let options = Options {
            socket: containerd::socket(dir.path()),
            // runc's own state is the machine's: another test's containers have the same ids.
            namespace: namespace(dir.path()),
            state: dir.path().join("state"),
            ..Options::default()
        };
        let runtime = Containerd::connect(options.clone()).await.unwrap();
        Self { dir, runtime, options, daemon: Some(daemon) }
    }

    pub async fn with_image() -> Self {
        let node = Self::start().await;
        let archive = node.dir.path().join("image.tar");
        fs::write(&archive, layout(IMAGE)).unwrap();
        assert_eq!(node.runtime.import(&archive).await.unwrap(), [IMAGE]);
        node
    }

    /// As an agent that was restarted.
    pub async fn again(&self) -> Containerd {
        Containerd::connect(self.options.clone()).await.unwrap()
    }

    /// The agent is gone, with all that it knew and read, and another one starts.
    pub async fn crash(&mut self) {
        self.runtime = self.again().await;
    }

    /// What `ctr` says in this node's namespace.
    pub fn ctr(&self, words: &[&str]) -> String {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(&self.options.socket).args(["--namespace", &self.options.namespace]);
        let output = command.args(words).output().unwrap();
        assert!(output.status.success(), "ctr {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn socket(&self) -> String {
        self.options.socket.display().to_string()
    }

    pub fn log(&self, id: &str) -> PathBuf {
        self.dir.path().join("logs").join(id).join("0.log")
    }

    /// A container that runs a shell script.
    pub fn shell(&self, id: &str, script: &str) -> ContainerSpec {
        ContainerSpec {
            id: id.into(),
            sandbox: format!("sandbox-{id}"),
            labels: [("app".to_owned(), "test".to_owned())].into(),
            image: IMAGE.into(),
            args: vec!["/bin/sh".into(), "-c".into(), script.into()],
            env: vec!["FROM_POD=yes".into()],
            log: self.log(id),
            log_limit: (1 << 20, 3),
            cgroup_parent: format!("gantry-test/{}/{id}", self.options.namespace),
            ..ContainerSpec::default()
        }
    }

    /// Creates and starts it.
    pub async fn run(&self, spec: &ContainerSpec) -> u32 {
        self.runtime.create(spec).await.unwrap();
        self.runtime.start(&spec.id).await.unwrap()
    }

    /// Starts the shim of a container's sandbox as containerd does, and containerd does not know. The answer is its socket,
    /// and what keeps its log open.
    pub fn stray_shim(&self, spec: &ContainerSpec) -> (PathBuf, fs::File) {
        let bundle = self.dir.path().join("bundle");
        fs::create_dir(&bundle).unwrap();
        let config = json!({"annotations": {"io.containerd.runc.v2.group": spec.sandbox}});
        fs::write(bundle.join("config.json"), config.to_string()).unwrap();
        // It writes its log into a pipe that containerd reads.
        nix::unistd::mkfifo(&bundle.join("log"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let log = fs::File::options().read(true).write(true).open(bundle.join("log")).unwrap();
        let socket = self.socket();
        let started = Command::new("containerd-shim-runc-v2")
            .args(["-namespace", &self.options.namespace, "-id", &spec.id, "-address", &socket, "start"])
            .env("TTRPC_ADDRESS", format!("{socket}.ttrpc"))
            .current_dir(&bundle)
            .output()
            .unwrap();
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        let socket = String::from_utf8(started.stdout).unwrap().trim_start_matches("unix://").into();
        (socket, log)
    }

    /// The texts of a log, whole.
    pub fn log_text(&self, id: &str) -> String {
        let text = fs::read_to_string(self.log(id)).unwrap_or_default();
        text.lines().map(|l| l.splitn(4, ' ').nth(3).unwrap_or_default().to_owned() + "\n").collect()
    }

    pub async fn stop(mut self) {
        clean(self.options.clone(), true).await.unwrap();
        assert!(!self.options.state.exists());
        if let Some(daemon) = self.daemon.take() {
            daemon.stop(Duration::from_secs(20)).unwrap();
        }
        containerd::clean(self.dir.path());
        for own in cgroups(&format!("gantry-test/{}", self.options.namespace)) {
            // There if the last sandbox went before the end; but nothing must be in it.
            fs::remove_dir(&own).unwrap_or_else(|error| panic!("{}: {error}", own.display()));
        }
        for shared in cgroups("gantry-test") {
            // Unless another test is in it.
            let _ = fs::remove_dir(shared);
        }
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let dir = self.dir.path().display().to_string();
        let left: Vec<&str> = mounts.lines().filter(|l| l.contains(&dir)).collect();
        assert!(left.is_empty(), "mounts are left: {left:?}");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // A failed test: containers would outlive containerd.
        if let Some(daemon) = self.daemon.take() {
            let socket = &self.options.socket;
            let ctr = |args: &[&str]| {
                Command::new("ctr").arg("-a").arg(socket).args(["-n", &self.options.namespace]).args(args).output()
            };
            if let Ok(list) = ctr(&["tasks", "ls", "-q"]) {
                for id in String::from_utf8_lossy(&list.stdout).lines() {
                    let _ = ctr(&["tasks", "rm", "-f", id]);
                }
            }
            let _ = daemon.stop(Duration::from_secs(10));
            containerd::clean(self.dir.path());
            for sandbox in fs::read_dir(self.options.state.join("sandboxes")).into_iter().flatten().flatten() {
                for mount in ["ipc", "uts", "shm"] {
                    let _ = Command::new("umount").arg(sandbox.path().join(mount)).output();
                }
            }
        }
    }
}

/// The folders of a cgroup that are there: one a hierarchy.
pub fn cgroups(name: &str) -> Vec<PathBuf> {
    let hierarchies = fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path());
    let folders = hierarchies.chain(["/sys/fs/cgroup".into()]).map(|hierarchy| hierarchy.join(name));
    folders.filter(|folder| folder.exists()).collect()
}

fn namespace(dir: &Path) -> String {
    let name = dir.file_name().unwrap().to_string_lossy().to_lowercase();
    format!("test-{}-{}", std::process::id(), name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric()))
}

/// The next end of this container.
pub async fn end_of(ends: &mut mpsc::Receiver<Option<Ended>>, id: &str) -> Ended {
    let next = async {
        loop {
            match ends.recv().await.expect("events go on") {
                Some(ended) if ended.id == id => return ended,
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), next).await.expect("the end is told")
}

/// Waits until a check holds.
pub async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if check().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it never came to be that {what}");
}

fn layers() -> Vec<Vec<u8>> {
    let busybox = fs::read(BUSYBOX).expect("/bin/busybox is missing: apt-get install busybox-static");
    let base = tar(&[
        ("bin/busybox", 0o755, Entry::File(&busybox)),
        ("etc/passwd", 0o644, Entry::File(b"root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001:web:/:/bin/sh\n")),
        ("etc/group", 0o644, Entry::File(b"root:x:0:\nweb:x:1001:\nmore:x:2000:web\n")),
        ("tmp/", 0o1777, Entry::Dir),
    ]);
    let names = [
        "sh", "cat", "echo", "id", "sleep", "env", "ls", "hostname", "stty", "seq", "grep", "touch", "mount", "dd",
        "head", "ps", "kill", "readlink", "wc",
    ];
    let links: Vec<(String, u32, Entry<'_>)> =
        names.iter().map(|n| (format!("bin/{n}"), 0o777, Entry::Link("/bin/busybox"))).collect();
    let links: Vec<(&str, u32, Entry<'_>)> = links.iter().map(|(n, m, e)| (n.as_str(), *m, *e)).collect();
    vec![base, tar(&links)]
}

#[derive(Clone, Copy)]
enum Entry<'a> {
    File(&'a [u8]),
    Link(&'a str),
    Dir,
}

fn tar(entries: &[(&str, u32, Entry<'_>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, mode, entry) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(*mode);
        match entry {
            Entry::File(bytes) => {
                header.set_size(bytes.len() as u64);
                builder.append_data(&mut header, path, *bytes).unwrap();
            }
            Entry::Link(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                builder.append_link(&mut header, path, target).unwrap();
            }
            Entry::Dir => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_size(0);
                builder.append_data(&mut header, path, std::io::empty()).unwrap();
            }
        }
    }
    builder.into_inner().unwrap()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
}

/// The image's blobs with their types, layers gzipped: configuration, layers, manifest.
pub fn blobs() -> (Vec<u8>, Vec<Vec<u8>>, Vec<u8>) {
    let layers = layers();
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "config": {"Entrypoint": ["/bin/sh"], "Cmd": ["-c", "echo default"], "Env": ["FROM_IMAGE=yes"], "User": "web"},
        "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|l| digest(l)).collect::<Vec<_>>()},
    });
    let config = serde_json::to_vec(&config).unwrap();
    let layers: Vec<Vec<u8>> = layers.iter().map(|l| gzip(l)).collect();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": layers.iter().map(|l| descriptor("application/vnd.oci.image.layer.v1.tar+gzip", l)).collect::<Vec<_>>(),
    });
    (config, layers, serde_json::to_vec(&manifest).unwrap())
}

/// An OCI image layout.
pub fn layout(name: &str) -> Vec<u8> {
    let (config, layers, manifest) = blobs();
    let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
    entry["annotations"] = json!({"io.containerd.image.name": name});
    let index = serde_json::to_vec(&json!({"schemaVersion": 2, "manifests": [entry]})).unwrap();
    let blobs: Vec<&Vec<u8>> = layers.iter().chain([&config, &manifest]).collect();
    let paths: Vec<String> = blobs.iter().map(|b| format!("blobs/{}", digest(b).replace(':', "/"))).collect();
    let mut entries = vec![("index.json", 0o644, Entry::File(&index))];
    entries.extend(paths.iter().zip(blobs).map(|(p, b)| (p.as_str(), 0o644, Entry::File(b))));
    tar(&entries)
}

/// What `docker save` writes, with plain layers, one of them behind a link.
pub fn docker_archive(name: &str) -> Vec<u8> {
    let (config, _, _) = blobs();
    let layers = layers();
    let manifest = json!([{"Config": "config.json", "RepoTags": [name], "Layers": ["a/layer.tar", "b/layer.tar"]}]);
    tar(&[
        ("a/layer.tar", 0o644, Entry::File(&layers[0])),
        ("c/layer.tar", 0o644, Entry::File(&layers[1])),
        ("b/layer.tar", 0o777, Entry::Link("../c/layer.tar")),
        ("config.json", 0o644, Entry::File(&config)),
        ("manifest.json", 0o644, Entry::File(&serde_json::to_vec(&manifest).unwrap())),
    ])
}

/// Debian's registry on loopback, with the test image in it.
pub struct Registry {
    pub address: String,
    process: Option<Process>,
    _dir: tempfile::TempDir,
}

impl Registry {
    /// `password`: of the user `me`, hashed by us; none: open to all.
    pub fn start(name: &str, password: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        fill(dir.path(), name);
        let auth = password.map(|password| {
            let file = dir.path().join("htpasswd");
            fs::write(&file, format!("me:{password}\n")).unwrap();
            format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", file.display())
        });
        let config = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\n{}",
            dir.path().display(),
            auth.unwrap_or_default()
        );
        let file = dir.path().join("config.yml");
        fs::write(&file, config).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&file);
        let process = Process::start(dir.path(), "registry", &mut command)
            .expect("docker-registry starts: apt-get install docker-registry");
        wait_for("the registry to answer", Duration::from_secs(20), || Ok(TcpStream::connect(&address).map(drop)?))
            .unwrap();
        Self { address, process: Some(process), _dir: dir }
    }

    pub fn stop(mut self) {
        self.process.take().unwrap().stop(Duration::from_secs(10)).unwrap();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            let _ = process.stop(Duration::from_secs(5));
        }
    }
}

/// Puts the image where the registry keeps its data: its own format, so that no pusher is needed.
fn fill(root: &Path, name: &str) {
    let (config, layers, manifest) = blobs();
    let v2 = root.join("docker/registry/v2");
    let repository = v2.join("repositories").join(name);
    let link = |dir: PathBuf, digest: &str| {
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("link"), digest).unwrap();
    };
    for blob in layers.iter().chain([&config, &manifest]) {
        let digest = digest(blob);
        let hex = digest.strip_prefix("sha256:").unwrap();
        let dir = v2.join("blobs/sha256").join(&hex[..2]).join(hex);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("data"), blob).unwrap();
        link(repository.join("_layers/sha256").join(hex), &digest);
    }
    let digest = digest(&manifest);
    let hex = digest.strip_prefix("sha256:").unwrap();
    let manifests = repository.join("_manifests");
    link(manifests.join("revisions/sha256").join(hex), &digest);
    link(manifests.join("tags/1/current"), &digest);
    link(manifests.join("tags/1/index/sha256").join(hex), &digest);
}
