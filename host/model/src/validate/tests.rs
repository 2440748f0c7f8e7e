use serde_json::{Value, json};

use super::object;
use crate::kind::Kinds;
use crate::{core, schema};

fn kinds() -> Kinds {
    let kinds = Kinds::default();
    core::register(&kinds);
    kinds
}

fn causes(group: &str, kind: &str, mut new: Value, old: Option<Value>) -> Vec<String> {
    let kinds = kinds();
    let kind = kinds.by_kind(group, kind).unwrap();
    schema::fill_defaults(&kinds, &kind, &mut new);
    let old = old.map(|mut old| {
        schema::fill_defaults(&kinds, &kind, &mut old);
        old
    });
    object(&kinds, &kind, &new, old.as_ref()).into_iter().map(|c| format!("{}: {}", c.field, c.message)).collect()
}

fn pod(spec: Value) -> Value {
    json!({"metadata": {"name": "web", "namespace": "a"}, "spec": spec})
}

/// A pod that is right, with one thing put in.
fn with(pointer: &str, value: Value) -> Value {
    let mut object = pod(json!({
        "containers": [{"name": "a", "image": "web:1", "ports": [{"containerPort": 80}], "env": [{"name": "A", "value": "b"}],
            "volumeMounts": [{"name": "v", "mountPath": "/v"}], "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "500m"}},
            "livenessProbe": {"httpGet": {"port": 80}}}],
        "initContainers": [{"name": "i", "image": "web:1"}],
        "volumes": [{"name": "v", "emptyDir": {}}],
        "tolerations": [{"key": "k", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}]}}},
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"a": "b"}}}],
    }));
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer}"));
    match parent {
        Value::Object(map) => drop(map.insert(last.to_owned(), value)),
        Value::Array(items) => items.push(value),
        _ => panic!("{pointer}"),
    }
    object
}

#[test]
fn a_pod_has_containers() {
    for spec in [None, Some(Value::Null)] {
        let mut object = pod(json!({}));
        object.as_object_mut().unwrap().remove("spec");
        object.as_object_mut().unwrap().extend(spec.map(|spec| ("spec".to_owned(), spec)));
        assert_eq!(causes("", "Pod", object, None), ["spec.containers: Required value"]);
    }
}

#[test]
fn a_fault_is_said_once() {
    for (pointer, value, want) in [
        ("/spec/volumes/-", json!({"name": "v"}), "spec.volumes[1].name: Duplicate value: \"v\""),
        ("/spec/containers/-", json!({"name": "a", "image": "b"}), "spec.containers[1].name: Duplicate value: \"a\""),
    ] {
        assert_eq!(causes("", "Pod", with(pointer, value), None), [want]);
    }
    let said = causes("", "Pod", with("/spec/containers", json!("a")), None);
    assert!(said.len() == 1 && said[0].starts_with("spec.containers: Invalid value"), "{said:?}");
}

#[test]
fn what_nodes_do_not_do_is_said() {
    let with = |pointer, value| super::warnings(&with(pointer, value));
    assert_eq!(with("/metadata/labels", json!({})), Vec::<String>::new());
    for (pointer, value, want) in [
        ("/spec/shareProcessNamespace", json!(true), "spec.shareProcessNamespace: has no effect"),
        ("/spec/priorityClassName", json!("mine"), "spec.priorityClassName: has no effect"),
        (
            "/spec/containers/0/securityContext",
            json!({"seccompProfile": {"type": "RuntimeDefault"}}),
            "spec.containers[0].securityContext.seccompProfile: has no effect",
        ),
    ] {
        let said = with(pointer, value);
        assert!(said.len() == 1 && said[0].starts_with(want), "{said:?}");
    }
}

