//! Every verb of every tested kubectl on every kind that a Deployment takes: each says, does and shows what it should.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use anyhow::{Context, Result, ensure};
use gantry_tests::case::text;
use gantry_tests::manifests::{IMAGE, container, deployment, pod};
use gantry_tests::{Case, Suite, Watch};
use serde_json::{Value, json};

#[test]
fn every_verb_of_every_version() -> Result<()> {
    Suite::start("kubectl")?.run_with_each("verbs", |case| {
        let world = World::new(case)?;
        for subject in world.subjects() {
            let look = || {
                shows(case, &subject)?;
                describes(case, &subject)?;
                changes(case, &subject)?;
                watches(case, &subject)?;
                creates_and_deletes(case, &subject)
            };
            look().with_context(|| format!("on {} {}", subject.kind, subject.name))?;
        }
        generates(case)?;
        scales(case, &world)?;
        rolls_out(case)?;
        speaks_with_containers(case)?;
        waits(case, &world)?;
        says_what_there_is(case)
    })
}

/// What there is to look at.
struct World {
    namespace: String,
    set: String,
    pod: String,
    node: String,
    event: String,
}

/// An object, and what is telling of its kind.
struct Subject {
    kind: &'static str,
    /// As manifests say it.
    proper: &'static str,
    /// As `-o name` says it.
    full: &'static str,
    name: String,
    /// A column of the wide table.
    wide: &'static str,
    described: &'static [&'static str],
    /// Another object of the kind, to make and delete.
    other: Value,
}

impl World {
    fn new(case: &Case) -> Result<Self> {
        case.apply(&deployment("web", 2))?;
        case.line("create configmap settings --from-literal=color=red")?;
        case.line("create secret generic hush --from-literal=password=p4ss")?;
        case.line("rollout status deployment/web --timeout=120s")?;
        let first = |line: &str| case.names(line)?.into_iter().next().with_context(|| format!("there are no {line}"));
        let pod = first("pods -l app=web")?;
        let about = format!("events --field-selector involvedObject.name={pod},reason=Started");
        let event = case.until("an event about a pod", || first(&about))?;
        // Not the first there is: others make and delete some.
        let node = text(&case.get(&format!("pod {pod}"))?, "/spec/nodeName");
        Ok(Self { namespace: case.namespace.clone(), set: first("replicasets")?, pod, node, event })
    }

    fn subjects(&self) -> Vec<Subject> {
        let Self { namespace, set, pod, node, event } = self;
        let mut all = Self::workloads(set, pod);
        all.push(subject(
            ["node", "Node", "node"],
            node,
            "CONTAINER-RUNTIME",
            &["Container Runtime Version:", "PodCIDR:", "Allocated resources:"],
        ));
        all.push(subject(["namespace", "Namespace", "namespace"], namespace, "STATUS", &["Active"]));
        all.push(subject(["configmap", "ConfigMap", "configmap"], "settings", "DATA", &["color:", "red"]));
        all.push(subject(["secret", "Secret", "secret"], "hush", "TYPE", &["Opaque", "password:", "4 bytes"]));
        let described = &["Reason:", "Started", "Involved Object:"];
        all.push(subject(["event", "Event", "event"], event, "SOURCE", described));
        let bare = |kind: &str, name: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
        for subject in &mut all {
            let name = format!("{namespace}-made");
            subject.other = match subject.kind {
                "deployment" => deployment(&name, 0),
                "replicaset" => replica_set(&name),
                "pod" => gantry_tests::manifests::pod(&name, "sleep 600"),
                "event" => event_of(namespace, &name),
                _ => bare(subject.proper, &name),
            };
        }
        all
    }

    fn workloads(set: &str, pod: &str) -> Vec<Subject> {
        vec![
            subject(
                ["deployment", "Deployment", "deployment.apps"],
                "web",
                "SELECTOR",
                &["StrategyType:", "2 desired", "NewReplicaSet:", "ScalingReplicaSet"],
            ),
            subject(
                ["replicaset", "ReplicaSet", "replicaset.apps"],
                set,
                "SELECTOR",
                &["Deployment/web", "Pods Status:", "SuccessfulCreate"],
            ),
            subject(["pod", "Pod", "pod"], pod, "NOMINATED", &["ReplicaSet/web-", "containerd://", "Scheduled"]),
        ]
    }
}

