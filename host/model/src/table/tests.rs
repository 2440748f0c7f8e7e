use super::*;
use crate::{Kinds, core as kinds_core};

fn kinds() -> Kinds {
    let kinds = Kinds::default();
    kinds_core::register(&kinds);
    kinds
}

fn cells(group: &str, kind: &str, object: Value) -> Vec<String> {
    let kind = kinds().by_kind(group, kind).unwrap();
    let now = "2024-01-03T03:00:00Z".parse().unwrap();
    let row = row(&kind, &object, now);
    assert_eq!(row.len(), columns(&kind).len());
    row.iter().map(|c| c.as_str().map_or_else(|| c.to_string(), str::to_owned)).collect()
}

fn pod(spec: Value, status: Value) -> Vec<String> {
    let object = json!({"metadata": {"name": "web", "creationTimestamp": "2024-01-01T00:00:00Z"}, "spec": spec, "status": status});
    cells("", "Pod", object).into_iter().skip(1).take(3).collect()
}

#[test]
fn pods_say_how_they_are() {
    let one = json!({"containers": [{"name": "a"}]});
    let two = json!({"containers": [{"name": "a"}, {"name": "b"}]});
    let running = json!({"name": "a", "ready": true, "restartCount": 0, "state": {"running": {}}});
    let waiting = |reason: &str| json!({"name": "a", "ready": false, "restartCount": 0, "state": {"waiting": {"reason": reason}}});
    let ended = |reason: &str, code: i64| json!({"name": "a", "ready": false, "restartCount": 0, "state": {"terminated": {"reason": reason, "exitCode": code}}});
    let again = json!({"name": "a", "ready": true, "restartCount": 2, "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2024-01-03T02:59:55Z"}}});
    let init = json!({"initContainers": [{"name": "i"}, {"name": "j"}], "containers": [{"name": "a"}]});
    let sidecar = json!({"initContainers": [{"name": "i", "restartPolicy": "Always"}], "containers": [{"name": "a"}]});
    let by = |name: &str, mut status: Value| {
        status["name"] = json!(name);
        status
    };
    for (spec, status, want) in [
        (&one, json!({"phase": "Pending"}), ["0/1", "Pending", "0"]),
        (
            &one,
            json!({"phase": "Pending", "containerStatuses": [waiting("ContainerCreating")]}),
            ["0/1", "ContainerCreating", "0"],
        ),
        (
            &one,
            json!({"phase": "Pending", "containerStatuses": [waiting("ImagePullBackOff")]}),
            ["0/1", "ImagePullBackOff", "0"],
        ),
        (&one, json!({"phase": "Running", "containerStatuses": [running]}), ["1/1", "Running", "0"]),
        (&one, json!({"phase": "Running", "containerStatuses": [again]}), ["1/1", "Running", "2 (5s ago)"]),
        (
            &one,
            json!({"phase": "Running", "containerStatuses": [waiting("CrashLoopBackOff")]}),
            ["0/1", "CrashLoopBackOff", "0"],
        ),
        (&one, json!({"phase": "Succeeded", "containerStatuses": [ended("Completed", 0)]}), ["0/1", "Completed", "0"]),
        (&one, json!({"phase": "Failed", "containerStatuses": [ended("Error", 1)]}), ["0/1", "Error", "0"]),
        (&one, json!({"phase": "Failed", "containerStatuses": [ended("", 3)]}), ["0/1", "ExitCode:3", "0"]),
        (&one, json!({"phase": "Failed", "reason": "Evicted"}), ["0/1", "Evicted", "0"]),
        (
            &two,
            json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [running, ended("Completed", 0)]}),
            ["1/2", "Running", "0"],
        ),
        (
            &two,
            json!({"phase": "Running", "containerStatuses": [running, ended("Completed", 0)]}),
            ["1/2", "NotReady", "0"],
        ),
        (
            &one,
            json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]}),
            ["0/1", "SchedulingGated", "0"],
        ),
        (
            &init,
            json!({"phase": "Pending", "initContainerStatuses": [by("i", running.clone()), by("j", waiting("PodInitializing"))]}),
            ["0/1", "Init:0/2", "0"],
        ),
        (
            &init,
            json!({"phase": "Pending", "initContainerStatuses": [by("i", ended("Completed", 0)), by("j", running.clone())]}),
            ["0/1", "Init:1/2", "0"],
        ),
        (
            &init,
            json!({"phase": "Pending", "initContainerStatuses": [by("i", ended("Error", 1))]}),
            ["0/1", "Init:Error", "0"],
        ),
        (
            &init,
            json!({"phase": "Pending", "initContainerStatuses": [by("i", waiting("CrashLoopBackOff"))]}),
            ["0/1", "Init:CrashLoopBackOff", "0"],
        ),
        (
            &sidecar,
            json!({"phase": "Running", "initContainerStatuses": [{"name": "i", "ready": true, "started": true, "restartCount": 1, "state": {"running": {}}}], "containerStatuses": [running]}),
            ["2/2", "Running", "1"],
        ),
    ] {
        assert_eq!(pod(spec.clone(), status.clone()), want, "{status}");
    }
}

