//! Containers that are entries in a table.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::agent::Clock;
use crate::runtime::{
    ContainerSpec, Credentials, Ended, ExecProcess, ExecSpec, Exit, Found, Image, PullError, Runtime, RuntimeError,
    State, Usage,
};

/// What was done, and where the agent is to be killed.
#[derive(Default)]
pub struct Journal {
    pub steps: Mutex<Vec<String>>,
    /// Whoever takes the step of this number is never heard of again: 2n before its effect, 2n+1 after it.
    pub hang_at: Mutex<Option<usize>>,
    count: Mutex<usize>,
}

impl Journal {
    pub async fn step(&self, what: impl Into<String>) {
        self.steps.lock().unwrap().push(what.into());
        self.pass().await;
    }

    pub async fn after(&self, _what: &str) {
        self.pass().await;
    }

    async fn pass(&self) {
        let number = {
            let mut count = self.count.lock().unwrap();
            *count += 1;
            *count - 1
        };
        if *self.hang_at.lock().unwrap() == Some(number) {
            std::future::pending::<()>().await;
        }
    }

    pub fn is_hanging(&self) -> bool {
        self.hang_at.lock().unwrap().is_some_and(|at| *self.count.lock().unwrap() > at)
    }

    pub fn all(&self) -> Vec<String> {
        self.steps.lock().unwrap().clone()
    }
}

#[derive(Default)]
struct Table {
    sandboxes: BTreeSet<String>,
    containers: BTreeMap<String, (ContainerSpec, State, Timestamp, Option<Timestamp>)>,
    images: BTreeMap<String, Image>,
    registry: BTreeMap<String, Image>,
    /// Ids that ran: never to run again.
    ran: HashSet<String>,
    fail: HashMap<&'static str, VecDeque<RuntimeError>>,
    pull_fail: VecDeque<String>,
    /// Containers that ignore the polite signal.
    stubborn: HashSet<String>,
    /// Container name → exit code of its probe and hook commands.
    commands: HashMap<String, (i32, String)>,
    listeners: Vec<mpsc::Sender<Option<Ended>>>,
    credentials: Vec<Vec<Credentials>>,
}

pub struct FakeRuntime {
    pub journal: Arc<Journal>,
    clock: Clock,
    table: Mutex<Table>,
}

impl FakeRuntime {
    pub fn new(journal: Arc<Journal>, clock: Clock) -> Self {
        let image = Image {
            name: "image:1".into(),
            id: "sha256:1".into(),
            entrypoint: vec!["/app".into()],
            ..Image::default()
        };
        let table = Table { images: [("image:1".to_owned(), image)].into(), ..Table::default() };
        Self { journal, clock, table: Mutex::new(table) }
    }

    pub fn offer(&self, name: &str) {
        let image = Image {
            name: name.to_owned(),
            id: format!("sha256:{name}"),
            entrypoint: vec!["/app".into()],
            size: 7,
            ..Image::default()
        };
        self.table.lock().unwrap().registry.insert(name.to_owned(), image);
    }

    pub fn fail(&self, step: &'static str, error: RuntimeError) {
        self.table.lock().unwrap().fail.entry(step).or_default().push_back(error);
    }

    pub fn fail_pull(&self, reason: &str) {
        self.table.lock().unwrap().pull_fail.push_back(reason.to_owned());
    }

    pub fn be_stubborn(&self, container: &str) {
        self.table.lock().unwrap().stubborn.insert(container.to_owned());
    }

    pub fn answer(&self, container: &str, code: i32, output: &str) {
        self.table.lock().unwrap().commands.insert(container.to_owned(), (code, output.to_owned()));
    }

    pub fn credentials(&self) -> Vec<Vec<Credentials>> {
        self.table.lock().unwrap().credentials.clone()
    }

    /// Names of containers that run, with their attempt: `c/0`.
    pub fn running(&self) -> Vec<String> {
        let table = self.table.lock().unwrap();
        let running = table.containers.values().filter(|entry| matches!(entry.1, State::Running { .. }));
        running.map(|entry| label(&entry.0)).collect()
    }

    pub fn known(&self) -> Vec<String> {
        self.table.lock().unwrap().containers.values().map(|entry| label(&entry.0)).collect()
    }

    /// Sandboxes that were not removed, whether their containers are there or not.
    pub fn sandboxes_left(&self) -> BTreeSet<String> {
        self.table.lock().unwrap().sandboxes.clone()
    }