#[test]
fn pods_are_held_to_kubernetes_rules() {
    assert_eq!(causes("", "Pod", with("/metadata/labels", json!({"a.io/b": "c"})), None), Vec::<String>::new());
    const SELECTOR: &str = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution";
    for (pointer, value, want) in [
        ("/metadata/name", json!(""), "metadata.name: Required value: name or generateName is required"),
        ("/metadata/name", json!("A"), "metadata.name: Invalid value: \"A\": a lowercase RFC 1123 subdomain"),
        ("/metadata/labels", json!({"a": "b c"}), "metadata.labels[a]: Invalid value: \"b c\": a valid label must be"),
        ("/metadata/annotations", json!({"a b": ""}), "metadata.annotations: Invalid value: \"a b\": name part"),
        (
            "/metadata/annotations",
            json!({"a": "x".repeat(262_145)}),
            "metadata.annotations: Too long: may not be more than 262144 bytes",
        ),
        ("/metadata/finalizers", json!(["a.b/a b"]), "metadata.finalizers[0]: Invalid value: \"a.b/a b\""),
        (
            "/metadata/finalizers",
            json!(["a.b/c", "mine"]),
            "metadata.finalizers[1]: Invalid value: \"mine\": name is neither",
        ),
        ("/spec/priority", json!(5), "spec.priority: Forbidden: must not be provided"),
        (
            "/metadata/ownerReferences",
            json!([{"apiVersion": "v1", "kind": "A", "name": "", "uid": "u"}]),
            "metadata.ownerReferences[0].name: Invalid value: \"\": must not be empty",
        ),
        ("/spec/containers", json!([]), "spec.containers: Required value"),
        ("/spec/runtimeClassName", json!("gvisor"), "spec.runtimeClassName: Not found: \"gvisor\""),
        ("/spec/hostUsers", json!(false), "spec.hostUsers: Forbidden"),
        (
            "/spec/volumes/-",
            json!({"name": "w", "emptyDir": {"sizeLimit": "-1"}}),
            "spec.volumes[1].emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity",
        ),
        (
            "/spec/containers/0/volumeMounts/0/mountPath",
            json!("/a:b"),
            "spec.containers[0].volumeMounts[0].mountPath: Invalid value: \"/a:b\": must not contain ':'",
        ),
        (
            "/spec/securityContext",
            json!({"seccompProfile": {"type": "Nope"}}),
            "spec.securityContext.seccompProfile.type: Unsupported value: \"Nope\"",
        ),
        (
            "/spec/securityContext",
            json!({"sysctls": [{"name": "x y", "value": "1"}]}),
            "spec.securityContext.sysctls[0].name: Invalid value: \"x y\"",
        ),
        (
            "/spec/containers/0/env",
            json!([{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nope"}}}]),
            "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.nope\"",
        ),
        (
            "/spec/containers/0/env",
            json!([{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.nope"}}}]),
            "spec.containers[0].env[0].valueFrom.resourceFieldRef.resource: Unsupported value: \"limits.nope\"",
        ),
        ("/spec/containers", Value::Null, "spec.containers: Required value"),
        (
            "/spec/containers/0/name",
            json!("A_"),
            "spec.containers[0].name: Invalid value: \"A_\": a lowercase RFC 1123 label",
        ),
        ("/spec/containers/0/image", json!(""), "spec.containers[0].image: Required value"),
        ("/spec/containers/-", json!({"name": "a", "image": "b"}), "spec.containers[1].name: Duplicate value: \"a\""),
        ("/spec/containers/-", json!({"image": "b"}), "spec.containers[1].name: Required value"),
        (
            "/spec/initContainers/-",
            json!({"name": "i", "image": "b"}),
            "spec.initContainers[1].name: Duplicate value: \"i\"",
        ),
        (
            "/spec/initContainers/0/livenessProbe",
            json!({"tcpSocket": {"port": 1}}),
            "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
        ),
        (
            "/spec/containers/0/ports",
            json!([{"containerPort": 70000}]),
            "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
        (
            "/spec/containers/0/ports",
            json!([{"name": "a", "containerPort": 1}, {"name": "a", "containerPort": 2}]),
            "spec.containers[0].ports[1].name: Duplicate value: \"a\"",
        ),
        (
            "/spec/containers/0/ports",
            json!([{"containerPort": 1, "hostPort": 1}, {"containerPort": 2, "hostPort": 1}]),
            "spec.containers[0].ports[1].hostPort: Duplicate value: \"TCP//1\"",
        ),
        (
            "/spec/containers/0/ports",
            json!([{"containerPort": 1, "protocol": "IP"}]),
            "spec.containers[0].ports[0].protocol: Unsupported value: \"IP\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
        ),
        ("/spec/containers/0/env", json!([{"name": "a=b"}]), "spec.containers[0].env[0].name: Invalid value: \"a=b\""),
        (
            "/spec/containers/0/env",
            json!([{"name": "a", "value": "b", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]),
            "spec.containers[0].env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
        ),
        (
            "/spec/containers/0/volumeMounts",
            json!([{"name": "w", "mountPath": "/w"}]),
            "spec.containers[0].volumeMounts[0].name: Not found: \"w\"",
        ),
        (
            "/spec/containers/0/volumeMounts/-",
            json!({"name": "v", "mountPath": "/v"}),
            "spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/v\": must be unique",
        ),
        (
            "/spec/containers/0/volumeMounts",
            json!([{"name": "v", "mountPath": "/v", "subPath": "../x"}]),
            "spec.containers[0].volumeMounts[0].subPath: Invalid value: \"../x\": must not contain '..'",
        ),
        (
            "/spec/containers/0/resources",
            json!({"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}),
            "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
        ),
        (
            "/spec/containers/0/resources",
            json!({"limits": {"cpu": "a"}}),
            "spec.containers[0].resources.limits.cpu: Invalid value: \"a\": quantities must match",
        ),
        (
            "/spec/containers/0/resources",
            json!({"limits": {"cpu": "-1"}}),
            "spec.containers[0].resources.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
        ),
        (
            "/spec/containers/0/resources",
            json!({"limits": {"gold": "1"}}),
            "spec.containers[0].resources.limits[gold]: Invalid value: \"gold\": must be a standard resource",
        ),
        (
            "/spec/containers/0/livenessProbe",
            json!({}),
            "spec.containers[0].livenessProbe: Required value: must specify a handler type",
        ),
        (
            "/spec/containers/0/livenessProbe",
            json!({"exec": {"command": ["a"]}, "tcpSocket": {"port": 1}}),
            "spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
        ),
        (
            "/spec/containers/0/livenessProbe",
            json!({"tcpSocket": {"port": 1}, "successThreshold": 2}),
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ),
        (
            "/spec/containers/0/livenessProbe",
            json!({"tcpSocket": {"port": 0}}),
            "spec.containers[0].livenessProbe.tcpSocket.port: Invalid value: 0: must be between 1 and 65535, inclusive",
        ),
        (
            "/spec/containers/0/imagePullPolicy",
            json!("Maybe"),
            "spec.containers[0].imagePullPolicy: Unsupported value: \"Maybe\"",
        ),
        ("/spec/volumes/-", json!({"name": "v"}), "spec.volumes[1].name: Duplicate value: \"v\""),
        (
            "/spec/volumes/0/secret",
            json!({"secretName": "a"}),
            "spec.volumes[0].secret: Forbidden: may not specify more than 1 volume type",
        ),
        ("/spec/volumes/-", json!({"name": "w", "secret": {}}), "spec.volumes[1].secret.secretName: Required value"),
        (
            "/spec/volumes/-",
            json!({"name": "w", "configMap": {"name": "a", "defaultMode": 512}}),
            "spec.volumes[1].configMap.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive",
        ),
        (
            "/spec/volumes/-",
            json!({"name": "w", "configMap": {"name": "a", "items": [{"key": "k", "path": "/x"}]}}),
            "spec.volumes[1].configMap.items[0].path: Invalid value: \"/x\": must be a relative path",
        ),
        (
            "/spec/restartPolicy",
            json!("Sometimes"),
            "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"Never\", \"OnFailure\"",
        ),
        (
            "/spec/terminationGracePeriodSeconds",
            json!(-1),
            "spec.terminationGracePeriodSeconds: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            "/spec/activeDeadlineSeconds",
            json!(0),
            "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
        ),
        (
            "/spec/dnsPolicy",
            json!("None"),
            "spec.dnsConfig.nameservers: Required value: must provide at least one DNS nameserver when `dnsPolicy` is None",
        ),
        ("/spec/nodeSelector", json!({"a": "b c"}), "spec.nodeSelector[a]: Invalid value: \"b c\""),
        ("/spec/hostname", json!("a.b"), "spec.hostname: Invalid value: \"a.b\""),
        (
            "/spec/securityContext",
            json!({"runAsUser": -1}),
            "spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
        ),
        (
            "/spec/tolerations/-",
            json!({"operator": "Equal"}),
            "spec.tolerations[1].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty",
        ),
        (
            "/spec/tolerations/-",
            json!({"key": "a", "tolerationSeconds": 1, "effect": "NoSchedule"}),
            "spec.tolerations[1].effect: Invalid value: \"NoSchedule\": effect must be 'NoExecute'",
        ),
        (
            "/spec/topologySpreadConstraints/0/maxSkew",
            json!(0),
            "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
        ),
        (
            "/spec/topologySpreadConstraints/0/labelSelector",
            json!({"matchExpressions": [{"key": "a", "operator": "Is"}]}),
            "spec.topologySpreadConstraints[0].labelSelector.matchExpressions[0].operator: Invalid value: \"Is\": not a valid selector operator",
        ),
        (
            "/spec/affinity",
            json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}),
            &format!("{SELECTOR}.nodeSelectorTerms: Required value: must have at least one node selector term"),
        ),
        (
            "/spec/affinity",
            json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "In"}]}]}}}),
            &format!(
                "{SELECTOR}.nodeSelectorTerms[0].matchExpressions[0].values: Required value: must be specified when"
            ),
        ),
        ("/spec/containers/0/resources", json!("much"), "spec.containers[0].resources: Invalid value: \"string\""),
    ] {
        let found = causes("", "Pod", with(pointer, value.clone()), None);
        assert!(found.iter().any(|c| c.starts_with(want)), "{pointer} {value}: {found:#?}\nwant {want}");
    }
}

