//! kubectl, any version, with a kubeconfig.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// A kubectl binary and a kubeconfig.
#[derive(Clone, Debug)]
pub struct Kubectl {
    binary: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    /// The kubectl on the PATH.
    pub fn new(kubeconfig: &Path) -> Self {
        Self::with_binary("kubectl".into(), kubeconfig)
    }

    pub fn with_binary(binary: PathBuf, kubeconfig: &Path) -> Self {
        Self { binary, kubeconfig: kubeconfig.to_path_buf() }
    }

    /// A command to which more can be added.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(args);
        command
    }

    /// Runs it and gives its standard output; fails with its standard error.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        let output = self.output(args)?;
        if !output.status.success() {
            bail!(
                "kubectl {} failed ({}): {}{}",
                args.join(" "),
                output.status,
                String::from_utf8_lossy(&output.stderr),
                String::from_utf8_lossy(&output.stdout)
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs it and gives whatever came.
    pub fn output(&self, args: &[&str]) -> Result<Output> {
        self.command(args).output().with_context(|| format!("can't run {}", self.binary.display()))
    }

    /// `get ... -o json`
    pub fn json(&self, args: &[&str]) -> Result<Value> {
        let text = self.run(&[args, &["-o", "json"]].concat())?;
        serde_json::from_str(&text).with_context(|| format!("kubectl {} gave no JSON", args.join(" ")))
    }

    /// Applies a manifest given as text.
    pub fn apply(&self, manifest: &str) -> Result<String> {
        let mut file = tempfile::NamedTempFile::new()?;
        std::io::Write::write_all(&mut file, manifest.as_bytes())?;
        self.run(&["apply", "-f", &file.path().to_string_lossy()])
    }
}
