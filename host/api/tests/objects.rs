//! Objects as real kubectl makes, changes, shows and deletes them.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Cluster, versions};
use tokio::io::{AsyncBufReadExt, BufReader};

const SOME: [&str; 2] = ["1.27", "1.33"];
const MANY: [&str; 4] = ["1.27", "1.30", "1.32", "1.33"];

async fn cluster() -> Cluster {
    Cluster::start(support::stored().await).await
}

fn web(name: &str, replicas: u32, image: &str) -> String {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "web", "image": image, "ports": [{"containerPort": 80}]}]},
        }},
    })
    .to_string()
}

impl Cluster {
    async fn json(&self, path: &str) -> Value {
        self.get(path).await.json()
    }
}

#[tokio::test]
async fn objects_are_created_shown_and_deleted() {
    let cluster = cluster().await;
    for version in versions(&MANY) {
        let ns = format!("ns-{}", version.replace('.', "-"));
        cluster.kubectl(version, &["create", "namespace", &ns]).await;
        let run = |args: &[&str]| {
            let args: Vec<String> = ["-n", &ns].iter().chain(args).map(|a| (*a).to_owned()).collect();
            let cluster = &cluster;
            async move { cluster.kubectl(version, &args.iter().map(String::as_str).collect::<Vec<_>>()).await }
        };
        run(&["create", "configmap", "conf", "--from-literal=a=1", "--from-literal=b=x y"]).await;
        run(&["create", "secret", "generic", "hush", "--from-literal=password=p"]).await;
        run(&["create", "deployment", "web", "--image=i:1", "--replicas=2"]).await;
        run(&["run", "single", "--image=i:1", "--restart=Never"]).await;
        assert_eq!(run(&["get", "configmap", "conf", "-o", "jsonpath={.data.b}"]).await, "x y");
        assert_eq!(run(&["get", "secret", "hush", "-o", "jsonpath={.data.password}"]).await, "cA==");
        assert_eq!(run(&["get", "cm", "conf", "-o", "name"]).await.trim(), "configmap/conf");
        assert_eq!(
            run(&["get", "deploy", "-o", "custom-columns=N:.metadata.name,R:.spec.replicas", "--no-headers"])
                .await
                .split_whitespace()
                .collect::<Vec<_>>(),
            ["web", "2"]
        );
        let yaml = run(&["get", "pod", "single", "-o", "yaml"]).await;
        assert!(yaml.contains("phase: Pending") && !yaml.contains("managedFields"), "{yaml}");
        let wide = run(&["get", "pods", "-o", "wide"]).await;
        assert!(wide.contains("READY") && wide.contains("NODE") && wide.contains("single"), "{wide}");
        let described = run(&["describe", "pod", "single"]).await;
        assert!(described.contains("Image:") && described.contains("i:1"), "{described}");
        let described = run(&["describe", "deployment", "web"]).await;
        assert!(described.contains("2 desired"), "{described}");
        run(&["create", "configmap", "more", "--from-literal=a=1", "--dry-run=server"]).await;
        let all = cluster.kubectl(version, &["get", "cm,secrets", "-A", "--chunk-size=1"]).await;
        assert!(all.contains("configmap/conf") && all.contains("secret/hush") && !all.contains("more"), "{all}");
        let exists = cluster.kubectl_fails(version, &["-n", &ns, "create", "configmap", "conf"], "").await;
        assert!(exists.contains("(AlreadyExists)") || exists.contains("already exists"), "{exists}");
        run(&["delete", "pod/single", "deploy/web", "cm/conf", "--timeout=20s"]).await;
        let gone = cluster.kubectl_fails(version, &["-n", &ns, "get", "pod", "single"], "").await;
        assert!(gone.contains("Error from server (NotFound): pods \"single\" not found"), "{gone}");
        run(&["delete", "secrets", "--all"]).await;
        assert!(run(&["get", "secrets"]).await.contains("No resources found"));
    }
    cluster.handle.stop().await;
}

