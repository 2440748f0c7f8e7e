//! kubectl, any version, with a kubeconfig.

use std::collections::BTreeMap;
use std::env;
use std::io::Write;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The Google Cloud SDK brings one kubectl a version, as `kubectl.1.27` and so on.
const SDK: &str = "/usr/lib/google-cloud-sdk/bin";

/// Seconds after which a kubectl that hangs is ended.
const PATIENCE: &str = "180";

/// A kubectl binary, a kubeconfig, and a namespace.
#[derive(Clone, Debug)]
pub struct Kubectl {
    version: Version,
    binary: PathBuf,
    kubeconfig: PathBuf,
    namespace: Option<String>,
}

/// A minor version: (1, 33).
pub type Version = (u32, u32);

/// Minor versions that the API is tested with.
const TESTED: RangeInclusive<u32> = 27..=33;

/// Every kubectl of a tested version on this machine, the oldest first: `kubectl.1.27` to `kubectl.1.33`, or else a
/// `kubectl` that is one of these.
pub fn installed() -> BTreeMap<Version, PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = env::split_paths(&path).chain([SDK.into()]).collect();
    let mut found = BTreeMap::new();
    for minor in TESTED {
        let name = format!("kubectl.1.{minor}");
        if let Some(binary) = dirs.iter().map(|dir| dir.join(&name)).find(|path| path.is_file()) {
            found.insert((1, minor), binary);
        }
    }
    if found.is_empty()
        && let Some(version) = version(Path::new("kubectl")).filter(|(_, minor)| TESTED.contains(minor))
    {
        found.insert(version, "kubectl".into());
    }
    found
}

/// Those to test with. A machine without any tests nothing, which must not look like success: an error, unless
/// `GANTRY_KUBECTL=any` takes the one on the PATH as it is.
pub fn to_test_with() -> Result<BTreeMap<Version, PathBuf>> {
    let found = installed();
    if !found.is_empty() {
        return Ok(found);
    }
    match (env::var("GANTRY_KUBECTL").as_deref(), version(Path::new("kubectl"))) {
        (Ok("any"), Some(version)) => Ok(BTreeMap::from([(version, "kubectl".into())])),
        (Ok("any"), None) => bail!("GANTRY_KUBECTL is \"any\", but there is no kubectl on the PATH"),
        _ => bail!(
            "there is no kubectl 1.27 to 1.33: put kubectl.1.27 to kubectl.1.33, or one of them as kubectl, on the PATH (the \
             Google Cloud SDK brings all), or set GANTRY_KUBECTL=any to test with the kubectl that is there"
        ),
    }
}

/// What a binary says of itself.
fn version(binary: &Path) -> Option<Version> {
    let output = Command::new(binary).args(["version", "--client", "-o", "json"]).output().ok()?;
    let answer: Value = serde_json::from_slice(&output.stdout).ok()?;
    let number = |field: &str| {
        let text = answer.pointer(&format!("/clientVersion/{field}"))?.as_str()?;
        text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok()
    };
    Some((number("major")?, number("minor")?))
}

impl Kubectl {
    /// The newest there is; the one on the PATH when no version is known.
    pub fn newest(kubeconfig: &Path) -> Self {
        let plain = || (version(Path::new("kubectl")).unwrap_or((1, 0)), "kubectl".into());
        let newest = installed().pop_last().unwrap_or_else(plain);
        Self::new(newest.0, newest.1, kubeconfig)
    }

    pub fn new(version: Version, binary: PathBuf, kubeconfig: &Path) -> Self {
        Self { version, binary, kubeconfig: kubeconfig.to_path_buf(), namespace: None }
    }

    /// The same, for a namespace.
    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..self.clone() }
    }

    /// The oldest and the newest of this machine, with the same kubeconfig and namespace.
    pub fn extremes(&self) -> Vec<Self> {
        let all = installed();
        let ends = [all.first_key_value(), all.last_key_value()];
        let other = |(version, binary): (&Version, &PathBuf)| Self {
            version: *version,
            binary: binary.clone(),
            ..self.clone()
        };
        // This one, where it was taken as it is.
        if all.is_empty() { vec![self.clone()] } else { ends.into_iter().flatten().map(other).collect() }
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// A command to which more can be added. It ends by itself when it hangs.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", PATIENCE]).arg(&self.binary).arg("--kubeconfig").arg(&self.kubeconfig);
        // What it remembers of one server must not reach the next at the same address.
        let cache = self.kubeconfig.with_file_name(format!("kubectl-{}.{}", self.version.0, self.version.1));
        command.arg("--cache-dir").arg(cache);
        if let Some(namespace) = &self.namespace {
            command.arg("--namespace").arg(namespace);
        }
        command.args(args);
        command
    }

    /// Runs it and gives its standard output; fails with its standard error.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        self.succeed(args, "")
    }

    /// The same with standard input.
    pub fn succeed(&self, args: &[&str], input: &str) -> Result<String> {
        let output = self.output(args, input)?;
        if !output.status.success() {
            bail!("{} failed ({}): {}", self.shown(args), output.status, all_of(&output));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs it, expects it to fail, and gives all that it says.
    pub fn fail(&self, args: &[&str], input: &str) -> Result<String> {
        let output = self.output(args, input)?;
        if output.status.success() {
            bail!("{} should have failed: {}", self.shown(args), all_of(&output));
        }
        Ok(all_of(&output))
    }

    /// Runs it and gives whatever came.
    pub fn output(&self, args: &[&str], input: &str) -> Result<Output> {
        let failed = || format!("can't run {}", self.shown(args));
        let piped = || Stdio::piped();
        let mut command = self.command(args);
        let mut child = command.stdin(piped()).stdout(piped()).stderr(piped()).spawn().with_context(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            // It may have ended without reading; what it printed says why.
            let _ = stdin.write_all(input.as_bytes());
        }
        child.wait_with_output().with_context(failed)
    }

    /// `get ... -o json`
    pub fn json(&self, args: &[&str]) -> Result<Value> {
        let text = self.run(&[args, &["-o", "json"]].concat())?;
        serde_json::from_str(&text).with_context(|| format!("{} gave no JSON", self.shown(args)))
    }

    /// Applies a manifest given as text.
    pub fn apply(&self, manifest: &str) -> Result<String> {
        self.succeed(&["apply", "-f", "-"], manifest)
    }

    fn shown(&self, args: &[&str]) -> String {
        format!("kubectl {}.{} {}", self.version.0, self.version.1, args.join(" "))
    }
}

fn all_of(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout))
}
