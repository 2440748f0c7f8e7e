//! A placement policy in the test's own process: resources fit, least used first. It holds the host to the contract: a
//! delta that can't be true makes it panic.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use gantry_model::quantity::Quantity;
use gantry_plugin::family::scheduler::{Assignment, Delta, Dependency, Node, Policy, Question, Verdict};
use gantry_plugin::family::{Call, Error, ErrorCode, RetryHint};
use gantry_plugin::{Fault, Finding, Scheduler};
use serde_json::Value;

const CPU: u16 = 1;
const PODS: u16 = 2;
const CORDON: u16 = 3;
const CROWDED: u16 = 4;

/// What a policy is to do wrong, and what it has seen.
#[derive(Default)]
pub struct Script {
    /// So many calls of `evaluate` from now on fault.
    pub faults: u32,
    /// So many answer with a verdict too few.
    pub nonsense: u32,
    /// Classes that ask for so many thousandths of a core are refused, with everything told together with them.
    pub unreadable: Option<u64>,
    /// Questions about classes that ask for so many fault.
    pub deadly: Option<u64>,
    pub resets: u32,
    pub evaluated: usize,
    /// Questions about more than this many nodes are counted here.
    pub broad: usize,
}

pub struct Fit {
    pub script: Arc<Mutex<Script>>,
    pub depends_on: Dependency,
    /// With a domain: at most this many pods in each.
    pub most_per_domain: Option<i32>,
    alive: bool,
    nodes: BTreeMap<u32, Node>,
    classes: HashMap<u32, u64>,
    pods: HashMap<u32, BTreeMap<u32, i32>>,
}

impl Fit {
    pub fn new() -> (Self, Arc<Mutex<Script>>) {
        let script = Arc::new(Mutex::new(Script::default()));
        let fit = Self {
            script: script.clone(),
            depends_on: Dependency::Node,
            most_per_domain: None,
            alive: false,
            nodes: BTreeMap::new(),
            classes: HashMap::new(),
            pods: HashMap::new(),
        };
        (fit, script)
    }

    fn take(&mut self, delta: &Delta) {
        match delta {
            Delta::NodeSet(node) => {
                let old = self.nodes.insert(node.id, node.clone());
                assert!(old.is_none_or(|old| old.name == node.name), "a node's number was given to {}", node.name);
            }
            Delta::NodeGone(id) => {
                assert!(self.nodes.remove(id).is_some(), "node {id} is gone that never was");
                self.pods.remove(id);
            }
            Delta::ClassSet(class) => {
                let spec: Value = serde_json::from_slice(&class.spec).unwrap();
                let old = self.classes.insert(class.id, milli(&spec));
                assert!(old.is_none(), "class {} is set while it is there", class.id);
            }
            Delta::ClassGone(id) => {
                assert!(self.classes.remove(id).is_some(), "class {id} is gone that never was");
                assert!(self.pods.values().all(|on| !on.contains_key(id)), "class {id} is gone and has pods");
            }
            Delta::Assign(Assignment { node, class, count }) => {
                assert!(self.nodes.contains_key(node), "pods on node {node}, which is not there");
                assert!(self.classes.contains_key(class), "pods of class {class}, which is not there");
                let on = self.pods.entry(*node).or_default();
                let pods = on.entry(*class).or_default();
                *pods += count;
                assert!(*pods >= 0, "{pods} pods of class {class} on node {node}");
                if *pods == 0 {
                    on.remove(class);
                }
            }
        }
    }

    fn judge(&self, class: u32, id: u32) -> Verdict {
        let node = self.nodes.get(&id).expect("asked about a node that is not there");
        let wanted = *self.classes.get(&class).expect("asked about a class that is not there");
        let (mut used, mut count) = (0, 0);
        for (class, pods) in self.pods.get(&id).into_iter().flatten() {
            let pods = u64::try_from(*pods).unwrap();
            used += self.classes[class] * pods;
            count += pods;
        }
        if node.unschedulable {
            Verdict::Infeasible(CORDON)
        } else if count >= u64::from(node.allocatable.pods) {
            Verdict::Infeasible(PODS)
        } else if used + wanted > node.allocatable.cpu_milli {
            Verdict::Infeasible(CPU)
        } else if self.most_per_domain.is_some_and(|most| self.in_domain(node) >= most) {
            Verdict::Infeasible(CROWDED)
        } else {
            Verdict::Score(
                u32::try_from(10_000 - 10_000 * (used + wanted) / node.allocatable.cpu_milli.max(1)).unwrap(),
            )
        }
    }

