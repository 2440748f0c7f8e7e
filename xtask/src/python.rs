//! What tests need from PyPI: servers and clients that not every distribution packages.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::packages::{self, Need, need};
use crate::paths;
use crate::shell::{self, Step};

/// Programs that tests start.
const PROGRAMS: &[&str] = &["aws", "moto_server"];
/// What brings them, and the module that tests import (`botocore`).
const PACKAGES: &[&str] = &["awscli==1.45.11", "moto[server]==5.2.1"];
const PYTHON: &[Need] = &[need("python3", "python3")];

/// The PATH with all of it. What is missing is installed into a virtual environment in the target folder.
pub fn path() -> Result<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    if PROGRAMS.iter().all(|program| packages::on_path(program)) && imports(Path::new("python3")) {
        return Ok(path);
    }
    let folder = paths::target().join("python");
    let bin = folder.join("bin");
    if !PROGRAMS.iter().all(|program| bin.join(program).is_file()) {
        packages::install(&[PYTHON])?;
        if shell::output(Command::new("python3").args(["-m", "ensurepip", "--version"])).is_err() {
            // Debian keeps this part of Python in a package of its own.
            packages::fetch(&["python3-venv"])?;
        }
        let step = Step::new(format!("install {} from PyPI", PACKAGES.join(" ")));
        shell::output(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        shell::output(Command::new(bin.join("pip")).args(["install", "--quiet"]).args(PACKAGES))?;
        step.done("");
    }
    // In front: its python3 is the one that can import them.
    env::join_paths([bin].into_iter().chain(env::split_paths(&path)))
        .context("a folder of PATH has a colon in its name")
}

fn imports(python: &Path) -> bool {
    shell::output(Command::new(python).args(["-c", "import botocore"])).is_ok()
}
