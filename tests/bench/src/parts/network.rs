//! The node's network: a program without a host around it measures it and prints lines.

use std::process::Command;

use anyhow::Result;

use super::{Bench, printed};
use crate::report::Section;

pub const TITLE: &str = "The node's network";

pub fn measure(bench: &Bench, section: &mut Section) -> Result<()> {
    section.text(&format!(
        "In a network namespace of its own (`tests/bench/src/bin/network`). Pods: 20 in each of {} turns, one after the other, \
         with `network-bridge` and with Debian's CNI plugins; ours makes the pod's network namespace as well and writes its \
         record to disk, CNI finds one made. Services: the endpoint's change is written to a store on disk; the node's \
         balancer, `load-balancer-nftables` and one transaction of `nft` later a client that tries again and again gets \
         through, or is refused.",
        bench.runs,
    ));
    let program = bench.target.join("release/gantry-bench-network");
    section.text(&printed(Command::new(program).arg(&bench.built.plugins).arg(bench.runs.to_string()))?);
    Ok(())
}
