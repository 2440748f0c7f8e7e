use gantry_sdk::admission::{Decision, Reason};
use gantry_sdk::testing::{Host, suite};
use gantry_sdk::{merge, serde_json};

use super::*;

fn path(path: &str, kind: &str) -> Value {
    json!({"path": path, "pathType": kind, "backend": {"service": {"name": "web", "port": {"number": 80}}}})
}

fn ruled(host: &str, paths: Value) -> Value {
    json!({"rules": [{"host": host, "http": {"paths": paths}}]})
}

fn ingress(spec: Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web", "namespace": "a"},
        "spec": spec,
    })
}

fn fields(request: &Request) -> Vec<String> {
    let _host = Host::new();
    match Review.review(request).unwrap().decision {
        Decision::Allow => Vec::new(),
        Decision::Deny(denial) => denial.causes.into_iter().map(|cause| cause.field).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_field() {
    let good = ruled("a.example", json!([path("/", "Prefix")]));
    let backend = |backend: Value| {
        let mut path = path("/", "Exact");
        path["backend"] = backend;
        ruled("a.example", json!([path]))
    };
    let service = |name: &str, port: Value| backend(json!({"service": {"name": name, "port": port}}));
    let at = "spec.rules[0].http.paths[0]";
    for (spec, want) in [
        (good.clone(), vec![]),
        (json!({"defaultBackend": {"service": {"name": "web", "port": {"name": "http"}}}}), vec![]),
        (ruled("*.a.example", json!([path("/x", "Exact"), path("", "ImplementationSpecific")])), vec![]),
        (ruled("", json!([path("/", "Prefix")])), vec![]),
        (backend(json!({"resource": {"kind": "Bucket", "name": "b"}})), vec![]),
        (json!({}), vec!["spec".to_owned()]),
        (json!({"rules": [{"host": "a.example", "http": {"paths": []}}]}), vec!["spec.rules[0].http.paths".to_owned()]),
        (ruled("192.0.2.1", json!([path("/", "Prefix")])), vec!["spec.rules[0].host".to_owned()]),
        (ruled("*", json!([path("/", "Prefix")])), vec!["spec.rules[0].host".to_owned()]),
        (ruled("a.*.example", json!([path("/", "Prefix")])), vec!["spec.rules[0].host".to_owned()]),
        (ruled("A.example", json!([path("/", "Prefix")])), vec!["spec.rules[0].host".to_owned()]),
        (ruled("a.example", json!([path("x", "Prefix")])), vec![format!("{at}.path")]),
        (ruled("a.example", json!([path("", "Exact")])), vec![format!("{at}.path")]),
        (ruled("a.example", json!([path("/a//b", "Prefix")])), vec![format!("{at}.path")]),
        (ruled("a.example", json!([path("/a/..", "Prefix")])), vec![format!("{at}.path")]),
        (ruled("a.example", json!([path("x", "ImplementationSpecific")])), vec![format!("{at}.path")]),
        (ruled("a.example", json!([path("/", "Regex")])), vec![format!("{at}.pathType")]),
        (backend(json!({})), vec![format!("{at}.backend")]),
        (service("", json!({"number": 80})), vec![format!("{at}.backend.service.name")]),
        (service("1web", json!({"number": 80})), vec![format!("{at}.backend.service.name")]),
        (service("web", json!({})), vec![format!("{at}.backend.service.port")]),
        (service("web", json!({"number": 80, "name": "http"})), vec![format!("{at}.backend.service.port")]),
        (service("web", json!({"number": 70_000})), vec![format!("{at}.backend.service.port.number")]),
        (service("web", json!({"name": "Http"})), vec![format!("{at}.backend.service.port.name")]),
        (
            json!({"rules": good["rules"], "tls": [{"hosts": ["x y"], "secretName": "S"}]}),
            vec!["spec.tls[0].hosts[0]".to_owned(), "spec.tls[0].secretName".to_owned()],
        ),
        (json!({"rules": good["rules"], "ingressClassName": "No Class"}), vec!["spec.ingressClassName".to_owned()]),
    ] {
        assert_eq!(fields(&Request::create(&ingress(spec.clone()))), want, "{spec}");
    }
    // What is stored may be labelled, whatever it is.
    let odd = ingress(json!({}));
    assert_eq!(fields(&Request::update(&odd, &odd)), [""; 0]);
    let mut both = ingress(json!({"rules": good["rules"], "ingressClassName": "x"}));
    merge::apply(&mut both, &json!({"metadata": {"annotations": {class::OLD_ANNOTATION: "x"}}}));
    assert_eq!(fields(&Request::create(&both)), ["metadata.annotations[kubernetes.io/ingress.class]"]);
}

fn class(name: &str, controller: &str, default: bool) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "spec": {"controller": controller},
        "metadata": {"name": name, "annotations": {class::DEFAULT_ANNOTATION: default.to_string()}},
    })
}

#[test]
fn one_without_a_class_gets_the_default_one() {
    let host = Host::new();
    let request = Request::create(&ingress(ruled("a.example", json!([path("/", "Prefix")])))).changeable();
    assert_eq!(Review.review(&request).unwrap(), Verdict::allow());
    host.add_json(class("other", "x.y/z", false));
    host.add_json(class("usual", "x.y/z", true));
    let Decision::Change(patch) = Review.review(&request).unwrap().decision else { panic!("no change") };
    let patch: Value = serde_json::from_slice(&patch).unwrap();
    assert_eq!(patch, json!([{"op": "add", "path": "/spec/ingressClassName", "value": "usual"}]));
    host.add_json(class("second", "x.y/z", true));
    let Decision::Deny(denial) = Review.review(&request).unwrap().decision else { panic!("no denial") };
    assert!(denial.reason == Reason::Forbidden && denial.message.contains("second, usual"), "{}", denial.message);
    let named = ingress(json!({"ingressClassName": "other", "rules": [{"host": "a.example"}]}));
    assert_eq!(Review.review(&Request::create(&named).changeable()).unwrap(), Verdict::allow());
}

#[test]
fn classes() {
    for (controller, good) in
        [("gantry.dev/ingress", true), ("", false), ("ingress", false), ("a b/c", false), ("a.b/", false)]
    {
        assert_eq!(fields(&Request::create(&class("c", controller, true))).is_empty(), good, "{controller}");
    }
    let (old, new) = (class("c", "a.b/c", true), class("c", "a.b/d", true));
    assert_eq!(fields(&Request::update(&old, &new)), ["spec.controller"]);
    assert_eq!(fields(&Request::update(&old, &class("c", "a.b/c", false))), [""; 0]);
}

#[test]
fn is_a_reviewer() {
    let _host = Host::new();
    let good = ingress(ruled("a.example", json!([path("/", "Prefix")])));
    suite::admission::<Review>(
        &Config::get(),
        &[
            Request::create(&good),
            Request::create(&ingress(json!({}))),
            Request::update(&good, &ingress(json!({}))),
            Request::create(&class("c", "a.b/c", true)),
        ],
    );
}