    fn in_domain(&self, node: &Node) -> i32 {
        let zone = |node: &Node| node.labels.iter().find(|l| l.key == "zone").map(|l| l.value.clone());
        let same = self.nodes.values().filter(|other| zone(other) == zone(node));
        same.filter_map(|other| self.pods.get(&other.id)).flat_map(BTreeMap::values).sum()
    }
}

fn milli(class: &Value) -> u64 {
    let containers = class["spec"]["containers"].as_array().cloned().unwrap_or_default();
    let cpu = |c: &Value| c["resources"]["requests"]["cpu"].as_str().and_then(|q| q.parse::<Quantity>().ok());
    containers.iter().filter_map(cpu).map(|q| u64::try_from(q.milli()).unwrap()).sum()
}

fn fault(finding: Finding) -> Fault {
    Fault { plugin: "fit".into(), version: "0".into(), call: "scheduler.evaluate".into(), finding }
}

#[async_trait]
impl Scheduler for Fit {
    async fn reset(&mut self) -> Call<Result<Policy, Error>> {
        self.script.lock().unwrap().resets += 1;
        (self.nodes, self.classes, self.pods) = Default::default();
        self.alive = true;
        Ok(Ok(Policy { depends_on: vec![self.depends_on.clone()] }))
    }

    async fn sync(&mut self, deltas: &[Delta]) -> Call<Result<(), Error>> {
        assert!(self.alive, "told something after a fault and before a reset");
        let unreadable = self.script.lock().unwrap().unreadable;
        for delta in deltas {
            if let Delta::ClassSet(class) = delta
                && Some(milli(&serde_json::from_slice(&class.spec).unwrap())) == unreadable
            {
                self.alive = false;
                let message = "the class can't be read".to_owned();
                return Ok(Err(Error { code: ErrorCode::Invalid, message, retry: RetryHint::Never }));
            }
            self.take(delta);
        }
        Ok(Ok(()))
    }

    async fn evaluate(&mut self, questions: &[Question]) -> Call<Result<Vec<Vec<Verdict>>, Error>> {
        assert!(self.alive, "asked after a fault and before a reset");
        let mut script = self.script.lock().unwrap();
        if script.faults > 0 {
            script.faults -= 1;
            self.alive = false;
            return Err(fault(Finding::Deadline(1)));
        }
        if questions.iter().any(|question| self.classes.get(&question.class).copied() == script.deadly) {
            self.alive = false;
            return Err(fault(Finding::Deadline(1)));
        }
        let cut = script.nonsense > 0;
        script.nonsense -= u32::from(cut);
        let mut answers = Vec::new();
        for question in questions {
            assert!(!question.nodes.is_empty());
            script.evaluated += question.nodes.len();
            script.broad += usize::from(question.nodes.len() > 2);
            let mut verdicts: Vec<Verdict> =
                question.nodes.iter().map(|node| self.judge(question.class, *node)).collect();
            if cut {
                verdicts.pop();
            }
            answers.push(verdicts);
        }
        Ok(Ok(answers))
    }

    async fn reasons(&mut self, codes: &[u16]) -> Call<Vec<Vec<String>>> {
        let text = |code: &u16| match *code {
            CPU => "Insufficient cpu",
            PODS => "Too many pods",
            CORDON => "node(s) were unschedulable",
            CROWDED => "node(s) had too many pods in their zone",
            other => panic!("asked about code {other}"),
        };
        Ok(codes.iter().map(|code| vec![text(code).to_owned()]).collect())
    }
}