fn subject(names: [&'static str; 3], name: &str, wide: &'static str, described: &'static [&'static str]) -> Subject {
    let [kind, proper, full] = names;
    Subject { kind, proper, full, name: name.to_owned(), wide, described, other: Value::Null }
}

fn replica_set(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container("main", "serve")]}},
        },
    })
}

fn event_of(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": name}, "type": "Normal", "reason": "Made",
        "message": "by hand", "involvedObject": {"kind": "Namespace", "name": namespace, "namespace": namespace},
    })
}

/// That all of this is in what was said.
fn has(said: &str, wanted: &[&str]) -> Result<()> {
    for want in wanted {
        ensure!(said.contains(want), "there is no {want:?} in:\n{said}");
    }
    Ok(())
}

/// `get`, in every format.
fn shows(case: &Case, subject: &Subject) -> Result<()> {
    let Subject { kind, proper, full, name, wide, .. } = subject;
    let get = |format: &str| case.line(&format!("get {kind} {name} {format}"));
    let titles = if *kind == "event" { ["LAST SEEN", "REASON", "MESSAGE"] } else { ["NAME", "AGE", name.as_str()] };
    has(&get("")?, &titles)?;
    has(&get("-o wide")?, &[wide])?;
    has(&get("-o yaml")?, &[&format!("kind: {proper}\n"), &format!("  name: {name}\n")])?;
    let object: Value = serde_json::from_str(&get("-o json")?)?;
    ensure!(text(&object, "/kind") == *proper && text(&object, "/metadata/name") == *name, "{object}");
    let named = get("-o name")?;
    ensure!(named.trim() == format!("{full}/{name}"), "{named}");
    let path = get("-o jsonpath={.metadata.name}")?;
    ensure!(path == *name, "{path}");
    let all = case.line(&format!("get {kind}s -o name"))?;
    ensure!(all.lines().any(|line| line == named.trim()), "{named} is not in {all}");
    Ok(())
}

fn describes(case: &Case, subject: &Subject) -> Result<()> {
    let Subject { kind, proper, name, described, .. } = subject;
    case.until("the description", || {
        let said = case.line(&format!("describe {kind} {name}"))?;
        has(&said, &[&[name.as_str()], *described].concat())
    })?;
    let explained = case.line(&format!("explain {kind}"))?;
    let words: Vec<&str> = explained.split_whitespace().collect();
    ensure!(words.windows(2).any(|pair| pair == ["KIND:", proper]), "{explained}");
    has(&explained, &["DESCRIPTION:", "metadata"])
}

/// `label`, `annotate`, `patch`, `edit`. Each kubectl has keys of its own: nodes are everybody's.
fn changes(case: &Case, subject: &Subject) -> Result<()> {
    let Subject { kind, name, .. } = subject;
    let key = format!("{}.example.com/key", case.namespace);
    let label = || case.line(&format!("get {kind} {name} -L {key} --no-headers"));
    has(&case.line(&format!("label {kind} {name} {key}=of-label"))?, &["labeled"])?;
    has(&label()?, &["of-label"])?;
    let selected = case.line(&format!("get {kind}s -l {key}=of-label -o name"))?;
    ensure!(selected.trim().ends_with(&format!("/{name}")), "{selected}");
    has(&case.line(&format!("label {kind} {name} {key}-"))?, &["unlabeled"])?;
    ensure!(!label()?.contains("of-label"), "{}", label()?);
    let note = || {
        let object = case.get(&format!("{kind} {name}"))?;
        anyhow::Ok(object["metadata"]["annotations"][&key].as_str().unwrap_or_default().to_owned())
    };
    let is = |want: &str| {
        let now: String = note()?;
        ensure!(now == want, "the annotation is {now:?}, not {want:?}");
        anyhow::Ok(())
    };
    has(&case.line(&format!("annotate --overwrite {kind} {name} {key}=of-annotate"))?, &["annotate"])?;
    is("of-annotate")?;
    // Its own words: scenarios of all versions change one node at the same time.
    let (patched, edited_to) = (format!("{}-patch", case.namespace), format!("{}-edit", case.namespace));
    let patch = json!({"metadata": {"annotations": {&key: patched}}}).to_string();
    has(&case.run(&["patch", kind, name, "--type=merge", "-p", &patch])?, &["patched"])?;
    is(&patched)?;
    let mut edit = case.kubectl.command(&["edit", kind, name]);
    let edited = edit.env("KUBE_EDITOR", format!("sed -i s/{patched}/{edited_to}/")).output()?;
    ensure!(edited.status.success(), "{}", String::from_utf8_lossy(&edited.stderr));
    has(&String::from_utf8_lossy(&edited.stdout), &["edited"])?;
    is(&edited_to)?;
    case.line(&format!("annotate {kind} {name} {key}-"))?;
    is("")
}

