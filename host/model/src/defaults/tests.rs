use std::sync::Arc;

use serde_json::{Value, json};

use crate::core;
use crate::kind::Kinds;
use crate::schema::fill_defaults;

fn filled(group: &str, kind: &str, mut object: Value) -> Value {
    let kinds = Kinds::default();
    core::register(&kinds);
    fill_defaults(&kinds, &kinds.by_kind(group, kind).unwrap(), &mut object);
    object
}

#[test]
fn a_pod_is_filled_in_as_kubernetes_does() {
    let pod = json!({"metadata": {"name": "web"}, "spec": {
        "containers": [{
            "name": "web", "image": "web", "ports": [{"containerPort": 80}],
            "livenessProbe": {"httpGet": {"port": 80}}, "resources": {"limits": {"cpu": "1"}},
            "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        }],
        "volumes": [{"name": "a"}, {"name": "b", "configMap": {"name": "c"}}, {"name": "d", "hostPath": {"path": "/"}},
                    {"name": "e", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}],
    }});
    assert_eq!(
        filled("", "Pod", pod),
        json!({"metadata": {"name": "web"}, "spec": {
            "containers": [{
                "name": "web", "image": "web", "imagePullPolicy": "Always", "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "livenessProbe": {"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
                "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}},
                "env": [{"name": "IP", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}}],
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            }],
            "volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "configMap": {"name": "c", "defaultMode": 420}}, {"name": "d", "hostPath": {"path": "/", "type": ""}},
                        {"name": "e", "projected": {"defaultMode": 420, "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}]}}],
            "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler", "securityContext": {},
            "terminationGracePeriodSeconds": 30, "enableServiceLinks": true, "serviceAccountName": "default", "serviceAccount": "default",
            "priority": 0, "preemptionPolicy": "PreemptLowerPriority",
        }, "status": {"phase": "Pending", "qosClass": "Burstable"}})
    );
}

#[test]
fn images_decide_how_they_are_pulled() {
    for (image, want) in [
        ("web", "Always"),
        ("web:latest", "Always"),
        ("web:1", "IfNotPresent"),
        ("host:5000/web", "Always"),
        ("host:5000/web:1", "IfNotPresent"),
        ("web@sha256:0", "IfNotPresent"),
    ] {
        let pod = filled("", "Pod", json!({"spec": {"containers": [{"image": image}]}}));
        assert_eq!(pod["spec"]["containers"][0]["imagePullPolicy"], want, "{image}");
    }
}

#[test]
fn pods_have_a_quality() {
    let full = json!({"limits": {"cpu": "1", "memory": "1Gi"}});
    for (resources, want) in [
        (json!({}), "BestEffort"),
        (full.clone(), "Guaranteed"),
        (json!({"limits": {"cpu": "1"}}), "Burstable"),
        (json!({"requests": {"cpu": "1"}}), "Burstable"),
        (json!({"limits": {"cpu": "1000m", "memory": "1Gi"}, "requests": {"cpu": "1"}}), "Guaranteed"),
        (json!({"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1"}}), "Burstable"),
    ] {
        let pod = filled("", "Pod", json!({"spec": {"containers": [{"resources": resources}]}}));
        assert_eq!(pod["status"]["qosClass"], want, "{resources}");
    }
}

#[test]
fn a_template_in_any_kind_gets_the_defaults_of_its_definition() {
    let kinds = Kinds::default();
    core::register(&kinds);
    let mut kind = crate::Kind::clone(&kinds.by_kind("", "Pod").unwrap());
    kind.definition = "test.Set".to_owned();
    kind.schema = Arc::new(json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "template": {"$ref": "#/definitions/io.k8s.api.core.v1.PodTemplateSpec"},
    }}}}));
    let mut object = json!({"spec": {"template": {"spec": {"hostNetwork": true, "containers": [{"image": "a:1", "ports": [{"containerPort": 1}]}]}}}});
    fill_defaults(&kinds, &kind, &mut object);
    let spec = &object["spec"]["template"]["spec"];
    assert_eq!(spec["containers"][0]["imagePullPolicy"], "IfNotPresent");
    assert_eq!(spec["containers"][0]["ports"][0], json!({"containerPort": 1, "hostPort": 1, "protocol": "TCP"}));
    assert_eq!(spec["restartPolicy"], "Always");
    assert_eq!(spec.get("serviceAccountName"), None);
    assert_eq!(object.get("status"), None);
}

#[test]
fn other_kinds_are_filled_in() {
    assert_eq!(
        filled("", "Namespace", json!({"metadata": {"name": "a"}})),
        json!({"metadata": {"name": "a", "labels": {"kubernetes.io/metadata.name": "a"}}, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}})
    );
    assert_eq!(
        filled("", "Secret", json!({"data": {"a": "YQ=="}, "stringData": {"b": "b"}})),
        json!({"data": {"a": "YQ==", "b": "Yg=="}, "type": "Opaque"})
    );
    let definition =
        filled("apiextensions.k8s.io", "CustomResourceDefinition", json!({"spec": {"names": {"kind": "Lift"}}}));
    assert_eq!(
        definition["spec"],
        json!({"names": {"kind": "Lift", "singular": "lift", "listKind": "LiftList"}, "conversion": {"strategy": "None"}})
    );
}
