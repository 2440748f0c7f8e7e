//! The same source gives the same component, byte for byte, wherever it lies.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::shell::{self, Step};
use crate::{build, paths};

/// Small, and with all that every component has in it: the SDK, bindings, serde.
const SAMPLE: &str = "sink-file";

/// Builds a component here and from a copy of the source in another folder, and compares the two. The one that was built
/// with all others does not count: cargo gives dependencies the features that all of what it builds asks for.
pub fn check() -> Result<()> {
    let step = Step::new(format!("build {SAMPLE} in two folders"));
    let folder = paths::target().join("reproduce");
    let elsewhere = folder.join("source");
    copy(&elsewhere)?;
    let built = |source: &Path, target: &str| {
        let target = folder.join(target);
        shell::output(&mut build::components(source, &target, &[SAMPLE]))?;
        Ok::<_, anyhow::Error>(build::component(&target, SAMPLE))
    };
    let (first, second) = (built(&paths::root(), "first")?, built(&elsewhere, "second")?);
    ensure!(
        read(&first)? == read(&second)?,
        "{} and {} come from the same source and differ: a path or a time got into one",
        first.display(),
        second.display()
    );
    step.done("the same bytes");
    Ok(())
}

/// All files of the repository, those not committed yet among them.
fn copy(to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to).with_context(|| format!("can't remove {}", to.display()))?;
    }
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let files = shell::output(Command::new("git").args(list).current_dir(paths::root()))?;
    for file in files.split('\0').filter(|file| !file.is_empty()) {
        let (from, to) = (paths::root().join(file), to.join(file));
        // Deleted, and that not committed yet.
        if !from.is_file() {
            continue;
        }
        fs::create_dir_all(to.parent().map(PathBuf::from).unwrap_or_default())?;
        fs::copy(&from, &to).with_context(|| format!("can't copy {}", from.display()))?;
    }
    Ok(())
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("can't read {}", file.display()))
}