#[test]
fn a_pod_changes_only_where_it_may() {
    let old = with("/metadata/uid", json!("u"));
    let changed = |pointer: &str, value: Value| {
        let mut new = old.clone();
        let (parent, last) = pointer.rsplit_once('/').unwrap();
        new.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(last.to_owned(), value);
        causes("", "Pod", new, Some(old.clone()))
    };
    for (pointer, value) in [
        ("/spec/containers/0/image", json!("web:2")),
        ("/spec/activeDeadlineSeconds", json!(5)),
        ("/spec/tolerations", json!([{"key": "k", "operator": "Exists"}, {"key": "m", "operator": "Exists"}])),
        ("/metadata/labels", json!({"a": "b"})),
    ] {
        assert_eq!(changed(pointer, value), Vec::<String>::new(), "{pointer}");
    }
    for (pointer, value, want) in [
        ("/metadata/uid", json!("v"), "metadata.uid: Invalid value: \"v\": field is immutable"),
        ("/spec/containers/0/env", json!([]), "spec: Forbidden: pod updates may not change fields other than"),
        ("/spec/hostNetwork", json!(true), "spec: Forbidden: pod updates"),
        // Only a binding puts a pod on a node.
        ("/spec/nodeName", json!("n1"), "spec: Forbidden: pod updates"),
        ("/spec/ephemeralContainers", json!([{"name": "e", "image": "i"}]), "spec: Forbidden: pod updates"),
        (
            "/spec/schedulingGates",
            json!([{"name": "a.b/c"}]),
            "spec.schedulingGates: Forbidden: only deletion is allowed, but found new scheduling gates 'a.b/c'",
        ),
        ("/metadata/deletionTimestamp", json!("2024-01-01T00:00:00Z"), "metadata.deletionTimestamp: Invalid value"),
        ("/spec/tolerations", json!([]), "spec.tolerations: Forbidden: existing toleration"),
    ] {
        let found = changed(pointer, value);
        assert!(found.iter().any(|c| c.starts_with(want)), "{pointer}: {found:?}");
    }
}

