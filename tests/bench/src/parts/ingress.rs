//! The node's proxy: a program without a host around it measures it and prints lines.

use std::process::{Command, Stdio};

use anyhow::Result;

use super::{Bench, printed};
use crate::report::Section;

pub const TITLE: &str = "HTTP through the node's proxy";

pub fn measure(bench: &Bench, section: &mut Section) -> Result<()> {
    let there =
        |program: &str| Command::new(program).arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !there("nginx") || !there("wrk") {
        section.text("Not measured: `nginx` and `wrk` (Debian: nginx-light, wrk) are not installed.");
        return Ok(());
    }
    let seconds = bench.seconds.max(1.0).round();
    section.text(&format!(
        "`wrk` with two threads on one machine with all else (`tests/bench/src/bin/ingress`): an answer of six bytes by nginx, \
         asked directly, through the proxy by one rule for a host, and through nginx as a proxy with two workers. Both keep \
         connections to the same two backends. In turns, the median of {} runs of {seconds} s.",
        bench.runs,
    ));
    let program = bench.target.join("release/gantry-bench-ingress");
    section.text(&printed(Command::new(program).arg(bench.runs.to_string()).arg(seconds.to_string()))?);
    Ok(())
}
