//! Instructions of hot paths, counted by callgrind: they hardly depend on what else the machine does.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Bench, progress};
use crate::report::{Section, Table};

pub const TITLE: &str = "Instructions";

/// A path, what one of it is, and how often it is taken in the shorter and in the longer of two runs.
const PATHS: [(&str, &str, u32, u32); 5] = [
    ("put", "create a ConfigMap of 1 KB: validate, write, flush", 100, 600),
    ("get", "read it, to the bytes of the answer", 1_000, 11_000),
    ("fan-out", "create it, with 100 watchers that see it", 100, 600),
    ("place", "create a pod, place it on one of 1,000 nodes (native policy), bind it", 50, 150),
    ("reconcile", "create a ConfigMap, map it to a key, call a controller that does nothing", 100, 600),
];

pub fn measure(bench: &Bench, section: &mut Section) -> Result<()> {
    if !Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success()) {
        progress("there is no valgrind: instructions are not counted (`apt-get install valgrind`)");
        section.text("Not measured: there was no valgrind.");
        return Ok(());
    }
    section.text(
        "Counted by `valgrind --tool=callgrind` in `gantry-bench-counts` (`tests/bench/src/bin/counts`): the difference of \
         two runs, divided by how much oftener the second took the path. All tasks share one thread, which is counted. The \
         store's writer and sled have threads of their own, which are not: sled's spin while they wait.",
    );
    let program = bench.target.join("release/gantry-bench-counts");
    let folder = bench.data("counts")?;
    let mut table = Table::new(&["path", "instructions each"]);
    for (path, meaning, few, many) in PATHS {
        progress(path);
        let (less, more) = (count(&program, &folder, path, few)?, count(&program, &folder, path, many)?);
        let each = more.saturating_sub(less) / u64::from(many - few);
        table.row(&[&format!("`{path}`: {meaning}"), &grouped(each)]);
    }
    section.table(table);
    Ok(())
}

/// Instructions of the first thread in one run.
fn count(program: &Path, folder: &Path, path: &str, times: u32) -> Result<u64> {
    let out = folder.join(format!("{path}-{times}"));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--separate-threads=yes"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg("--")
        .arg(program)
        .args([path, &times.to_string()])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{path} failed under callgrind: {said}");
    let first = folder.join(format!("{path}-{times}-01"));
    let counted = fs::read_to_string(&first).with_context(|| format!("can't read {}", first.display()))?;
    total(&counted).with_context(|| format!("{} does not say how much was counted", first.display()))
}

/// `totals: 1234`
fn total(counted: &str) -> Option<u64> {
    counted.lines().rev().find_map(|line| line.strip_prefix("totals:")?.trim().parse().ok())
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_callgrind_says() {
        let counted = "thread: 1\nevents: Ir\nfn=(1) main\n10 7\n\ntotals: 1234567\n";
        assert_eq!((total(counted), total("events: Ir\n")), (Some(1_234_567), None));
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