    pub fn spec(&self, which: &str) -> Option<ContainerSpec> {
        let table = self.table.lock().unwrap();
        table.containers.values().map(|entry| &entry.0).find(|spec| label(spec) == which).cloned()
    }

    /// The container `c/0` ends by itself.
    pub fn end(&self, which: &str, code: i32) {
        let spec = self.spec(which).unwrap_or_else(|| panic!("no container {which}"));
        self.finish(&spec.id, code);
    }

    /// As after a reboot of the machine: nothing runs, and nobody knows how it ended.
    pub fn lose_all(&self) {
        for entry in self.table.lock().unwrap().containers.values_mut() {
            entry.1 = State::Unknown;
        }
    }

    fn finish(&self, id: &str, code: i32) {
        let mut table = self.table.lock().unwrap();
        let exit = Exit { code, at: self.clock.now(), oom: false };
        let Some(entry) = table.containers.get_mut(id) else { return };
        if !matches!(entry.1, State::Running { .. }) {
            return;
        }
        entry.1 = State::Exited(exit.clone());
        let ended = Ended { id: id.to_owned(), exit };
        table.listeners.retain(|listener| listener.try_send(Some(ended.clone())).is_ok());
    }

    fn failure(&self, step: &'static str) -> Result<(), RuntimeError> {
        let found = self.table.lock().unwrap().fail.get_mut(step).and_then(VecDeque::pop_front);
        found.map_or(Ok(()), Err)
    }

    fn label_of(&self, id: &str) -> String {
        self.table.lock().unwrap().containers.get(id).map(|entry| label(&entry.0)).unwrap_or_else(|| id.to_owned())
    }
}

fn label(spec: &ContainerSpec) -> String {
    format!("{}/{}", spec.labels["gantry.dev/container"], spec.labels["gantry.dev/attempt"])
}

#[async_trait]
impl Runtime for FakeRuntime {
    async fn version(&self) -> Result<String, RuntimeError> {
        Ok("fake://1".to_owned())
    }

    async fn image(&self, name: &str) -> Result<Option<Image>, RuntimeError> {
        Ok(self.table.lock().unwrap().images.get(name).cloned())
    }

    async fn pull(&self, name: &str, credentials: &[Credentials]) -> Result<Image, PullError> {
        self.journal.step(format!("pull {name}")).await;
        let mut table = self.table.lock().unwrap();
        table.credentials.push(credentials.to_vec());
        let fail = |reason: String| PullError::Pull { name: name.to_owned(), reason };
        if let Some(reason) = table.pull_fail.pop_front() {
            return Err(fail(reason));
        }
        let image = table.registry.get(name).cloned().ok_or_else(|| fail("not found".to_owned()))?;
        table.images.insert(name.to_owned(), image.clone());
        Ok(image)
    }

    async fn images(&self) -> Result<Vec<Image>, RuntimeError> {
        Ok(self.table.lock().unwrap().images.values().cloned().collect())
    }

    async fn import(&self, _archive: &Path) -> Result<Vec<String>, RuntimeError> {
        Ok(Vec::new())
    }

