//! What bad input gets: a refusal that names every cause, at the right place, with the right reason.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::process::Command;

use anyhow::{Result, ensure};
use gantry_tests::case::text;
use gantry_tests::manifests::{deployment, pod, with};
use gantry_tests::{Case, Suite, scenarios};
use serde_json::{Value, json};

#[test]
fn objects() -> Result<()> {
    Suite::start("objects")?.run(scenarios![
        invalid_fields_are_all_named,
        rules_across_fields_are_the_plugins,
        unknown_fields_are_refused_or_warned_of,
        malformed_text_is_refused,
        a_stale_version_conflicts,
        what_is_not_there,
        nothing_happens_in_a_dry_run,
        finalizers_hold,
        definitions_make_kinds,
        strangers_are_refused,
        discovery_and_health,
    ])
}

fn invalid_fields_are_all_named(case: &Case) -> Result<()> {
    let bad = with(pod("bad", "serve"), "/spec/containers/0/name", "Not_A_Label");
    let bad = with(bad, "/spec/containers/0/imagePullPolicy", "Sometimes");
    let said = case.refused(&bad)?;
    for path in ["spec.containers[0].name", "spec.containers[0].imagePullPolicy"] {
        ensure!(said.contains(path), "{path} is not in {said}");
    }
    ensure!(said.contains("is invalid"), "{said}");
    let said = case.refused(&with(deployment("web", 1), "/spec/replicas", -1))?;
    ensure!(said.contains("spec.replicas"), "{said}");
    case.apply(&deployment("web", 0))?;
    let said =
        case.refused(&with(deployment("web", 0), "/spec/selector/matchLabels", json!({"app": "web", "x": "y"})))?;
    ensure!(said.contains("spec.selector"), "{said}");
    case.apply(&pod("fixed", "sleep 60"))?;
    let said = case.fail("patch pod fixed -p {\"spec\":{\"nodeName\":\"elsewhere\"}}")?;
    let why = "spec: Forbidden: pod updates may not change fields other than";
    ensure!(said.contains("The Pod \"fixed\" is invalid") && said.contains(why), "{said}");
    Ok(())
}

/// A rule of one field against another needs code, which is the plugin's: it reviews the write.
fn rules_across_fields_are_the_plugins(case: &Case) -> Result<()> {
    let odd = with(deployment("odd", 1), "/spec/template/metadata/labels", json!({"app": "other"}));
    let odd = with(odd, "/spec/template/spec/restartPolicy", "OnFailure");
    let odd = with(odd, "/spec/strategy/rollingUpdate", json!({"maxSurge": 0, "maxUnavailable": "0%"})).to_string();
    let causes = [
        "spec.template.metadata.labels: Invalid value: {\"app\":\"other\"}: `selector` does not match template `labels`",
        "spec.template.spec.restartPolicy: Unsupported value: \"OnFailure\": supported values: \"Always\"",
        "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 when `maxSurge` is 0",
    ];
    case.apply(&deployment("web", 0))?;
    for kubectl in case.kubectl.extremes() {
        let version = kubectl.version();
        for args in [
            &["apply", "-f", "-"][..],
            &["apply", "--server-side", "-f", "-"],
            &["create", "-f", "-"],
            &["create", "--dry-run=server", "-f", "-"],
        ] {
            let said = kubectl.fail(args, &odd)?;
            ensure!(said.contains("The Deployment \"odd\" is invalid"), "{version:?} {args:?}: {said}");
            for cause in causes {
                ensure!(said.contains(cause), "{version:?} {args:?}: {cause} is not in {said}");
            }
        }
        ensure!(case.is_gone("deployment odd")?, "it was stored");
        let good = with(deployment("good", 1), "/spec/minReadySeconds", 5).to_string();
        kubectl.succeed(&["create", "--dry-run=server", "-f", "-"], &good)?;
        ensure!(case.is_gone("deployment good")?, "a dry run stored it");
        let refused = |args: &str, cause: &str| {
            let said = kubectl.fail(&args.split_whitespace().collect::<Vec<_>>(), "")?;
            ensure!(said.contains(cause), "{version:?} {args}: {said}");
            Ok(())
        };
        let patch = "patch deployment web --type=merge -p";
        refused(
            &format!("{patch} {{\"spec\":{{\"template\":{{\"metadata\":{{\"labels\":{{\"app\":\"x\"}}}}}}}}}}"),
            "`selector` does not match template `labels`",
        )?;
        refused(
            &format!("{patch} {{\"spec\":{{\"strategy\":{{\"type\":\"Recreate\"}}}}}}"),
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
        )?;
        refused(
            &format!("{patch} {{\"spec\":{{\"progressDeadlineSeconds\":0}}}}"),
            "spec.progressDeadlineSeconds: Invalid value: 0: must be greater than minReadySeconds",
        )?;
        refused(
            &format!("{patch} {{\"spec\":{{\"strategy\":{{\"rollingUpdate\":{{\"maxSurge\":\"many\"}}}}}}}}"),
            "spec.strategy.rollingUpdate.maxSurge: Invalid value: \"many\": must be an integer or percentage",
        )?;
        refused(&format!("{patch} {{\"spec\":{{\"replicas\":-1}}}}"), "spec.replicas: Invalid value: -1")?;
        refused(
            &format!("{patch} {{\"spec\":{{\"selector\":{{\"matchLabels\":{{\"x\":\"y\"}}}}}}}}"),
            "spec.selector: Invalid value:",
        )?;
    }
    case.line("scale deployment web --replicas=1")?;
    case.line("rollout status deployment/web --timeout=120s").map(drop)
}