#[test]
fn other_kinds_are_held_to_their_rules() {
    let meta = json!({"name": "x", "namespace": "a"});
    let own = json!({"name": "x"});
    for (group, kind, new, old, want) in [
        (
            "",
            "ConfigMap",
            json!({"metadata": meta, "data": {"a/b": ""}}),
            None,
            "data[a/b]: Invalid value: \"a/b\": a valid config key",
        ),
        (
            "",
            "ConfigMap",
            json!({"metadata": meta, "data": {"a": "x".repeat(1 << 21)}}),
            None,
            ": Too long: may not be more than 1048576 bytes",
        ),
        ("", "ConfigMap", json!({"metadata": meta, "data": {"a": 1}}), None, "data.a: Invalid value: \"integer\""),
        (
            "",
            "ConfigMap",
            json!({"metadata": meta, "data": {"a": "c"}, "immutable": true}),
            Some(json!({"metadata": meta, "data": {"a": "b"}, "immutable": true})),
            "data: Forbidden: field is immutable when `immutable` is set",
        ),
        (
            "",
            "Secret",
            json!({"metadata": meta, "data": {"a": "?"}}),
            None,
            "data.a: Invalid value: \"?\": data.a in body must be of type byte",
        ),
        (
            "",
            "Secret",
            json!({"metadata": meta, "type": "kubernetes.io/tls", "data": {"tls.crt": ""}}),
            None,
            "data[tls.key]: Required value",
        ),
        (
            "",
            "Secret",
            json!({"metadata": meta, "type": "b"}),
            Some(json!({"metadata": meta, "type": "a"})),
            "type: Invalid value: \"b\": field is immutable",
        ),
        (
            "",
            "Node",
            json!({"metadata": own, "spec": {"taints": [{"key": "a", "effect": "Never"}]}}),
            None,
            "spec.taints[0].effect: Unsupported value: \"Never\"",
        ),
        (
            "",
            "Node",
            json!({"metadata": own, "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoSchedule"}]}}),
            None,
            "spec.taints[1]: Duplicate value",
        ),
        (
            "",
            "Node",
            json!({"metadata": {"name": "x", "namespace": "a"}}),
            None,
            "metadata.namespace: Forbidden: not allowed on this type",
        ),
        (
            "",
            "Namespace",
            json!({"metadata": {"name": "a.b"}}),
            None,
            "metadata.name: Invalid value: \"a.b\": a lowercase RFC 1123 label",
        ),
        (
            "coordination.k8s.io",
            "Lease",
            json!({"metadata": meta, "spec": {"leaseDurationSeconds": 0}}),
            None,
            "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
        ),
        (
            "scheduling.k8s.io",
            "PriorityClass",
            json!({"metadata": own, "value": 2_000_000_000}),
            None,
            "value: Forbidden: maximum allowed value",
        ),
        (
            "",
            "Pod",
            json!({"metadata": {"name": "x", "namespace": "a", "deletionTimestamp": "2024-01-01T00:00:00Z", "finalizers": ["a.b/c"]}}),
            Some(json!({"metadata": {"name": "x", "namespace": "a", "deletionTimestamp": "2024-01-01T00:00:00Z"}})),
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"a.b/c\"}",
        ),
    ] {
        let found = causes(group, kind, new.clone(), old);
        assert!(found.iter().any(|c| c.starts_with(want)), "{kind}: {found:#?}\nwant {want}");
    }
}

