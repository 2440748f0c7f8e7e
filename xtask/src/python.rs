//! What tests need from PyPI: servers that no distribution packages.

use std::ffi::OsString;
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result};

use crate::packages::{self, Need, need};
use crate::paths;
use crate::shell::{self, Step};

/// Programs, and what installs them.
const TOOLS: &[(&str, &str)] = &[("moto_server", "moto[server]")];
const PYTHON: &[Need] = &[need("python3", "python3")];

/// Installs what is missing into a virtual environment in the target folder, and says what. The answer is the PATH that has
/// all of it.
pub fn path() -> Result<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    let missing: Vec<_> = TOOLS.iter().filter(|(program, _)| !packages::on_path(program)).collect();
    if missing.is_empty() {
        return Ok(path);
    }
    let (folder, bin) = (paths::target().join("python"), paths::target().join("python/bin"));
    if missing.iter().any(|(program, _)| !bin.join(program).is_file()) {
        packages::install(&[PYTHON])?;
        if shell::output(Command::new("python3").args(["-m", "ensurepip", "--version"])).is_err() {
            // Debian keeps this part of Python in a package of its own.
            packages::fetch(&["python3-venv"])?;
        }
        let names: Vec<&str> = missing.iter().map(|(_, name)| *name).collect();
        let step = Step::new(format!("install {} from PyPI", names.join(" ")));
        fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
        shell::output(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        shell::output(Command::new(bin.join("pip")).args(["install", "--quiet"]).args(&names))?;
        step.done("");
    }
    // Behind all others: only what is missing comes from here.
    let folders = env::split_paths(&path).chain([bin]);
    env::join_paths(folders).context("a folder of PATH has a colon in its name")
}
