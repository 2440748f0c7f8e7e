//! Scenarios that share one control plane. Each has a namespace of its own and one of the kubectl versions of this
//! machine; several run at once, since most of their time is waiting.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use anyhow::{Context, Result, bail, ensure};

use crate::kubectl::{Version, to_test_with};
use crate::stack::{Options, Stack};
use crate::{Case, Kubectl, netns};

/// Scenarios at once.
const WORKERS: usize = 4;

/// What is to happen.
pub type Play = fn(&Case) -> Result<()>;

/// A name and what is to happen.
pub type Scenario = (&'static str, Play);

/// `scenarios![scales, rolls_back]`
#[macro_export]
macro_rules! scenarios {
    ($($scenario:ident),* $(,)?) => { &[$((stringify!($scenario), $scenario as fn(&$crate::Case) -> anyhow::Result<()>)),*] };
}

/// A control plane for tests, which stops when it is dropped.
pub struct Suite {
    stack: Option<Stack>,
    versions: Vec<(Version, PathBuf)>,
}

impl Suite {
    /// A control plane with the stock bundle, one node, an empty data directory and a network of its own, which this
    /// thread enters.
    pub fn start(name: &str) -> Result<Self> {
        Self::start_with(name, |_| Ok(()))
    }

    /// The same after a change to how it starts; the data directory is there already.
    pub fn start_with(name: &str, change: impl FnOnce(&mut Options) -> Result<()>) -> Result<Self> {
        let versions = to_test_with()?.into_iter().collect();
        netns::enter()?;
        let mut options = options(name)?;
        let data = options.data.clone();
        match change(&mut options).and_then(|()| Stack::start(options)) {
            Ok(stack) => Ok(Self { stack: Some(stack), versions }),
            Err(error) => {
                fs::remove_dir_all(&data).with_context(|| format!("can't remove {}", data.display()))?;
                Err(error)
            }
        }
    }

    pub fn stack(&mut self) -> Result<&mut Stack> {
        self.stack.as_mut().context("the control plane has been stopped")
    }

    /// A case of its own namespace, for what needs the whole control plane.
    pub fn case(&mut self, name: &str) -> Result<Case> {
        let kubeconfig = self.stack()?.kubeconfig();
        self.case_with(name, 0, &kubeconfig)
    }

    fn case_with(&self, name: &str, number: usize, kubeconfig: &Path) -> Result<Case> {
        let at = number.checked_rem(self.versions.len()).context("there is no kubectl on this machine")?;
        let (version, binary) = self.versions.get(at).context("there is no kubectl on this machine")?;
        Case::new(name, &Kubectl::new(*version, binary.clone(), kubeconfig))
    }

    /// Runs all scenarios, then stops the control plane. Fails with every scenario that failed. With
    /// `GANTRY_SCENARIO=name` only those whose name has that in it, of which there must be one.
    pub fn run(self, scenarios: &[Scenario]) -> Result<()> {
        self.run_all(scenarios.iter().map(|(name, scenario)| ((*name).to_owned(), *scenario)).collect())
    }

    /// Runs a scenario with every kubectl there is, each in a namespace of its own.
    pub fn run_with_each(self, name: &str, scenario: Play) -> Result<()> {
        let named = |(major, minor): Version| (format!("{name}-{major}-{minor}"), scenario);
        let all = self.versions.iter().map(|(version, _)| named(*version)).collect();
        self.run_all(all)
    }

    fn run_all(mut self, scenarios: Vec<(String, Play)>) -> Result<()> {
        let kubeconfig = self.stack()?.kubeconfig();
        let only = env::var("GANTRY_SCENARIO").unwrap_or_default();
        let chosen: Vec<_> = scenarios.iter().enumerate().filter(|(_, (name, _))| name.contains(&only)).collect();
        let names = || scenarios.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        ensure!(
            !chosen.is_empty(),
            "no scenario here has {only:?} (GANTRY_SCENARIO) in its name; there are {}",
            names()
        );
        let queue = Mutex::new(chosen.into_iter());
        let failures = Mutex::new(BTreeMap::new());
        let take = || queue.lock().ok().and_then(|mut queue| queue.next());
        thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    while let Some((number, (name, scenario))) = take() {
                        let begun = Instant::now();
                        let outcome = self.case_with(name, number, &kubeconfig).and_then(|case| play(&case, *scenario));
                        let verdict = if outcome.is_ok() { "ok" } else { "FAILED" };
                        println!("{name}: {verdict} ({:.1} s)", begun.elapsed().as_secs_f32());
                        if let (Err(error), Ok(mut failures)) = (outcome, failures.lock()) {
                            failures.insert(name.clone(), format!("{error:#}"));
                        }
                    }
                });
            }
        });
        let failures = failures.into_inner().unwrap_or_default();
        if failures.is_empty() {
            return self.stop();
        }
        let log = self.stack()?.gantry().map(|gantry| gantry.log_tail(60)).unwrap_or_default();
        let mut report = String::new();
        for (name, error) in &failures {
            write!(report, "\n\n{name}: {error}")?;
        }
        bail!("{} of {} scenarios failed{report}\n\nthe end of the host's log:\n{log}", failures.len(), scenarios.len())
    }

    /// Stops everything and removes the data directory.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        let Some(stack) = self.stack.take() else { return Ok(()) };
        let data = stack.data().to_path_buf();
        stack.stop()?;
        if env::var_os("GANTRY_KEEP").is_some() {
            println!("kept {}", data.display());
            return Ok(());
        }
        fs::remove_dir_all(&data).with_context(|| format!("can't remove {}", data.display()))
    }
}

