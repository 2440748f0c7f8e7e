//! `test` and `check`.

use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::shell;
use crate::{build, depend, packages, paths};

#[derive(Args)]
pub struct Test {
    /// Leave out the end-to-end tests: no host is built, no containerd is started.
    #[arg(long)]
    quick: bool,
    /// Passed on to the test runner: filters and options.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

impl Test {
    /// Unit tests run as cargo's dev profile builds them. End-to-end tests run what users run: the release binary and
    /// the stripped components, built once.
    pub fn run(&self) -> Result<()> {
        packages::install(&[packages::BUILD, packages::RUN, packages::TEST])?;
        packages::wasm_target()?;
        if self.quick {
            build::plugins()?;
        } else {
            build::everything()?;
        }
        let mut tests = cargo();
        if packages::on_path("cargo-nextest") {
            // .config/nextest.toml keeps tests that need the whole machine apart.
            tests.args(["nextest", "run"]);
        } else {
            // Binaries run one after another; there all tests are counted although some fail.
            tests.args(["test", "--no-fail-fast"]);
        }
        tests.arg("--workspace");
        if self.quick {
            tests.args(["--exclude", "gantry-tests"]);
        }
        tests.args(&self.rest);
        tests
            .env("GANTRY_BIN", paths::gantry())
            .env("GANTRY_PLUGINS", paths::plugins())
            .env("GANTRY_BUNDLE", paths::pinned_bundle())
            .env("GANTRY_IMAGE", paths::image());
        shell::run(&mut tests)
    }
}

/// What every change must pass besides its tests.
pub fn check() -> Result<()> {
    packages::install(&[packages::BUILD])?;
    shell::run(cargo().args(["fmt", "--all", "--", "--check"]))?;
    depend::check()?;
    shell::run(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    shell::run(cargo().args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
}

fn cargo() -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(paths::root());
    cargo
}
