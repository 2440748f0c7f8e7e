//! AWS on loopback: `moto_server`, and the AWS CLI as witness of what it has.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::suite::patience;
use crate::{Process, wait_for};

/// A `moto_server` of this test alone, at a port that nobody else has. It ends with the test.
pub struct Moto {
    folder: TempDir,
    server: Option<Process>,
    port: u16,
    region: &'static str,
}

impl Drop for Moto {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.server.take().map(|server| server.stop(Duration::from_secs(10))) {
            eprintln!("can't stop moto_server: {error:#}");
        }
    }
}

impl Moto {
    /// Starts one in this thread's network, at every loopback address.
    pub fn start(region: &'static str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new("moto_server");
        command.args(["-H", "0.0.0.0", "-p", "0"]).current_dir(folder.path());
        command.env("MOTO_RECORDER_FILEPATH", folder.path().join("recording"));
        let server = Process::start(folder.path(), "moto", &mut command).context("pip install 'moto[server]'")?;
        let mut moto = Self { folder, server: Some(server), port: 0, region };
        // It listens when it says at which port.
        moto.port = wait_for("moto_server to say where it listens", patience(), || {
            if let Err(ended) = moto.server.as_mut().map_or(Ok(()), Process::check) {
                return Ok(Err(ended));
            }
            said_port(&moto.log()).context("it does not").map(Ok)
        })??;
        fs::write(moto.keys(), "[default]\naws_access_key_id = AKIDTEST\naws_secret_access_key = s3cret\n")?;
        Ok(moto)
    }

    /// A folder for files, which the AWS CLI runs in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file with the access key, as `~/.aws/credentials`.
    pub fn keys(&self) -> PathBuf {
        self.folder().join("keys")
    }

    pub fn region(&self) -> &'static str {
        self.region
    }

    pub fn endpoint(&self) -> String {
        self.endpoint_at(Ipv4Addr::LOCALHOST)
    }

    /// The same at another loopback address: what is told apart by its endpoint can each have one.
    pub fn endpoint_at(&self, address: Ipv4Addr) -> String {
        format!("http://{address}:{}", self.port)
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder().join("moto.log")).unwrap_or_default()
    }

    /// What the AWS CLI says.
    pub fn aws(&self, args: &[&str]) -> Result<Value> {
        let done = Command::new("aws")
            .args(["--endpoint-url", &self.endpoint(), "--region", self.region, "--output", "json"])
            .args(args)
            .env("AWS_SHARED_CREDENTIALS_FILE", self.keys())
            .env("AWS_CONFIG_FILE", "/dev/null")
            .current_dir(self.folder())
            .output()
            .context("can't run aws: pip install awscli")?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "aws {}: {said}\n{}", args.join(" "), self.log());
        Ok(serde_json::from_slice(&done.stdout).unwrap_or_default())
    }

    /// A list of an answer.
    pub fn list(&self, args: &[&str], field: &str) -> Result<Vec<Value>> {
        Ok(self.aws(args)?.get(field).and_then(Value::as_array).cloned().unwrap_or_default())
    }
}

/// Of a line ` * Running on http://127.0.0.1:40405`, once it is whole.
fn said_port(log: &str) -> Option<u16> {
    let (_, rest) = log.split_once("Running on http://127.0.0.1:")?;
    rest.split_once('\n')?.0.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_read_once_its_line_is_whole() {
        let all = " * Running on all addresses (0.0.0.0)\n * Running on http://127.0.0.1:40405\n * Running on http://10.0.0.1:1\n";
        assert_eq!(said_port(all), Some(40405));
        assert_eq!((said_port(" * Running on http://127.0.0.1:404"), said_port("")), (None, None));
    }
}