fn unknown_fields_are_refused_or_warned_of(case: &Case) -> Result<()> {
    let odd = with(deployment("web", 0), "/spec/replicsa", 3).to_string();
    let said = case.kubectl.fail(&["apply", "-f", "-"], &odd)?;
    ensure!(said.contains("unknown field \"spec.replicsa\""), "{said}");
    let output = case.kubectl.output(&["apply", "--validate=warn", "-f", "-"], &odd)?;
    let warned = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success() && warned.contains("unknown field \"spec.replicsa\""), "{warned}");
    ensure!(case.get("deployment web")?.pointer("/spec/replicsa").is_none(), "it is dropped");
    Ok(())
}

fn malformed_text_is_refused(case: &Case) -> Result<()> {
    let path = format!("/api/v1/namespaces/{}/configmaps", case.namespace);
    let said = case.kubectl.fail(&["create", "--raw", &path, "-f", "-"], "{\"kind\": ")?;
    ensure!(said.contains("BadRequest") && said.contains("the body is not valid JSON"), "{said}");
    let said = case.kubectl.fail(
        &["create", "--raw", &path, "-f", "-"],
        "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"x\"}}",
    )?;
    let why = "the kind in the data (Secret) does not match the expected kind (ConfigMap)";
    ensure!(said.contains("BadRequest") && said.contains(why), "{said}");
    Ok(())
}

fn a_stale_version_conflicts(case: &Case) -> Result<()> {
    case.line("create configmap one --from-literal=a=1")?;
    let old = case.get("configmap one")?;
    case.run(&["patch", "configmap", "one", "-p", "{\"data\":{\"a\":\"2\"}}"])?;
    let said = case.kubectl.fail(&["replace", "-f", "-"], &old.to_string())?;
    ensure!(said.contains("Conflict") && said.contains("the object has been modified"), "{said}");
    ensure!(case.fail("create configmap one")?.contains("already exists"));
    Ok(())
}

fn what_is_not_there(case: &Case) -> Result<()> {
    ensure!(case.fail("get pod absent")?.contains("pods \"absent\" not found"));
    ensure!(case.fail("get nonsense")?.contains("doesn't have a resource type"));
    let elsewhere = with(pod("p", "serve"), "/metadata/namespace", "no-such-namespace");
    let said = case.kubectl.fail(&["create", "-f", "-", "--namespace=no-such-namespace"], &elsewhere.to_string())?;
    ensure!(said.contains("namespaces \"no-such-namespace\" not found"), "{said}");
    Ok(())
}

fn nothing_happens_in_a_dry_run(case: &Case) -> Result<()> {
    let object = deployment("web", 1).to_string();
    let shown = case.kubectl.succeed(&["apply", "--dry-run=server", "-o", "json", "-f", "-"], &object)?;
    let shown: Value = serde_json::from_str(&shown)?;
    ensure!(text(&shown, "/spec/strategy/type") == "RollingUpdate", "defaults are shown: {shown}");
    ensure!(case.is_gone("deployment web")?);
    Ok(())
}