#[test]
fn a_leaving_pod_is_terminating_and_wide_cells_are_there() {
    let object = json!({"metadata": {"name": "web", "creationTimestamp": "2024-01-01T00:00:00Z", "deletionTimestamp": "2024-01-03T03:00:30Z"},
        "spec": {"nodeName": "n1", "containers": [{}], "readinessGates": [{"conditionType": "a"}]}, "status": {"phase": "Running", "podIP": "10.0.0.1"}});
    assert_eq!(cells("", "Pod", object), ["web", "0/1", "Terminating", "0", "2d3h", "10.0.0.1", "n1", "<none>", "0/1"]);
}

#[test]
fn other_core_kinds_have_their_cells() {
    let meta = json!({"name": "x", "creationTimestamp": "2024-01-01T00:00:00Z"});
    let node = json!({"metadata": {"name": "n", "creationTimestamp": "2024-01-01T00:00:00Z", "labels": {"node-role.kubernetes.io/worker": "", "kubernetes.io/role": "edge"}},
        "spec": {"unschedulable": true}, "status": {"conditions": [{"type": "Ready", "status": "True"}], "addresses": [{"type": "InternalIP", "address": "1.2.3.4"}],
        "nodeInfo": {"kubeletVersion": "v1", "osImage": "Debian", "kernelVersion": "6", "containerRuntimeVersion": "containerd://1"}}});
    assert_eq!(
        cells("", "Node", node),
        [
            "n",
            "Ready,SchedulingDisabled",
            "edge,worker",
            "2d3h",
            "v1",
            "1.2.3.4",
            "<none>",
            "Debian",
            "6",
            "containerd://1"
        ]
    );
    assert_eq!(
        cells("", "ConfigMap", json!({"metadata": meta, "data": {"a": "", "b": ""}, "binaryData": {"c": ""}})),
        ["x", "3", "2d3h"]
    );
    assert_eq!(cells("", "Secret", json!({"metadata": meta, "type": "Opaque"})), ["x", "Opaque", "0", "2d3h"]);
    assert_eq!(
        cells("", "Namespace", json!({"metadata": meta, "status": {"phase": "Active"}})),
        ["x", "Active", "2d3h"]
    );
    assert_eq!(
        cells("coordination.k8s.io", "Lease", json!({"metadata": meta, "spec": {"holderIdentity": "n"}})),
        ["x", "n", "2d3h"]
    );
    let event = json!({"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "web"}, "type": "Warning", "reason": "Failed", "message": "no\n",
        "firstTimestamp": "2024-01-03T02:00:00Z", "lastTimestamp": "2024-01-03T02:59:00Z", "count": 4, "source": {"component": "agent", "host": "n"}});
    assert_eq!(
        cells("", "Event", event),
        ["60s", "Warning", "Failed", "pod/web", "", "agent, n", "no", "60m", "4", "e"]
    );
    let slice = json!({"metadata": meta, "addressType": "IPv4", "ports": [{"port": 80}], "endpoints": [{"addresses": ["a"]}, {"addresses": ["b"]}, {"addresses": ["c"]}, {"addresses": ["d"]}]});
    assert_eq!(cells("discovery.k8s.io", "EndpointSlice", slice), ["x", "IPv4", "80", "a,b,c + 1 more...", "2d3h"]);
}

#[test]
fn age_stands_after_what_is_always_shown() {
    let kind = kinds().by_kind("gantry.dev", "Plugin").unwrap();
    let names: Vec<String> = columns(&kind).iter().map(|c| c["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["Name", "Version", "Families", "Phase", "Age", "Message", "Digest"]);
    let object =
        json!({"metadata": {"name": "p"}, "status": {"families": ["controller", "network"], "phase": "Ready"}});
    assert_eq!(
        cells("gantry.dev", "Plugin", object),
        ["p", "null", "controller,network", "Ready", "<unknown>", "null", "null"]
    );
}