#[test]
fn what_agents_write_passes() {
    for (group, kind, new) in [
        (
            "",
            "Node",
            json!({"metadata": {"name": "n"}, "status": {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"osImage": "x"}, "capacity": {"cpu": "2", "memory": 5}}}),
        ),
        (
            "",
            "Pod",
            json!({"metadata": {"name": "x", "namespace": "a"}, "spec": {"containers": [{"name": "a", "image": "b"}]}, "status": {"phase": "Running", "containerStatuses": [{"name": "a", "ready": true}]}}),
        ),
        ("", "Event", json!({"metadata": {"name": "x", "namespace": "a"}, "involvedObject": {"kind": "Pod"}})),
        (
            "coordination.k8s.io",
            "Lease",
            json!({"metadata": {"name": "x", "namespace": "a"}, "spec": {"holderIdentity": "n", "renewTime": "2024-01-01T00:00:00.000000Z"}}),
        ),
        (
            "discovery.k8s.io",
            "EndpointSlice",
            json!({"metadata": {"name": "x", "namespace": "a"}, "addressType": "IPv4"}),
        ),
        (
            "gantry.dev",
            "Plugin",
            json!({"metadata": {"name": "x"}, "spec": {"digest": "d"}, "status": {"phase": "Ready", "anything": 1}}),
        ),
    ] {
        assert_eq!(causes(group, kind, new, None), Vec::<String>::new(), "{kind}");
    }
}