fn finalizers_hold(case: &Case) -> Result<()> {
    case.line("create configmap held")?;
    case.run(&["patch", "configmap", "held", "-p", "{\"metadata\":{\"finalizers\":[\"example.com/hold\"]}}"])?;
    case.line("delete configmap held --wait=false")?;
    let held = case.get("configmap held")?;
    ensure!(!text(&held, "/metadata/deletionTimestamp").is_empty(), "{held}");
    case.run(&["patch", "configmap", "held", "--type=merge", "-p", "{\"metadata\":{\"finalizers\":null}}"])?;
    case.until_gone("configmap held")
}

fn definitions_make_kinds(case: &Case) -> Result<()> {
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "cranes.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "cranes", "singular": "crane", "kind": "Crane", "shortNames": ["cr"]},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "additionalPrinterColumns": [{"name": "Tons", "type": "integer", "jsonPath": ".spec.tons"}],
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {
                    "type": "object", "required": ["tons"], "properties": {"tons": {"type": "integer", "minimum": 1}},
                }}}},
            }],
        },
    });
    case.apply(&definition)?;
    case.line("wait --for=condition=Established crd/cranes.example.com --timeout=30s")?;
    let crane = |tons: i64| json!({"apiVersion": "example.com/v1", "kind": "Crane", "metadata": {"name": "big"}, "spec": {"tons": tons}});
    case.until("the kind to be there", || case.apply(&crane(40)))?;
    ensure!(case.line("get cr --no-headers")?.split_whitespace().nth(1) == Some("40"));
    ensure!(case.refused(&crane(0))?.contains("spec.tons"));
    case.line("delete crd cranes.example.com --timeout=30s")?;
    case.until("the kind to be gone", || {
        ensure!(case.fail("get cranes").is_ok(), "still there");
        Ok(())
    })
}

fn server(case: &Case) -> Result<String> {
    Ok(case.run(&["config", "view", "-o", "jsonpath={.clusters[0].cluster.server}"])?.trim().to_owned())
}

fn strangers_are_refused(case: &Case) -> Result<()> {
    let url = server(case)?;
    for (path, want) in
        [("/api/v1/pods", "401"), ("/livez", "200"), ("/readyz", "200"), ("/healthz", "200"), ("/metrics", "401")]
    {
        let code = curl(&["-o", "/dev/null", "-w", "%{http_code}", &format!("{url}{path}")])?;
        ensure!(code == want, "{path} gives {code}, not {want}");
    }
    let body = curl(&["-H", "Authorization: Bearer nonsense", &format!("{url}/api/v1/pods")])?;
    let status: Value = serde_json::from_str(&body)?;
    ensure!(status["kind"] == "Status" && status["reason"] == "Unauthorized" && status["code"] == 401, "{body}");
    // An administrator who acts as somebody else may do no more than that one.
    ensure!(case.fail("get configmaps --as bob")?.contains("User \"bob\" cannot list resource \"configmaps\""));
    ensure!(case.line("get namespaces --as bob --as-group gantry:viewers -o name")?.contains("namespace/default"));
    Ok(())
}

fn curl(args: &[&str]) -> Result<String> {
    let output = Command::new("curl").args(["-sk", "--max-time", "20"]).args(args).output()?;
    ensure!(output.status.success(), "curl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn discovery_and_health(case: &Case) -> Result<()> {
    let resources = case.line("api-resources --no-headers")?;
    for name in
        ["pods", "deployments", "replicasets", "nodes", "namespaces", "configmaps", "secrets", "events", "plugins"]
    {
        ensure!(resources.lines().any(|line| line.starts_with(name)), "{name} is not in {resources}");
    }
    ensure!(case.line("cluster-info")?.contains("is running at"));
    ensure!(case.line("get --raw /metrics")?.contains("# TYPE"));
    ensure!(case.line("version")?.contains("Server Version"));
    let plugins = case.names("plugins")?;
    for name in ["controller-workloads", "network-bridge", "scheduler-kubernetes", "sink-file"] {
        ensure!(plugins.iter().any(|plugin| plugin == name), "{plugins:?}");
    }
    let nodes = case.line("get nodes -o wide --no-headers")?;
    ensure!(nodes.contains(" Ready ") && nodes.contains("containerd://"), "{nodes}");
    Ok(())
}