/// `get -w` shows what is there, and then what changes.
fn watches(case: &Case, subject: &Subject) -> Result<()> {
    let Subject { kind, name, .. } = subject;
    let key = format!("{}.example.com/watched", case.namespace);
    let column = format!("custom-columns=NAME:.metadata.name,KEY:.metadata.labels.{}", key.replace('.', "\\."));
    let watch = Watch::start(&case.kubectl, &[kind, name, "-o", &column])?;
    watch.until("what is there", |line| line.starts_with(name.as_str()) && line.ends_with("<none>"))?;
    case.line(&format!("label {kind} {name} {key}=now"))?;
    watch.until("what changes", |line| line.starts_with(name.as_str()) && line.ends_with("now"))?;
    case.line(&format!("label {kind} {name} {key}-")).map(drop)
}

/// `create`, `apply`, `delete`, by manifests.
fn creates_and_deletes(case: &Case, subject: &Subject) -> Result<()> {
    let Subject { kind, full, other, .. } = subject;
    let name = text(other, "/metadata/name");
    has(&case.kubectl.succeed(&["create", "-f", "-"], &other.to_string())?, &[full, &name, "created"])?;
    let refused = case.kubectl.fail(&["create", "-f", "-"], &other.to_string())?;
    has(&refused, &["AlreadyExists", &name])?;
    let mut changed = other.clone();
    changed["metadata"]["annotations"] = json!({"example.com/note": "applied"});
    has(&case.apply(&changed)?, &[full, &name, "configured"])?;
    has(&case.apply(&changed)?, &["unchanged"])?;
    let note = case.get(&format!("{kind} {name}"))?;
    ensure!(note["metadata"]["annotations"]["example.com/note"] == "applied", "{}", note["metadata"]);
    has(&case.line(&format!("delete {kind} {name} --timeout=60s"))?, &[&name, "deleted"])?;
    ensure!(case.is_gone(&format!("{kind} {name}"))?, "it is still there");
    has(&case.fail(&format!("get {kind} {name}"))?, &["NotFound", &name])
}

/// `create` of those kinds that it makes from arguments.
fn generates(case: &Case) -> Result<()> {
    let space = format!("{}-generated", case.namespace);
    let table = [
        (format!("deployment generated --image={IMAGE} --replicas=0"), "deployment.apps/generated"),
        ("configmap generated --from-literal=a=b".to_owned(), "configmap/generated"),
        ("secret generic generated --from-literal=a=b".to_owned(), "secret/generated"),
        (format!("namespace {space}"), &format!("namespace/{space}")),
    ];
    for (line, object) in table {
        let said = case.line(&format!("create {line}"))?;
        ensure!(said.trim() == format!("{object} created"), "{said}");
        has(&case.line(&format!("delete {object} --timeout=60s"))?, &["deleted"])?;
    }
    Ok(())
}

