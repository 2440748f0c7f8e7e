//! Running other programs: quiet with a spinner when all goes well, their whole output when not.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

/// A step that takes a while, shown with a spinner on terminals and as one line elsewhere.
pub struct Step {
    bar: ProgressBar,
    what: String,
    begun: Instant,
}

impl Step {
    pub fn new(what: impl Into<String>) -> Self {
        let what = what.into();
        let bar = ProgressBar::new_spinner();
        bar.set_style(
            ProgressStyle::with_template("{spinner:.cyan} {msg} {elapsed:.dim}")
                .unwrap_or(ProgressStyle::default_spinner()),
        );
        bar.set_message(what.clone());
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar, what, begun: Instant::now() }
    }

    /// Shows what is being done right now.
    pub fn detail(&self, detail: &str) {
        self.bar.set_message(format!("{}: {detail}", self.what));
    }

    /// Ends the step well.
    pub fn done(self, outcome: &str) {
        self.bar.finish_and_clear();
        let outcome = if outcome.is_empty() { String::new() } else { format!(": {outcome}") };
        println!("✓ {}{outcome} ({:.1} s)", self.what, self.begun.elapsed().as_secs_f32());
    }
}

/// Runs a program with its output on the terminal; fails when it does.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("can't run {}", shown(command)))?;
    if !status.success() {
        bail!("{} failed: {status}", shown(command));
    }
    Ok(())
}

/// Runs a program quietly and gives its standard output; fails with all of its output when it does.
pub fn output(command: &mut Command) -> Result<String> {
    let out = captured(command)?;
    if !out.status.success() {
        bail!(
            "{} failed: {}\n{}{}",
            shown(command),
            out.status,
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

fn captured(command: &mut Command) -> Result<Output> {
    command.stdin(Stdio::null()).output().with_context(|| format!("can't run {}", shown(command)))
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
