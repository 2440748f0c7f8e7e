//! `test` and `check`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result};
use clap::Args;
use gantry_tests::{Fleet, Pair, Stack};

use crate::shell;
use crate::{build, depend, fleet, packages, paths, python, reproduce, up};

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
    /// the stripped components, one of which must come out the same wherever it is built.
    pub fn run(&self) -> Result<()> {
        packages::install(&[packages::BUILD, packages::RUN, packages::TEST])?;
        packages::wasm_target()?;
        let path = python::path()?;
        if self.quick {
            build::plugins()?;
        } else {
            build::everything()?;
            reproduce::check()?;
        }
        let mut tests = cargo();
        if packages::on_path("cargo-nextest") {
            // .config/nextest.toml keeps tests that need the whole machine apart.
            tests.args(["nextest", "run"]);
        } else {
            // Binaries run one after another; there all tests are counted although some fail.
            tests.args(["test", "--no-fail-fast"]);
        }
        // The guests that the engine's tests load are components: they link for no other target.
        tests.args(["--workspace", "--exclude", "plugin-fixtures"]);
        if self.quick {
            tests.args(["--exclude", "gantry-tests"]);
        }
        tests.args(&self.rest);
        tests
            .env("PATH", path)
            .env("GANTRY_BIN", paths::gantry())
            .env("GANTRY_PLUGINS", paths::plugins())
            .env("GANTRY_BUNDLE", paths::pinned_bundle())
            .env("GANTRY_IMAGE", paths::image());
        let scratch = Scratch::new()?;
        tests.env("GANTRY_TEST_DIR", scratch.0.join("data")).env("GANTRY_TEST_CACHE", scratch.0.join("cache"));
        let outcome = shell::run(&mut tests);
        scratch.sweep()?;
        outcome
    }
}

#[derive(Args)]
pub struct Contract {
    /// Passed on: the component's file and options; `-- --help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    rest: Vec<OsString>,
}

impl Contract {
    pub fn run(&self) -> Result<()> {
        packages::install(&[packages::BUILD])?;
        // The whole workspace's features, so that tests have built the engine already.
        shell::run(cargo().args(["build", "--quiet", "--workspace", "--bin", "gantry-contract"]))?;
        // In the caller's folder: paths are the caller's.
        shell::run(Command::new(paths::target().join("debug/gantry-contract")).args(&self.rest))
    }
}

/// The folder in which end-to-end tests keep their data directories and what is compiled for them.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let dir = env::temp_dir().join(format!("gantry-tests-{}", std::process::id()));
        let data = dir.join("data");
        fs::create_dir_all(&data).with_context(|| format!("can't make {}", data.display()))?;
        Ok(Self(dir))
    }

    /// A test that was ended from outside could not stop what it had started. Its id files say what that is. Whatever
    /// fails, the rest is tried too.
    fn sweep(self) -> Result<()> {
        let mut outcome = Ok(());
        for entry in fs::read_dir(self.0.join("data"))? {
            let data = entry?.path();
            outcome =
                outcome.and(Self::stop(&data).with_context(|| format!("can't stop what is in {}", data.display())));
        }
        // What runs still needs its files, and whoever looks for it as well.
        outcome?;
        fs::remove_dir_all(&self.0).with_context(|| format!("can't remove {}", self.0.display()))
    }

    /// Fleets and pairs first: what they have of a stack, a containerd, is not all of it.
    fn stop(data: &Path) -> Result<()> {
        let say = || println!("stopping what a test left in {}", data.display());
        if let Some(left) = Fleet::find(fleet::options(data)) {
            say();
            return left.stop();
        }
        if let Some(left) = Pair::find(up::options(data)) {
            say();
            return left.stop();
        }
        let Some(left) = Stack::find(up::options(data)) else { return Ok(()) };
        say();
        left.stop()
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
