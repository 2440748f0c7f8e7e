//! The AWS command line, and botocore with strict eyes.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context, Result, bail, ensure};
use gantry_tests::Case;
use gantry_tests::stack::Options;
use serde_json::{Value, json};

/// The listener that the stock bundle names; the test has a network of its own.
const ENDPOINT: &str = "http://127.0.0.1:8086";
/// An access key, and its secret key.
pub const KEY: &str = "AKIAGANTRYTESTKEY000";
const SECRET: &str = "gantry/test+secret+key";

/// How the stock bundle has it.
const CONTROLLER: &str = "name = \"controller-ecs\"\ngrants = \"asked\"\n";
/// The last line of that.
const METADATA: &str = "metadata = \"169.254.170.2:80\"\n";

/// What serves Frontends of the class `cluster`.
const BALANCER: &str = r#"
[[plugin]]
name = "load-balancer-nftables"
grants = "asked"
[plugin.config]
service-ranges = ["10.96.0.0/16"]
"#;

/// Starts with the bundle for ECS.
pub fn bundle(options: &mut Options) -> Result<()> {
    bundle_named(options, "ecs.toml")
}

/// Starts with a bundle of the repository.
pub fn bundle_named(options: &mut Options, name: &str) -> Result<()> {
    bundle_with(options, name, "")
}

/// The same with another entry.
pub fn bundle_with(options: &mut Options, name: &str, entries: &str) -> Result<()> {
    // A rollout need not wait as long for what is well.
    let own = format!("{CONTROLLER}[plugin.config]\n{METADATA}healthy-after-seconds = 3\n");
    bundle_from(options, name, &own, entries)
}

/// The same with this in the place of its entry for `controller-ecs`.
pub fn bundle_from(options: &mut Options, name: &str, own: &str, entries: &str) -> Result<()> {
    let stock = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../plugins/bundles").join(name);
    let source = options.data.join("source.toml");
    let text = fs::read_to_string(&stock).with_context(|| format!("can't read {}", stock.display()))?;
    let parts = text.split_once(CONTROLLER).and_then(|(before, rest)| Some((before, rest.split_once(METADATA)?.1)));
    let (before, after) = parts.with_context(|| format!("{} has another controller-ecs", stock.display()))?;
    let text = format!("{before}{own}{after}");
    let more = if text.contains("\"load-balancer-nftables\"") { "" } else { BALANCER };
    fs::write(&source, format!("{text}{more}{entries}"))?;
    options.bundle = options.data.join("bundle.toml");
    let mut pin = Command::new(&options.gantry);
    pin.args(["bundle", "pin"]).arg(source).arg("--plugins").arg(&options.plugins).arg("--output").arg(&options.bundle);
    let pinned = pin.output().context("can't run gantry bundle pin")?;
    ensure!(pinned.status.success(), "{}", String::from_utf8_lossy(&pinned.stderr));
    Ok(())
}

/// Gives the access key.
pub fn key(case: &Case) -> Result<()> {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ecs-access-keys", "namespace": "kube-system"},
        "stringData": {KEY: SECRET},
    });
    apply(case, "kube-system", &secret)
}

/// Applies an object in another namespace than the case's own.
pub fn apply(case: &Case, namespace: &str, object: &Value) -> Result<()> {
    fs::write(file(case), object.to_string())?;
    let applied = case.line(&format!("-n {namespace} apply -f {}", file(case).display())).map(drop);
    fs::remove_file(file(case))?;
    applied
}

fn file(case: &Case) -> PathBuf {
    std::env::temp_dir().join(format!("gantry-{}-{}.json", case.namespace, std::process::id()))
}

/// A caller.
#[derive(Clone)]
pub struct Aws {
    key: String,
    secret: String,
    region: String,
}

impl Aws {
    /// With the key that opens.
    pub fn new(case: &Case) -> Result<Self> {
        key(case)?;
        Ok(Self { key: KEY.to_owned(), secret: SECRET.to_owned(), region: "us-east-1".to_owned() })
    }

    /// The same with another key.
    pub fn with_key(&self, key: &str, secret: &str) -> Self {
        Self { key: key.to_owned(), secret: secret.to_owned(), ..self.clone() }
    }

    /// The same in another region.
    pub fn in_region(&self, region: &str) -> Self {
        Self { region: region.to_owned(), ..self.clone() }
    }

    /// What a command answers, as JSON; null when it says nothing.
    pub fn ok(&self, line: &str) -> Result<Value> {
        let output = self.run(line)?;
        if !output.status.success() {
            bail!("aws ecs {line}: {}", String::from_utf8_lossy(&output.stderr));
        }
        if output.stdout.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&output.stdout).with_context(|| format!("aws ecs {line}"))
    }

    /// What a command that must fail says.
    pub fn fail(&self, line: &str) -> Result<String> {
        let output = self.run(line)?;
        ensure!(!output.status.success(), "aws ecs {line} did not fail: {}", String::from_utf8_lossy(&output.stdout));
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Calls an operation through botocore, and fails when the answer has a member that its model does not know.
    pub fn strictly(&self, operation: &str, input: &Value) -> Result<Value> {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/ecs/strict.py");
        let mut python = Command::new("python3");
        python.arg(script).args([ENDPOINT, operation, &input.to_string()]);
        let output = self.environment(&mut python).output().context("can't run python3, which needs botocore")?;
        if !output.status.success() {
            bail!("{operation} {input}: {}", String::from_utf8_lossy(&output.stderr));
        }
        serde_json::from_slice(&output.stdout).with_context(|| operation.to_owned())
    }

    /// A line of words; what follows `--cli-input-json` is one of them.
    fn run(&self, line: &str) -> Result<Output> {
        let (words, input) = match line.split_once(" --cli-input-json ") {
            Some((words, input)) => (words, Some(input)),
            None => (line, None),
        };
        let mut aws = Command::new("aws");
        aws.args(["--endpoint-url", ENDPOINT, "--output", "json", "ecs"]).args(words.split_whitespace());
        if let Some(input) = input {
            aws.args(["--cli-input-json", input]);
        }
        self.environment(&mut aws).output().context("can't run aws: install the package awscli")
    }

    fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("AWS_ACCESS_KEY_ID", &self.key)
            .env("AWS_SECRET_ACCESS_KEY", &self.secret)
            .env("AWS_DEFAULT_REGION", &self.region)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_MAX_ATTEMPTS", "1")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env_remove("AWS_SESSION_TOKEN")
            .env_remove("AWS_PROFILE")
    }
}
