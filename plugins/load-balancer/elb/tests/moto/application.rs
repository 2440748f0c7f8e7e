//! Application load balancers.

use gantry_contract::Stage;
use gantry_sdk::{Value, json};

use crate::moto::{Moto, component};
use crate::world::{World, target};

#[test]
fn rules_are_those_of_an_application_load_balancer() {
    let moto = Moto::start();
    let _stage = Stage::set(component(&moto)).unwrap();
    let mut world = World::new(&moto);
    world.slice(&["172.31.0.1"]);
    let backend = |name: &str| json!({"name": name, "selector": {"matchLabels": {"kubernetes.io/service-name": "web"}}, "port": "http"});
    let rules = json!([
        {"match": {"hosts": [{"type": "Exact", "value": "a.example"}], "paths": [{"type": "Prefix", "value": "/x"}]},
         "action": {"forward": [{"backend": "a", "weight": 1}, {"backend": "b", "weight": 3}]}},
        {"match": {"methods": ["PUT"], "headers": [{"name": "x-a", "values": ["1"]}]},
         "action": {"response": {"status": 405, "contentType": "text/plain", "body": "no"}}},
        {"match": {"queries": [{"name": "old", "values": ["1"]}], "sources": ["10.0.0.0/8"]},
         "action": {"redirect": {"status": 301, "protocol": "https", "port": "443"}}},
        {"match": {}, "action": {"forward": [{"backend": "b", "weight": 1}]}},
    ]);
    let spec = |rules: &Value| {
        json!({"class": "elb", "http": {
            "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}], "backends": [backend("a"), backend("b")], "rules": rules,
        }})
    };
    world.put("Frontend", "web", spec(&rules));
    world.settle();
    let all = moto.list("describe-load-balancers", "LoadBalancers", &[]);
    assert_eq!((all.len(), &all[0]["Type"]), (1, &json!("application")));
    let listener = world.listeners(&all[0]).remove(0);
    let arn = listener["ListenerArn"].as_str().unwrap().to_owned();
    let told = moto.list("describe-rules", "Rules", &["--listener-arn", &arn]);
    assert_eq!(told.len(), 4, "three and the default: {told:?}");
    let fields: Vec<&Value> =
        told.iter().flat_map(|rule| rule["Conditions"].as_array().unwrap()).map(|c| &c["Field"]).collect();
    let want = ["host-header", "path-pattern", "http-request-method", "http-header", "query-string", "source-ip"];
    assert_eq!(fields, want.iter().map(|field| json!(field)).collect::<Vec<_>>().iter().collect::<Vec<_>>());
    let weights = &told[0]["Actions"][0]["ForwardConfig"]["TargetGroups"];
    let mut weights: Vec<i64> = weights.as_array().unwrap().iter().map(|one| one["Weight"].as_i64().unwrap()).collect();
    weights.sort_unstable();
    assert_eq!(weights, [1, 3]);
    assert_eq!(told[2]["Actions"][0]["RedirectConfig"]["Protocol"], "HTTPS");

    let changes = moto.changes(|| {
        world.restart();
        world.settle();
    });
    assert_eq!(changes, Vec::<String>::new());

    // Somebody changes what is ours by hand: it is set right.
    let first = told[0]["RuleArn"].as_str().unwrap();
    moto.aws(&["elbv2", "delete-rule", "--rule-arn", first]);
    let changes = moto.changes(|| world.settle());
    assert_eq!(changes, ["CreateRule"]);

    world.put("Frontend", "web", spec(&json!([rules[1], rules[3]])));
    world.settle();
    assert_eq!(moto.list("describe-rules", "Rules", &["--listener-arn", &arn]).len(), 2);
    world.delete("Frontend", "web");
    world.settle();
    assert!(moto.list("describe-load-balancers", "LoadBalancers", &[]).is_empty());
    assert!(moto.list("describe-target-groups", "TargetGroups", &[]).is_empty());
    assert!(world.host.get_json(&target("Frontend", "web")).is_none());
}
