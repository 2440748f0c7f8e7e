//! `test` and `check`.

use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::shell;
use crate::{build, packages, paths};

#[derive(Args)]
pub struct Test {
    /// Only tests that need no root and no containers.
    #[arg(long)]
    quick: bool,
    /// Passed on to the test runner: filters and options.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

impl Test {
    pub fn run(&self) -> Result<()> {
        packages::install(&[packages::BUILD, packages::RUN, packages::TEST])?;
        packages::wasm_target()?;
        if !self.quick {
            build::everything()?;
        }
        let mut tests = Command::new("cargo");
        tests.current_dir(paths::root());
        if packages::on_path("cargo-nextest") {
            tests.args(["nextest", "run"]);
        } else {
            tests.arg("test");
        }
        tests.arg("--workspace");
        if self.quick {
            tests.args(["--exclude", "gantry-tests"]);
        }
        tests.args(&self.rest);
        tests
            .env("GANTRY_BIN", paths::gantry())
            .env("GANTRY_PLUGINS", paths::plugins())
            .env("GANTRY_IMAGE", paths::image());
        shell::run(&mut tests)
    }
}

/// What every change must pass besides its tests.
pub fn check() -> Result<()> {
    let cargo = |args: &[&str]| shell::run(Command::new("cargo").current_dir(paths::root()).args(args));
    cargo(&["fmt", "--all", "--", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    cargo(&["doc", "--workspace", "--no-deps"])
}
