//! The table of pods: above all the one word that says how a pod is.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::age::human;
use super::cells::{age, at, list, name, or_none, text};
use super::{AGE, Column, NAME, column};

pub(super) const COLUMNS: &[Column] = &[
    NAME,
    column("Ready", "string", 0, "How many of the containers are ready."),
    column("Status", "string", 0, "How the pod is, in a word."),
    column("Restarts", "string", 0, "How often its containers were restarted, and when last."),
    AGE,
    column("IP", "string", 1, "The pod's address."),
    column("Node", "string", 1, "Where it runs."),
    column("Nominated Node", "string", 1, "Where it will run once others have made room."),
    column("Readiness Gates", "string", 1, "How many of its readiness gates are open."),
];

pub(super) fn row(pod: &Value, now: Timestamp) -> Vec<Value> {
    let summary = Summary::of(pod);
    let restarts = match summary.restarted {
        Some(at) if summary.restarts > 0 => format!("{} ({} ago)", summary.restarts, human(now.as_second() - at)),
        _ => summary.restarts.to_string(),
    };
    vec![
        name(pod),
        json!(format!("{}/{}", summary.ready, summary.total)),
        json!(summary.reason),
        json!(restarts),
        age(pod, now),
        or_none(address(pod)),
        or_none(text(pod, &["spec", "nodeName"])),
        or_none(text(pod, &["status", "nominatedNodeName"])),
        gates(pod),
    ]
}

fn address(pod: &Value) -> &str {
    let first = list(pod, &["status", "podIPs"]).first().map_or("", |ip| text(ip, &["ip"]));
    if first.is_empty() { text(pod, &["status", "podIP"]) } else { first }
}

fn condition<'a>(pod: &'a Value, type_: &str) -> Option<&'a Value> {
    list(pod, &["status", "conditions"]).iter().find(|c| text(c, &["type"]) == type_)
}

fn is_true(pod: &Value, type_: &str) -> bool {
    condition(pod, type_).is_some_and(|c| text(c, &["status"]) == "True")
}

fn gates(pod: &Value) -> Value {
    let gates = list(pod, &["spec", "readinessGates"]);
    if gates.is_empty() {
        return or_none("");
    }
    let open = gates.iter().filter(|g| is_true(pod, text(g, &["conditionType"]))).count();
    json!(format!("{open}/{}", gates.len()))
}

#[derive(Default)]
struct Summary {
    ready: usize,
    total: usize,
    restarts: i64,
    /// When a container was last restarted, in seconds since 1970.
    restarted: Option<i64>,
    reason: String,
}

impl Summary {
    fn of(pod: &Value) -> Self {
        let mut summary = Summary { reason: begin(pod), ..Summary::default() };
        let sidecars = list(pod, &["spec", "initContainers"]).iter().filter(|c| is_sidecar(c)).count();
        summary.total = list(pod, &["spec", "containers"]).len() + sidecars;
        let (initializing, sidecar_restarts) = summary.init_containers(pod);
        if !initializing || is_true(pod, "Initialized") {
            (summary.restarts, summary.restarted) = sidecar_restarts;
            summary.containers(pod);
        }
        if at(pod, &["metadata", "deletionTimestamp"]).is_some() {
            let over = matches!(text(pod, &["status", "phase"]), "Succeeded" | "Failed");
            if text(pod, &["status", "reason"]) == "NodeLost" {
                summary.reason = "Unknown".to_owned();
            } else if !over {
                summary.reason = "Terminating".to_owned();
            }
        }
        summary
    }

    fn count(&mut self, status: &Value) {
        self.restarts += at(status, &["restartCount"]).and_then(Value::as_i64).unwrap_or(0);
        self.restarted = self.restarted.max(last_end(status));
    }

    /// Whether init containers are still at work, and how often those that keep running were restarted.
    fn init_containers(&mut self, pod: &Value) -> (bool, (i64, Option<i64>)) {
        let specs = list(pod, &["spec", "initContainers"]);
        let sidecar = |name: &str| specs.iter().any(|c| text(c, &["name"]) == name && is_sidecar(c));
        let mut sidecars = Summary::default();
        for (n, status) in list(pod, &["status", "initContainerStatuses"]).iter().enumerate() {
            self.count(status);
            let sidecar = sidecar(text(status, &["name"]));
            if sidecar {
                sidecars.count(status);
            }
            let ended = at(status, &["state", "terminated"]);
            if ended.is_some_and(|t| exit_code(t) == 0) {
                continue;
            }
            if sidecar && at(status, &["started"]) == Some(&Value::Bool(true)) {
                self.ready += usize::from(at(status, &["ready"]) == Some(&Value::Bool(true)));
                continue;
            }
            let waiting = text(status, &["state", "waiting", "reason"]);
            self.reason = match ended {
                Some(ended) => format!("Init:{}", end_reason(ended)),
                None if !waiting.is_empty() && waiting != "PodInitializing" => format!("Init:{waiting}"),
                None => format!("Init:{n}/{}", specs.len()),
            };
            return (true, (sidecars.restarts, sidecars.restarted));
        }
        (false, (sidecars.restarts, sidecars.restarted))
    }

    fn containers(&mut self, pod: &Value) {
        let mut running = false;
        // From the last to the first, so that the first container that has a reason gives it.
        for status in list(pod, &["status", "containerStatuses"]).iter().rev() {
            self.count(status);
            let waiting = text(status, &["state", "waiting", "reason"]);
            if !waiting.is_empty() {
                self.reason = waiting.to_owned();
            } else if let Some(ended) = at(status, &["state", "terminated"]) {
                self.reason = end_reason(ended);
            } else if at(status, &["ready"]) == Some(&Value::Bool(true)) && at(status, &["state", "running"]).is_some()
            {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" && running {
            self.reason = if is_true(pod, "Ready") { "Running" } else { "NotReady" }.to_owned();
        }
    }
}

/// What is said of a pod before its containers are looked at.
fn begin(pod: &Value) -> String {
    let gated = condition(pod, "PodScheduled").is_some_and(|c| text(c, &["reason"]) == "SchedulingGated");
    match text(pod, &["status", "reason"]) {
        _ if gated => "SchedulingGated",
        "" => text(pod, &["status", "phase"]),
        reason => reason,
    }
    .to_owned()
}

fn is_sidecar(container: &Value) -> bool {
    text(container, &["restartPolicy"]) == "Always"
}

fn exit_code(ended: &Value) -> i64 {
    at(ended, &["exitCode"]).and_then(Value::as_i64).unwrap_or(0)
}

fn end_reason(ended: &Value) -> String {
    let signal = at(ended, &["signal"]).and_then(Value::as_i64).unwrap_or(0);
    match text(ended, &["reason"]) {
        "" if signal != 0 => format!("Signal:{signal}"),
        "" => format!("ExitCode:{}", exit_code(ended)),
        reason => reason.to_owned(),
    }
}

fn last_end(status: &Value) -> Option<i64> {
    let moment = text(status, &["lastState", "terminated", "finishedAt"]);
    moment.parse::<Timestamp>().ok().map(|t| t.as_second())
}