#[tokio::test]
async fn apply_by_the_client_creates_changes_and_takes_away() {
    let cluster = cluster().await;
    for version in versions(&MANY) {
        let name = format!("web-{}", version.replace('.', "-"));
        let apply = |input: String| {
            let cluster = &cluster;
            async move { cluster.kubectl_with(version, &["apply", "-f", "-"], &input).await }
        };
        assert!(apply(web(&name, 2, "i:1")).await.contains("created"));
        assert!(apply(web(&name, 2, "i:1")).await.contains("unchanged"));
        assert!(apply(web(&name, 3, "i:2")).await.contains("configured"));
        let mut other: Value = serde_json::from_str(&web(&name, 3, "i:2")).unwrap();
        other["metadata"]["labels"] = json!({"tier": "front"});
        other["spec"]["template"]["spec"]["containers"] = json!([{"name": "side", "image": "s:1"}, {"name": "web", "image": "i:3", "env": [{"name": "A", "value": "1"}]}]);
        assert!(apply(other.to_string()).await.contains("configured"));
        let path = format!("/apis/apps/v1/namespaces/default/deployments/{name}");
        let now = cluster.json(&path).await;
        assert_eq!(now["metadata"]["labels"], json!({"tier": "front"}));
        let containers = &now["spec"]["template"]["spec"]["containers"];
        assert_eq!((&containers[0]["name"], &containers[1]["image"]), (&json!("side"), &json!("i:3")));
        assert!(containers[1].get("ports").is_none(), "{containers}");
        let config =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1", "b": "2"}});
        apply(config.to_string()).await;
        let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"b": "3"}});
        apply(config.to_string()).await;
        assert_eq!(
            cluster.json(&format!("/api/v1/namespaces/default/configmaps/{name}")).await["data"],
            json!({"b": "3"})
        );
        let odd = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "odd"}, "date": {"b": "3"}});
        let refused = cluster.kubectl_fails(version, &["apply", "-f", "-"], &odd.to_string()).await;
        assert!(refused.contains("unknown field \"date\""), "{refused}");
        // A kind that kubectl does not know.
        let lift = |color: &str| {
            json!({"apiVersion": "gantry.test/v1", "kind": "Lift", "metadata": {"name": name}, "spec": {"color": color}}).to_string()
        };
        apply(lift("red")).await;
        assert!(apply(lift("blue")).await.contains("configured"));
        assert_eq!(cluster.kubectl(version, &["get", "lift", &name, "-o", "jsonpath={.spec.color}"]).await, "blue");
    }
    cluster.handle.stop().await;
}

#[tokio::test]
async fn apply_by_the_server_keeps_owners_apart() {
    let cluster = cluster().await;
    for version in versions(&SOME) {
        let name = format!("web-{}", version.replace('.', "-"));
        let one = ["apply", "--server-side", "-f", "-"];
        let other = ["apply", "--server-side", "--field-manager=other", "-f", "-"];
        assert!(cluster.kubectl_with(version, &one, &web(&name, 2, "i:1")).await.contains("serverside-applied"));
        let conflict = cluster.kubectl_fails(version, &other, &web(&name, 5, "i:1")).await;
        assert!(
            conflict.contains("Apply failed with 1 conflict: conflict with \"kubectl\": .spec.replicas"),
            "{conflict}"
        );
        let forced = [&other[..], &["--force-conflicts"]].concat();
        cluster.kubectl_with(version, &forced, &web(&name, 5, "i:1")).await;
        let replicas = cluster.kubectl(version, &["get", "deploy", &name, "-o", "jsonpath={.spec.replicas}"]).await;
        assert_eq!(replicas, "5");
        let shown = cluster.kubectl(version, &["get", "deploy", &name, "-o", "yaml", "--show-managed-fields"]).await;
        assert!(shown.contains("operation: Apply") && shown.contains("manager: other"), "{shown}");
        // What the client applied before, the server takes over.
        let moved = format!("moved-{name}");
        cluster.kubectl_with(version, &["apply", "-f", "-"], &web(&moved, 2, "i:1")).await;
        cluster.kubectl_with(version, &one, &web(&moved, 3, "i:1")).await;
        let moved = cluster.json(&format!("/apis/apps/v1/namespaces/default/deployments/{moved}")).await;
        assert_eq!(moved["spec"]["replicas"], 3);
        let diff = cluster
            .run(version, &["diff", "--server-side", "--field-manager=other", "-f", "-"], &web(&name, 6, "i:1"))
            .await;
        let diff = String::from_utf8_lossy(&diff.stdout).into_owned();
        assert!(diff.contains("-  replicas: 5") && diff.contains("+  replicas: 6"), "{diff}");
    }
    cluster.handle.stop().await;
}