    async fn containers(&self) -> Result<Vec<Found>, RuntimeError> {
        let table = self.table.lock().unwrap();
        let found = table.containers.values().map(|(spec, state, created, started)| Found {
            id: spec.id.clone(),
            labels: spec.labels.clone(),
            image: spec.image.clone(),
            created: *created,
            started: *started,
            state: state.clone(),
        });
        Ok(found.collect())
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<(), RuntimeError> {
        self.journal.step(format!("create {}", label(spec))).await;
        self.failure("create")?;
        {
            let mut table = self.table.lock().unwrap();
            assert!(spec.id.len() <= 76 && !spec.args.is_empty() && spec.working_dir.starts_with('/'), "{spec:?}");
            assert!(table.images.contains_key(&spec.image), "{} was made without its image", spec.id);
            assert!(!table.ran.contains(&spec.id), "{} was made again after it ran", spec.id);
            for mount in &spec.mounts {
                assert!(mount.source.exists(), "{} is mounted and not there", mount.source.display());
            }
            assert!(spec.log.parent().is_some_and(Path::is_dir), "the folder of the log is not there");
            let name = &spec.labels["gantry.dev/container"];
            let twin = table.containers.values().any(|(other, state, ..)| {
                other.sandbox == spec.sandbox
                    && &other.labels["gantry.dev/container"] == name
                    && matches!(state, State::Running { .. })
            });
            assert!(!twin, "{} was made while another one of {name} runs", spec.id);
            let now = self.clock.now();
            table.containers.insert(spec.id.clone(), (spec.clone(), State::Created, now, None));
            table.sandboxes.insert(spec.sandbox.clone());
        }
        self.journal.after("create").await;
        Ok(())
    }

    async fn start(&self, id: &str) -> Result<u32, RuntimeError> {
        self.journal.step(format!("start {}", self.label_of(id))).await;
        self.failure("start")?;
        {
            let mut table = self.table.lock().unwrap();
            let now = self.clock.now();
            let Some(entry) = table.containers.get_mut(id) else { return Err(RuntimeError::NotFound(id.to_owned())) };
            if entry.1 == State::Created {
                entry.1 = State::Running { pid: 42 };
                entry.3 = Some(now);
                assert!(table.ran.insert(id.to_owned()), "{id} was started twice");
            }
        }
        self.journal.after("start").await;
        Ok(42)
    }

    async fn signal(&self, id: &str, signal: i32, _all: bool) -> Result<(), RuntimeError> {
        let label = self.label_of(id);
        self.journal.step(format!("signal {label} {signal}")).await;
        let name = label.split('/').next().unwrap_or_default().to_owned();
        if signal == 9 || !self.table.lock().unwrap().stubborn.contains(&name) {
            self.finish(id, 128 + signal);
        }
        self.journal.after("signal").await;
        Ok(())
    }

    async fn state(&self, id: &str) -> Result<State, RuntimeError> {
        let table = self.table.lock().unwrap();
        table.containers.get(id).map(|entry| entry.1.clone()).ok_or_else(|| RuntimeError::NotFound(id.to_owned()))
    }

    async fn remove(&self, id: &str) -> Result<(), RuntimeError> {
        self.journal.step(format!("remove {}", self.label_of(id))).await;
        self.failure("remove")?;
        self.finish(id, 137);
        self.table.lock().unwrap().containers.remove(id);
        self.journal.after("remove").await;
        Ok(())
    }

    async fn release_sandbox(&self, sandbox: &str) -> Result<(), RuntimeError> {
        self.journal.step("release_sandbox").await;
        {
            let table = self.table.lock().unwrap();
            let runs = |entry: &(ContainerSpec, State, Timestamp, Option<Timestamp>)| {
                entry.0.sandbox == sandbox && matches!(entry.1, State::Running { .. })
            };
            assert!(!table.containers.values().any(runs), "the sandbox {sandbox} is in use");
        }
        self.journal.after("release_sandbox").await;
        Ok(())
    }

    async fn sandboxes(&self) -> Result<Vec<String>, RuntimeError> {
        Ok(self.table.lock().unwrap().sandboxes.iter().cloned().collect())
    }

    async fn remove_sandbox(&self, sandbox: &str) -> Result<(), RuntimeError> {
        self.journal.step("remove_sandbox").await;
        {
            let mut table = self.table.lock().unwrap();
            let left = table.containers.values().any(|entry| entry.0.sandbox == sandbox);
            assert!(!left, "the sandbox {sandbox} has containers");
            table.sandboxes.remove(sandbox);
        }
        self.journal.after("remove_sandbox").await;
        Ok(())
    }

    async fn exec(&self, id: &str, _spec: ExecSpec) -> Result<ExecProcess, RuntimeError> {
        Err(RuntimeError::NotFound(id.to_owned()))
    }

    async fn run(&self, id: &str, command: &[String], _patience: Duration) -> Result<(i32, String), RuntimeError> {
        let label = self.label_of(id);
        self.journal.step(format!("run {label} {}", command.join(" "))).await;
        let name = label.split('/').next().unwrap_or_default().to_owned();
        Ok(self.table.lock().unwrap().commands.get(&name).cloned().unwrap_or_default())
    }

    async fn usage(&self, _id: &str) -> Result<Usage, RuntimeError> {
        Ok(Usage { cpu_nanos: 1, memory: 2 })
    }

    fn ends(&self) -> mpsc::Receiver<Option<Ended>> {
        let (sender, receiver) = mpsc::channel(64);
        self.table.lock().unwrap().listeners.push(sender);
        receiver
    }
}
