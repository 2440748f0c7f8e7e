//! Codes for why a node is refused, and their texts in Kubernetes' words.

use std::collections::BTreeMap;

/// Bits of what is short; a mask of them is a code by itself.
pub const SHORT_PODS: u16 = 1;
pub const SHORT_CPU: u16 = 2;
pub const SHORT_MEMORY: u16 = 4;
pub const SHORT_STORAGE: u16 = 8;

/// The host's table is ahead of this one.
pub const UNKNOWN_NODE: u16 = 0;
pub const UNSCHEDULABLE: u16 = 16;
pub const NODE_AFFINITY: u16 = 18;
pub const PORTS: u16 = 19;
/// For when there are more different texts than codes.
const OTHER_TAINTS: u16 = 20;
const OTHER_RESOURCES: u16 = 21;
const OTHER_UNREADABLE: u16 = 22;
const OTHER: u16 = 23;
const FIRST_FREE: u16 = 32;

/// Texts that name taints or extended resources get codes as they occur.
#[derive(Debug, Default)]
pub struct Reasons {
    texts: Vec<Vec<String>>,
    codes: BTreeMap<Vec<String>, u16>,
}

impl Reasons {
    /// The code for an untolerated taint.
    pub fn taint(&mut self, key: &str, value: &str) -> u16 {
        self.code(vec![format!("node(s) had untolerated taint {{{key}: {value}}}")], OTHER_TAINTS)
    }

    /// The code for a shortage that includes extended resources.
    pub fn short(&mut self, mask: u16, extended: &[&str]) -> u16 {
        let names = extended.iter().map(|name| format!("Insufficient {name}"));
        self.code(shortages(mask).into_iter().chain(names).collect(), OTHER_RESOURCES)
    }

    /// The code for a pod of which something can't be read.
    pub fn unreadable(&mut self, why: &str) -> u16 {
        self.code(vec![format!("node(s) can't take a pod whose spec can't be read: {why}")], OTHER_UNREADABLE)
    }

    /// The code for a text of a policy's own.
    pub fn other(&mut self, text: String) -> u16 {
        self.code(vec![text], OTHER)
    }

    fn code(&mut self, texts: Vec<String>, when_full: u16) -> u16 {
        if let Some(code) = self.codes.get(&texts) {
            return *code;
        }
        let Some(code) = u16::try_from(self.texts.len()).ok().and_then(|n| n.checked_add(FIRST_FREE)) else {
            return when_full;
        };
        self.texts.push(texts.clone());
        self.codes.insert(texts, code);
        code
    }

    /// The texts behind a code.
    pub fn texts(&self, code: u16) -> Vec<String> {
        let one = |text: &str| vec![text.to_string()];
        match code {
            UNKNOWN_NODE => one("node(s) were not known to the scheduler"),
            mask @ 1..UNSCHEDULABLE => shortages(mask),
            UNSCHEDULABLE => one("node(s) were unschedulable"),
            NODE_AFFINITY => one("node(s) didn't match Pod's node affinity/selector"),
            PORTS => one("node(s) didn't have free ports for the requested pod ports"),
            OTHER_TAINTS => one("node(s) had untolerated taints"),
            OTHER_UNREADABLE => one("node(s) can't take a pod whose spec can't be read"),
            OTHER_RESOURCES => one("Insufficient extended resources"),
            OTHER => one("node(s) were refused by a constraint of the pod"),
            code => {
                let known = code.checked_sub(FIRST_FREE).and_then(|n| self.texts.get(usize::from(n)));
                known.cloned().unwrap_or_else(|| one("node(s) were refused for a reason that is not known any more"))
            }
        }
    }
}

fn shortages(mask: u16) -> Vec<String> {
    let texts = [
        (SHORT_PODS, "Too many pods"),
        (SHORT_CPU, "Insufficient cpu"),
        (SHORT_MEMORY, "Insufficient memory"),
        (SHORT_STORAGE, "Insufficient ephemeral-storage"),
    ];
    texts.into_iter().filter(|(bit, _)| mask & bit != 0).map(|(_, text)| text.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_stable_and_say_what_they_mean() {
        let mut reasons = Reasons::default();
        let gpu = reasons.taint("gpu", "yes");
        assert_eq!(gpu, reasons.taint("gpu", "yes"));
        assert_ne!(gpu, reasons.taint("gpu", "no"));
        assert_eq!(reasons.texts(gpu), ["node(s) had untolerated taint {gpu: yes}"]);
        let short = reasons.short(SHORT_CPU, &["example.com/gpu"]);
        assert_eq!(reasons.texts(short), ["Insufficient cpu", "Insufficient example.com/gpu"]);
        assert_eq!(reasons.texts(SHORT_CPU | SHORT_PODS), ["Too many pods", "Insufficient cpu"]);
    }

    #[test]
    fn codes_never_run_out() {
        let mut reasons = Reasons::default();
        for n in 0..70_000 {
            let code = reasons.taint("key", &n.to_string());
            assert!(!reasons.texts(code).is_empty());
        }
        assert_eq!(reasons.texts(u16::MAX), ["node(s) had untolerated taint {key: 65503}"]);
    }
}
