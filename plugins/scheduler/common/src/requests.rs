//! What a pod asks of a node.

use std::collections::BTreeMap;

use gantry_sdk::Result;
use gantry_sdk::api::{Container, PodSpec, Quantity, ResourceRequirements};

/// What Kubernetes takes for a container that asks for nothing, in scores only: a tenth of a core.
const UNASKED_CPU: i64 = 100;
/// The same for memory: 200 MiB.
const UNASKED_MEMORY: i64 = 200 << 20;
/// No single amount is larger, so that sums over a node's pods stay within an i64.
const MOST: u64 = 1 << 56;

/// Amounts of what every node has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Thousandths of a core.
    pub cpu: i64,
    /// Bytes.
    pub memory: i64,
    /// Bytes.
    pub storage: i64,
    /// A count.
    pub pods: i64,
}

/// What one pod of a class asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// What must be free.
    pub amounts: Amounts,
    /// Processor time for scores, never zero.
    pub score_cpu: i64,
    /// Memory for scores, never zero.
    pub score_memory: i64,
    /// Other resources by name. No zeros.
    pub extended: BTreeMap<String, i64>,
}

type List = BTreeMap<String, i64>;

impl Requests {
    /// By Kubernetes' rules: the containers and sidecars together, or the most that is needed while starting up, plus
    /// the overhead. A request for the pod as a whole, where given, takes the place of the containers' sum.
    pub fn of(spec: &PodSpec) -> Result<Self> {
        let mut asked = total(spec, |list| list)?;
        let mut scored = total(spec, |mut list| {
            list.entry("cpu".into()).or_insert(UNASKED_CPU);
            list.entry("memory".into()).or_insert(UNASKED_MEMORY);
            list
        })?;
        let mut take = |name: &str| asked.remove(name).unwrap_or_default();
        let amounts = Amounts { cpu: take("cpu"), memory: take("memory"), storage: take("ephemeral-storage"), pods: 1 };
        asked.retain(|_, amount| *amount > 0);
        let mut score = |name: &str| scored.remove(name).unwrap_or_default();
        Ok(Requests { amounts, score_cpu: score("cpu"), score_memory: score("memory"), extended: asked })
    }
}

/// The pod's requests, with each container's list passed through `fill` first.
fn total(spec: &PodSpec, fill: impl Fn(List) -> List) -> Result<List> {
    let of = |container: &Container| amounts(container.resources.effective_requests()).map(&fill);
    let mut running = List::new();
    for container in &spec.containers {
        add(&mut running, &of(container)?);
    }
    let (mut sidecars, mut starting) = (List::new(), List::new());
    for container in &spec.init_containers {
        let mut now = of(container)?;
        if container.restart_policy == "Always" {
            add(&mut sidecars, &now);
            now = sidecars.clone();
        } else {
            add(&mut now, &sidecars);
        }
        most(&mut starting, &now);
    }
    add(&mut running, &sidecars);
    most(&mut running, &starting);
    if let Some(whole) = spec.other.get("resources") {
        let whole: ResourceRequirements = gantry_sdk::serde_json::from_value(whole.clone())?;
        running.extend(amounts(whole.effective_requests())?);
    }
    add(&mut running, &amounts(&spec.overhead)?);
    Ok(running)
}

fn amounts<'a>(list: impl IntoIterator<Item = (&'a String, &'a Quantity)>) -> Result<List> {
    let amount = |(name, quantity): (&'a String, &'a Quantity)| {
        let amount = if name == "cpu" { quantity.milli() } else { quantity.value() };
        Ok((name.clone(), bounded(amount.map_err(|e| e.context(name))?)))
    };
    list.into_iter().map(amount).collect()
}

/// An amount as these tables keep it.
pub fn bounded(amount: u64) -> i64 {
    amount.min(MOST) as i64
}

fn add(sum: &mut List, more: &List) {
    for (name, amount) in more {
        let total = sum.entry(name.clone()).or_default();
        *total = total.saturating_add(*amount);
    }
}

fn most(greatest: &mut List, other: &List) {
    for (name, amount) in other {
        let most = greatest.entry(name.clone()).or_default();
        *most = (*most).max(*amount);
    }
}

#[cfg(test)]
mod tests {
    use gantry_sdk::json;
    use gantry_sdk::serde_json::{Value, from_value};

    use super::*;

    fn cpu(cpu: &str) -> Value {
        json!({"resources": {"requests": {"cpu": cpu}}})
    }

    fn sidecar(cpu: &str) -> Value {
        json!({"restartPolicy": "Always", "resources": {"requests": {"cpu": cpu}}})
    }

    #[test]
    fn init_containers_and_sidecars() {
        // (init containers, containers, thousandths of a core)
        let cases = [
            (vec![], vec![cpu("1"), cpu("500m")], 1_500),
            (vec![cpu("3")], vec![cpu("1")], 3_000),
            (vec![cpu("3"), cpu("2")], vec![cpu("1"), cpu("1")], 3_000),
            (vec![sidecar("1")], vec![cpu("1")], 2_000),
            (vec![sidecar("1"), cpu("2")], vec![cpu("1")], 3_000),
            (vec![cpu("2"), sidecar("1")], vec![cpu("500m")], 2_000),
            (vec![sidecar("1"), sidecar("1"), cpu("1")], vec![cpu("2")], 4_000),
        ];
        for (init, containers, expected) in cases {
            let spec: PodSpec = from_value(json!({"initContainers": init, "containers": containers})).unwrap();
            assert_eq!(Requests::of(&spec).unwrap().amounts.cpu, expected, "{init:?} {containers:?}");
        }
    }

    #[test]
    fn overhead_extended_resources_limits_and_whole_pods() {
        let spec: PodSpec = from_value(json!({
            "overhead": {"cpu": "10m", "memory": "1Mi"},
            "resources": {"requests": {"memory": "1Gi"}},
            "containers": [{"resources": {
                "limits": {"cpu": "2", "example.com/gpu": 2, "example.com/none": 0},
                "requests": {"cpu": "1", "memory": "64Mi", "ephemeral-storage": "1k"}}}],
        }))
        .unwrap();
        let requests = Requests::of(&spec).unwrap();
        let expected = Amounts { cpu: 1_010, memory: (1 << 30) + (1 << 20), storage: 1_000, pods: 1 };
        assert_eq!(requests.amounts, expected);
        assert_eq!(requests.extended, BTreeMap::from([("example.com/gpu".to_string(), 2)]));
    }

    #[test]
    fn nothing_asked_counts_something_in_scores_only() {
        let spec: PodSpec = from_value(json!({"containers": [{}, cpu("1")]})).unwrap();
        let requests = Requests::of(&spec).unwrap();
        assert_eq!((requests.amounts.cpu, requests.amounts.memory), (1_000, 0));
        assert_eq!((requests.score_cpu, requests.score_memory), (1_100, 400 << 20));
    }

    #[test]
    fn a_malformed_quantity_names_its_resource() {
        let spec: PodSpec = from_value(json!({"containers": [cpu("much")]})).unwrap();
        assert!(Requests::of(&spec).unwrap_err().message.contains("cpu"));
    }
}