#[test]
fn limits_of_processes_name_containers() {
    let path = "metadata.annotations[gantry.dev/ulimits]";
    for (text, want) in [
        (r#"{"a": {"nofile": {"soft": 1, "hard": 2}}}"#, None),
        (r#"{"x": {"nofile": {"soft": 1, "hard": 2}}}"#, Some("\"x\" is none of the pod's containers")),
        (r#"{"a": {"nofile": {"soft": 2, "hard": 1}}}"#, Some("must have a soft limit that is not above the hard one")),
        ("many", Some("must be JSON")),
    ] {
        let mut object = with("/spec/containers/-", json!({"name": "b", "image": "web:1"}));
        object["metadata"]["annotations"] = json!({"gantry.dev/ulimits": text});
        let found = causes("", "Pod", object, None);
        let found: Vec<&String> = found.iter().filter(|cause| cause.starts_with(path)).collect();
        assert_eq!(found.len(), usize::from(want.is_some()), "{text}: {found:?}");
        assert!(found.iter().all(|cause| cause.contains(want.unwrap_or_default())), "{text}: {found:?}");
    }
}

#[test]
fn an_order_of_containers_names_containers() {
    let path = "metadata.annotations[gantry.dev/start-after]";
    for (text, want) in [
        (r#"{"a": {"b": "ready"}}"#, None),
        (r#"{"a": {"i": "ended"}}"#, Some("\"i\" is none of the pod's ordinary containers")),
        (r#"{"a": {"b": "ready"}, "b": {"a": "started"}}"#, Some("these containers wait for each other: a, b")),
        ("first a", Some("must be JSON")),
    ] {
        let mut object = with("/spec/containers/-", json!({"name": "b", "image": "web:1"}));
        object["metadata"]["annotations"] = json!({"gantry.dev/start-after": text});
        let found = causes("", "Pod", object, None);
        let found: Vec<&String> = found.iter().filter(|cause| cause.starts_with(path)).collect();
        assert_eq!(found.len(), usize::from(want.is_some()), "{text}: {found:?}");
        assert!(found.iter().all(|cause| cause.contains(want.unwrap_or_default())), "{text}: {found:?}");
    }
}
