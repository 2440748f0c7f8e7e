//! Builds the fixtures, and makes engines and bundles out of them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use gantry_plugin::bundle::digest;
use gantry_plugin::family::objects::{Event, Query, Write, Written};
use gantry_plugin::family::{Error, KindRef, ObjectRef};
use gantry_plugin::{Bundle, Engine, EngineOptions, FaultPolicy, LoadError, Loaded, Objects};

pub const FIXTURES: [&str; 7] = [
    "fixture-admission",
    "fixture-api",
    "fixture-controller",
    "fixture-http",
    "fixture-scheduler",
    "fixture-node",
    "fixture-sockets",
];

/// The bytes of a fixture, built if its sources are newer.
pub fn component(name: &str) -> Vec<u8> {
    assert!(FIXTURES.contains(&name), "{name} is no fixture");
    let examples = target().join("wasm32-wasip2/plugin/examples");
    let file = |name: &str| examples.join(format!("{}.wasm", name.replace('-', "_")));
    let built = FIXTURES.iter().map(|name| modified(&file(name))).min().flatten();
    if built.is_none_or(|built| built < newest_source()) {
        build();
        // Cargo leaves alone what did not change; without a new time it would be asked again at every test.
        for name in FIXTURES {
            let now = SystemTime::now();
            std::fs::File::options().append(true).open(file(name)).unwrap().set_modified(now).unwrap();
        }
    }
    std::fs::read(file(name)).unwrap()
}

fn build() {
    cargo(&["--package", "plugin-fixtures", "--examples"]);
}

fn cargo(what: &[&str]) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let done = Command::new(cargo)
        .args(["build", "--quiet", "--profile", "plugin", "--target", "wasm32-wasip2"])
        .args(what)
        .arg("--target-dir")
        .arg(target())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(done.unwrap().success(), "{what:?} does not build");
}

/// The component of a plugin that is made with the SDK: a package's own component, or the example of the SDK of that name.
pub fn plugin(package: &str, name: &str) -> PathBuf {
    let folder = target().join("wasm32-wasip2/plugin");
    let (what, file) = match package {
        "gantry-sdk" => {
            let example = name.rsplit('-').next().unwrap();
            (vec!["--example", example], folder.join(format!("examples/{example}.wasm")))
        }
        _ => (vec!["--lib"], folder.join(format!("{}.wasm", name.replace('-', "_")))),
    };
    cargo(&[&["--package", package], what.as_slice()].concat());
    file
}

/// The target folder that this test runs from: `<target>/<profile>/deps/<test>`.
fn target() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned()
}

fn newest_source() -> SystemTime {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [root.join("tests/fixtures"), root.join("../../wit")];
    let files = folders.iter().flat_map(|dir| std::fs::read_dir(dir).unwrap()).map(|entry| entry.unwrap().path());
    files.filter_map(|file| modified(&file)).max().unwrap()
}

fn modified(file: &Path) -> Option<SystemTime> {
    file.metadata().and_then(|meta| meta.modified()).ok()
}

/// A folder with plugins, an engine, and objects that remember what was asked of them.
pub struct Bench {
    pub dir: tempfile::TempDir,
    pub engine: Engine,
    pub objects: Arc<Fake>,
    text: String,
}

impl Bench {
    pub fn new() -> Self {
        Self::with(FaultPolicy {
            limit: 3,
            window: Duration::from_secs(60),
            first_pause: Duration::from_millis(50),
            longest_pause: Duration::from_millis(200),
        })
    }

    pub fn with(faults: FaultPolicy) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = EngineOptions { faults, ..EngineOptions::new(dir.path().join("data")) };
        let engine = Engine::new(options).unwrap();
        Self { dir, engine, objects: Arc::default(), text: "name = \"test\"\n".to_owned() }
    }

    /// Adds a plugin to the folder and, with more lines of TOML, to the bundle.
    pub fn add(&mut self, name: &str, bytes: &[u8], more: &str) -> &mut Self {
        std::fs::write(self.dir.path().join(format!("{name}.wasm")), bytes).unwrap();
        let digest = digest(bytes);
        self.text.push_str(&format!("[[plugin]]\nname = \"{name}\"\ndigest = \"{digest}\"\n{more}\n"));
        self
    }

    pub fn fixture(&mut self, name: &str, more: &str) -> &mut Self {
        self.add(name, &component(name), more)
    }

    pub fn bundle(&self) -> Bundle {
        Bundle::parse(&self.text, Path::new("test.toml")).unwrap()
    }

    pub fn folders(&self) -> Vec<PathBuf> {
        vec![self.dir.path().to_owned()]
    }

    pub async fn load(&self) -> Vec<Result<Loaded, LoadError>> {
        self.engine.load(&self.bundle(), &self.folders(), self.objects.clone()).await
    }

    /// Loads a bundle of one plugin.
    pub async fn only(&self) -> Loaded {
        self.load().await.pop().unwrap().unwrap()
    }
}

/// Objects that answer the same to everything.
#[derive(Default)]
pub struct Fake {
    pub asked: Mutex<Vec<String>>,
    pub delay: Mutex<Duration>,
}

impl Fake {
    async fn note(&self, what: String) {
        self.asked.lock().unwrap().push(what);
        let delay = *self.delay.lock().unwrap();
        tokio::time::sleep(delay).await;
    }

    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

#[async_trait::async_trait]
impl Objects for Fake {
    async fn get(&self, target: ObjectRef) -> Result<Vec<u8>, Error> {
        self.note(format!("get {}", target.name)).await;
        Ok(b"{}".to_vec())
    }

    async fn list(&self, query: Query) -> Result<Vec<u8>, Error> {
        self.note(format!("list {}", query.kind.kind)).await;
        Ok(b"[1,2]".to_vec())
    }

    async fn apply(&self, writes: Vec<Write>) -> Vec<Result<Written, Error>> {
        self.note(format!("apply {}", writes.len())).await;
        let written = |n| Ok(Written { name: format!("n{n}"), uid: String::new(), resource_version: String::new() });
        (0..writes.len()).map(written).collect()
    }

    async fn record_events(&self, events: Vec<Event>) {
        self.note(format!("events {}", events.len())).await;
    }
}

pub fn pod() -> KindRef {
    KindRef { group: String::new(), kind: "Pod".into() }
}

/// Keys of these names.
pub fn keys(names: &[&str]) -> Vec<ObjectRef> {
    names.iter().map(|name| ObjectRef { kind: pod(), namespace: "default".into(), name: (*name).into() }).collect()
}