impl Drop for Suite {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("can't clean up: {error:#}");
        }
    }
}

fn play(case: &Case, scenario: fn(&Case) -> Result<()>) -> Result<()> {
    let outcome = catch_unwind(AssertUnwindSafe(|| scenario(case))).unwrap_or_else(|panic| bail!(said(&*panic)));
    match outcome {
        Ok(()) => case.remove(),
        Err(error) => Err(error.context(case.state())),
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// How a control plane for tests starts: `cargo xtask test` says where what it built lies.
pub fn options(name: &str) -> Result<Options> {
    let scratch = env::var_os("GANTRY_TEST_DIR").map_or_else(env::temp_dir, PathBuf::from);
    fs::create_dir_all(&scratch)?;
    let data = tempfile::Builder::new().prefix(&format!("gantry-{name}-")).tempdir_in(&scratch)?.keep();
    // Plugins are compiled once for all tests of a run.
    if let Some(cache) = env::var_os("GANTRY_TEST_CACHE").map(PathBuf::from) {
        fs::create_dir_all(&cache)?;
        std::os::unix::fs::symlink(cache, data.join("cache"))?;
    }
    Ok(Options {
        gantry: built("GANTRY_BIN", "release/gantry")?,
        plugins: built("GANTRY_PLUGINS", "plugins")?,
        bundle: built("GANTRY_BUNDLE", "plugins/kubernetes.toml")?,
        data,
        listen: "127.0.0.1:0".to_owned(),
        share_containerd: false,
        images: vec![built("GANTRY_IMAGE", "images/web.tar")?],
        args: Vec::new(),
    })
}

fn built(variable: &str, place: &str) -> Result<PathBuf> {
    let target = || {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir)).join(place)
    };
    let path = env::var_os(variable).map_or_else(target, PathBuf::from);
    match path.canonicalize() {
        Ok(path) => Ok(path),
        Err(_) => {
            bail!("{} is not there: `cargo xtask build` makes it, {variable} says where else it is", path.display())
        }
    }
}

/// How long a scenario waits for something that takes a moment, on a machine with a lot to do: a minute, or
/// `GANTRY_PATIENCE` seconds.
pub fn patience() -> Duration {
    let seconds = env::var("GANTRY_PATIENCE").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(60))
}

/// How long the start of a host may take, which compiles the plugins that nobody has compiled yet.
pub fn starting() -> Duration {
    patience() * 4
}