fn scales(case: &Case, world: &World) -> Result<()> {
    has(&case.line("scale deployment web --current-replicas=2 --replicas=3")?, &["deployment.apps/web scaled"])?;
    case.until_is("deployment web", "/status/readyReplicas", 3)?;
    let set = format!("replicaset {}", world.set);
    case.until_is(&set, "/status/readyReplicas", 3)?;
    let refused = case.fail("scale deployment web --current-replicas=7 --replicas=1")?.to_lowercase();
    has(&refused, &["expected replicas to be 7, was 3"])?;
    // One that nobody owns is its own master.
    case.apply(&replica_set("alone"))?;
    has(&case.line("scale replicaset alone --replicas=1")?, &["replicaset.apps/alone scaled"])?;
    case.until_is("replicaset alone", "/status/readyReplicas", 1)?;
    case.line("delete replicaset alone --timeout=60s").map(drop)
}

fn rolls_out(case: &Case) -> Result<()> {
    let done = || case.line("rollout status deployment/web --timeout=120s");
    has(&done()?, &["deployment \"web\" successfully rolled out"])?;
    has(&case.line("set env deployment/web VERSION=2")?, &["env updated"])?;
    done()?;
    has(&case.line("rollout restart deployment/web")?, &["restarted"])?;
    done()?;
    let history = case.line("rollout history deployment/web")?;
    let revisions: Vec<&str> = history.lines().filter_map(|line| line.split_whitespace().next()).collect();
    ensure!(["REVISION", "1", "2", "3"].iter().all(|word| revisions.contains(word)), "{history}");
    has(&case.line("rollout history deployment/web --revision=2")?, &["revision #2", "VERSION:", IMAGE])?;
    has(&case.line("rollout undo deployment/web --to-revision=1")?, &["rolled back"])?;
    done()?;
    let now = case.get("deployment web")?;
    ensure!(now.pointer("/spec/template/spec/containers/0/env").is_none(), "{}", now["spec"]);
    Ok(())
}

fn speaks_with_containers(case: &Case) -> Result<()> {
    has(&case.line("logs deployment/web")?, &["listening on port 8080"])?;
    has(&case.line("logs -l app=web --tail=-1 --prefix")?, &["[pod/web-", "listening on port 8080"])?;
    case.apply(&pod("talks", "lines 20 100"))?;
    case.until_log("talks", "line 1\n")?;
    let all = case.line("logs -f talks")?;
    ensure!(all.lines().count() == 20 && all.ends_with("line 20\n"), "{all}");
    let said = case.line("exec deployment/web -- /web echo from within")?;
    ensure!(said == "from within\n", "{said:?}");
    let said = case.kubectl.succeed(&["exec", "-i", "deployment/web", "--", "/web", "cat"], "there and back")?;
    ensure!(said == "there and back", "{said:?}");
    Ok(())
}

fn waits(case: &Case, world: &World) -> Result<()> {
    for (condition, object) in [
        ("condition=Available", "deployment/web"),
        ("condition=Ready", "pod -l app=web"),
        ("condition=Ready", &format!("node/{}", world.node)),
        ("jsonpath={.status.phase}=Active", &format!("namespace/{}", world.namespace)),
        ("jsonpath={.data.color}=red", "configmap/settings"),
        ("jsonpath={.type}=Opaque", "secret/hush"),
    ] {
        has(&case.line(&format!("wait --for={condition} {object} --timeout=60s"))?, &["condition met"])?;
    }
    has(&case.fail("wait --for=condition=Nonsense deployment/web --timeout=1s")?, &["timed out"])
}

fn says_what_there_is(case: &Case) -> Result<()> {
    let resources = case.line("api-resources --no-headers -o wide")?;
    for (name, kind) in [
        ("deployments", "Deployment"),
        ("replicasets", "ReplicaSet"),
        ("pods", "Pod"),
        ("nodes", "Node"),
        ("namespaces", "Namespace"),
        ("configmaps", "ConfigMap"),
        ("secrets", "Secret"),
        ("events", "Event"),
    ] {
        let mut lines = resources.lines().filter(|line| line.split_whitespace().next() == Some(name));
        let line = lines.next().with_context(|| format!("no {name} in {resources}"))?;
        has(line, &[kind, "create", "delete", "get", "list", "patch", "update", "watch"])?;
    }
    has(&case.line("cluster-info")?, &["is running at", "https://127.0.0.1:"])
}