#[tokio::test]
async fn edits_patches_labels_and_settings() {
    let cluster = cluster().await;
    for version in versions(&MANY) {
        let name = format!("web-{}", version.replace('.', "-"));
        let path = format!("/apis/apps/v1/namespaces/default/deployments/{name}");
        let target = format!("deployment/{name}");
        cluster.kubectl_with(version, &["create", "-f", "-"], &web(&name, 2, "i:1")).await;
        let mut edit = cluster.command(version, &["edit", &target]);
        let edited = edit.env("KUBE_EDITOR", "sed -i s/replicas:.2/replicas:\\ 4/").output().await.unwrap();
        assert!(edited.status.success(), "{edited:?}");
        assert_eq!(cluster.json(&path).await["spec"]["replicas"], 4);
        for (kind, patch) in [
            ("json", r#"[{"op":"replace","path":"/spec/replicas","value":5}]"#),
            ("merge", r#"{"metadata":{"annotations":{"note":"merged"}}}"#),
            ("strategic", r#"{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"i:9"}]}}}}"#),
        ] {
            cluster.kubectl(version, &["patch", &target, "--type", kind, "-p", patch]).await;
        }
        cluster.kubectl(version, &["label", &target, "tier=front", "app-"]).await;
        let kept = cluster.kubectl_fails(version, &["label", &target, "tier=back"], "").await;
        assert!(kept.contains("--overwrite"), "{kept}");
        cluster.kubectl(version, &["label", &target, "tier=back", "--overwrite"]).await;
        cluster.kubectl(version, &["annotate", &target, "why=because", "note-"]).await;
        cluster.kubectl(version, &["set", "env", &target, "A=1", "B=2"]).await;
        cluster.kubectl(version, &["set", "env", &target, "A-"]).await;
        cluster.kubectl(version, &["set", "resources", &target, "--limits=cpu=1,memory=1Gi"]).await;
        cluster.kubectl(version, &["rollout", "restart", &target]).await;
        cluster.kubectl(version, &["rollout", "pause", &target]).await;
        cluster.kubectl(version, &["scale", &target, "--replicas=7", "--current-replicas=5"]).await;
        let now = cluster.json(&path).await;
        let container = &now["spec"]["template"]["spec"]["containers"][0];
        assert_eq!((&now["spec"]["replicas"], &now["spec"]["paused"]), (&json!(7), &json!(true)));
        assert_eq!((&now["metadata"]["labels"], &container["image"]), (&json!({"tier": "back"}), &json!("i:9")));
        assert_eq!(now["metadata"]["annotations"], json!({"why": "because"}));
        assert_eq!(container["env"], json!([{"name": "B", "value": "2"}]));
        assert_eq!(container["ports"][0]["containerPort"], 80);
        assert_eq!(container["resources"]["limits"], json!({"cpu": "1", "memory": "1Gi"}));
        assert!(now["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"].is_string());
        assert_eq!(
            cluster.kubectl(version, &["get", "deploy", "-l", "tier=back,!app", "-o", "name"]).await.trim(),
            format!("deployment.apps/{name}")
        );
        let replaced = web(&name, 1, "i:0");
        cluster.kubectl_with(version, &["replace", "-f", "-"], &replaced).await;
        assert_eq!(cluster.json(&path).await["spec"]["replicas"], 1);
        let wrong =
            cluster.kubectl_fails(version, &["patch", &target, "-p", r#"{"spec":{"replicas":"many"}}"#], "").await;
        assert!(wrong.contains("is invalid: spec.replicas: Invalid value"), "{wrong}");
        cluster.kubectl(version, &["delete", &target, "--timeout=20s"]).await;
    }
    cluster.handle.stop().await;
}

#[tokio::test]
async fn deletion_leaves_dependents_as_it_is_told() {
    let cluster = cluster().await;
    for version in versions(&SOME) {
        for (cascade, finalizer) in
            [("background", None), ("foreground", Some("foregroundDeletion")), ("orphan", Some("orphan"))]
        {
            let name = format!("{cascade}-{}", version.replace('.', "-"));
            cluster.kubectl_with(version, &["create", "-f", "-"], &web(&name, 1, "i:1")).await;
            cluster
                .kubectl(version, &["delete", "deploy", &name, &format!("--cascade={cascade}"), "--wait=false"])
                .await;
            let left = cluster.get(&format!("/apis/apps/v1/namespaces/default/deployments/{name}")).await;
            match finalizer {
                None => assert_eq!(left.code, 404),
                Some(finalizer) => {
                    assert_eq!(left.json()["metadata"]["finalizers"], json!([finalizer]));
                    assert!(left.json()["metadata"]["deletionTimestamp"].is_string());
                    let free = r#"{"metadata":{"finalizers":null}}"#;
                    cluster.kubectl(version, &["patch", "deploy", &name, "--type=merge", "-p", free]).await;
                    cluster
                        .kubectl(version, &["wait", "--for=delete", &format!("deploy/{name}"), "--timeout=20s"])
                        .await;
                }
            }
        }
    }
    cluster.handle.stop().await;
}

#[tokio::test]
async fn watches_and_waits_see_changes() {
    let cluster = cluster().await;
    for version in versions(&SOME) {
        let name = format!("lift-{}", version.replace('.', "-"));
        let lift = json!({"apiVersion": "gantry.test/v1", "kind": "Lift", "metadata": {"name": name}, "spec": {"color": "red"}});
        let mut watch = cluster
            .command(
                version,
                &["get", "lifts", "-w", "-o", "custom-columns=N:.metadata.name,C:.spec.color", "--no-headers"],
            )
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
        let mut next = async |color: &str| loop {
            let line = tokio::time::timeout(Duration::from_secs(30), lines.next_line()).await.expect("no event");
            let line = line.unwrap().expect("the watch ended");
            if line.split_whitespace().eq([name.as_str(), color]) {
                return;
            }
        };
        cluster.kubectl_with(version, &["create", "-f", "-"], &lift.to_string()).await;
        next("red").await;
        cluster.kubectl(version, &["patch", "lift", &name, "--type=merge", "-p", r#"{"spec":{"color":"blue"}}"#]).await;
        next("blue").await;
        let target = format!("lift/{name}");
        let args = ["wait", "--for=jsonpath={.spec.color}=green", &target, "--timeout=30s"];
        let waiting = cluster.kubectl(version, &args);
        let patch = ["patch", "lift", &name, "--type=merge", "-p", r#"{"spec":{"color":"green"}}"#];
        let (waited, _) = tokio::join!(waiting, cluster.kubectl(version, &patch));
        assert!(waited.contains("condition met"), "{waited}");
        next("green").await;
        let deleted = ["wait", "--for=delete", &target, "--timeout=30s"];
        let delete = ["delete", &target];
        tokio::join!(cluster.kubectl(version, &deleted), cluster.kubectl(version, &delete));
        watch.kill().await.unwrap();
    }
    cluster.handle.stop().await;
}

#[tokio::test]
async fn statuses_and_scales_and_bindings_over_http() {
    let cluster = cluster().await;
    let post = |path: &'static str, body: Value| {
        let cluster = &cluster;
        async move { cluster.ask(http::Method::POST, path, &[], &body.to_string()).await }
    };
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    assert_eq!(post("/api/v1/namespaces/default/pods", pod).await.code, 201);
    let binding = json!({"target": {"name": "n1"}});
    assert_eq!(post("/api/v1/namespaces/default/pods/p/binding", binding.clone()).await.code, 201);
    assert_eq!(post("/api/v1/namespaces/default/pods/p/binding", binding).await.failure(), (409, "Conflict".into()));
    let pods = cluster.json("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1").await;
    assert_eq!(pods["items"].as_array().unwrap().len(), 1);
    let merge = [("content-type", "application/merge-patch+json")];
    let running = r#"{"status":{"phase":"Running"},"metadata":{"labels":{"x":"y"}}}"#;
    let path = "/api/v1/namespaces/default/pods/p/status";
    let answer = cluster.ask(http::Method::PATCH, path, &merge, running).await.json();
    assert_eq!(answer["status"]["phase"], "Running");
    let evicted = post("/api/v1/namespaces/default/pods/p/eviction", json!({"metadata": {"name": "p"}})).await;
    assert_eq!(evicted.code, 201);
    let ending = cluster.json("/api/v1/namespaces/default/pods/p").await;
    assert_eq!(ending["metadata"]["deletionGracePeriodSeconds"], 30);
    let stale = cluster.get("/api/v1/pods?limit=1&continue=nonsense").await;
    assert_eq!(stale.failure().0, 400);
    cluster.handle.stop().await;
}

#[tokio::test]
async fn fields_that_come_twice_are_refused_told_or_taken() {
    let cluster = cluster().await;
    let path = "/api/v1/namespaces/default/configmaps";
    let json = r#"{"metadata":{"name":"m"},"data":{"a":"1","a":"2"},"odd":1}"#;
    let yaml = "metadata: {name: m}\nodd: 1\ndata:\n  a: '1'\n  a: '2'\n";
    for (media, body) in [("application/json", json), ("application/yaml", yaml)] {
        let post = async |validation: &str| {
            let path = format!("{path}?fieldValidation={validation}");
            cluster.ask(http::Method::POST, &path, &[("content-type", media)], body).await
        };
        let refused = post("Strict").await;
        assert_eq!(refused.failure(), (400, "BadRequest".into()), "{media}");
        let message = refused.json()["message"].as_str().unwrap().to_owned();
        let want = "strict decoding error: duplicate field \"data.a\", unknown field \"odd\"";
        assert!(message.ends_with(want), "{message}");
        let told = post("Warn").await;
        assert_eq!((told.code.as_u16(), &told.json()["data"]["a"]), (201, &json!("2")));
        let warnings: Vec<&str> = told.headers.get_all("warning").iter().map(|w| w.to_str().unwrap()).collect();
        assert_eq!(warnings, ["299 - \"duplicate field \\\"data.a\\\"\"", "299 - \"unknown field \\\"odd\\\"\""]);
        let path = format!("{path}/m");
        let quiet = cluster
            .ask(http::Method::PUT, &format!("{path}?fieldValidation=Ignore"), &[("content-type", media)], body)
            .await;
        assert!(quiet.code.is_success() && quiet.headers.get("warning").is_none(), "{}", quiet.text());
        let merge = [("content-type", "application/merge-patch+json")];
        let patch = r#"{"data":{"b":"1","b":"2"}}"#;
        let strict = format!("{path}?fieldValidation=Strict");
        let refused = cluster.ask(http::Method::PATCH, &strict, &merge, patch).await;
        assert_eq!(refused.failure().0, 400);
        let apply = [("content-type", "application/apply-patch+yaml")];
        let config = "apiVersion: v1\nkind: ConfigMap\ndata: {c: '1', c: '2'}\n";
        let told = cluster.ask(http::Method::PATCH, &format!("{path}?fieldManager=x"), &apply, config).await;
        assert_eq!((told.code.as_u16(), told.headers.get_all("warning").iter().count()), (200, 1), "{}", told.text());
        assert_eq!(cluster.ask(http::Method::DELETE, &path, &[], "").await.code, 200);
    }
    cluster.handle.stop().await;
}

/// Somebody who does not want to wait any more.
#[tokio::test]
async fn a_deletion_that_waits_for_dependents_can_be_told_not_to() {
    let cluster = cluster().await;
    for version in versions(&SOME) {
        let name = format!("web-{}", version.replace('.', "-"));
        let path = format!("/apis/apps/v1/namespaces/default/deployments/{name}");
        cluster.kubectl_with(version, &["create", "-f", "-"], &web(&name, 1, "i:1")).await;
        let delete = async |cascade: &str| {
            cluster
                .kubectl(version, &["delete", "deploy", &name, &format!("--cascade={cascade}"), "--wait=false"])
                .await
        };
        for (cascade, finalizer) in [("foreground", "foregroundDeletion"), ("orphan", "orphan")] {
            delete(cascade).await;
            assert_eq!(cluster.json(&path).await["metadata"]["finalizers"], json!([finalizer]));
        }
        // A client that says nothing of it leaves it as it is.
        cluster.ask(http::Method::DELETE, &path, &[], "").await;
        assert_eq!(cluster.json(&path).await["metadata"]["finalizers"], json!(["orphan"]));
        delete("background").await;
        assert_eq!(cluster.get(&path).await.code, 404);
    }
    cluster.handle.stop().await;
}
