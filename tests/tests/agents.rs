//! A server and an agent as separate processes: what kubectl does reaches the node, and either can be killed: containers
//! go on, and all is as it should be once both are back.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use gantry_tests::case::{number, text};
use gantry_tests::dns::{self, By};
use gantry_tests::manifests::{deployment, pod, with};
use gantry_tests::{Case, Pair};
use hickory_proto::rr::RecordType;
use serde_json::json;

#[test]
fn server_and_agent_survive_each_other() -> Result<()> {
    let mut pair = Pair::start("agents")?;
    let outcome = play(&mut pair);
    outcome.with_context(|| pair.logs())?;
    pair.stop()
}

fn play(pair: &mut Pair) -> Result<()> {
    let case = pair.case("apart")?;
    reaches_the_node(pair, &case)?;
    is_nobody_else(pair, &case)?;
    tokens_end(pair, &case)?;
    has_its_name_alone(pair, &case)?;
    has_its_addresses_alone(pair, &case)?;
    follows_its_configuration(&case)?;
    server_killed(pair, &case)?;
    agent_killed(pair, &case)?;
    agent_starts_alone(pair, &case)?;
    renews_its_certificate(pair, &case)?;
    case.line("delete deployment/web pod/files --timeout=60s")?;
    case.until("the node to be empty", || {
        let tasks = pair.ctr(&["tasks", "list", "--quiet"])?;
        ensure!(tasks.trim().is_empty(), "tasks are left: {tasks}");
        Ok(())
    })
}

fn reaches_the_node(pair: &Pair, case: &Case) -> Result<()> {
    case.apply(&deployment("web", 2))?;
    case.line("rollout status deployment/web --timeout=120s")?;
    let output = case.kubectl.succeed(&["exec", "-i", "deployment/web", "--", "/web", "cat"], "through and back")?;
    ensure!(output == "through and back", "{output:?}");
    let failed = case.kubectl.output(&["exec", "deployment/web", "--", "/web", "exit", "42"], "")?;
    ensure!(failed.status.code() == Some(42), "{failed:?}");
    case.apply(&pod("counts", "lines 200 100"))?;
    case.until_log("counts", "line 1\n")?;
    // Followed from its first line to its last, over the end of the container.
    let log = case.line("logs --follow counts")?;
    ensure!(log.lines().count() == 200, "{} lines", log.lines().count());
    case.until_is("pod counts", "/status/phase", "Succeeded")?;
    case.until("its lines in the server's sink", || {
        let lines = recorded(pair, "counts")?;
        ensure!(lines == 200, "{lines} lines");
        Ok(())
    })?;
    case.line("delete pod counts --timeout=60s").map(drop)
}

/// A ConfigMap that a pod mounts is followed, though the agent does not watch all.
fn follows_its_configuration(case: &Case) -> Result<()> {
    case.line("create configmap settings --from-literal=color=red")?;
    let files = with(
        pod("files", "sleep 100000"),
        "/spec/volumes",
        serde_json::json!([{"name": "v", "configMap": {"name": "settings"}}]),
    );
    let mount = serde_json::json!([{"name": "v", "mountPath": "/settings"}]);
    case.apply(&with(files, "/spec/containers/0/volumeMounts", mount))?;
    case.line("wait pod/files --for=condition=Ready --timeout=60s")?;
    let color = || case.line("exec files -- /web cat /settings/color");
    ensure!(color()? == "red");
    case.line("patch configmap settings --type=merge -p {\"data\":{\"color\":\"blue\"}}")?;
    case.until("the new color", || {
        let color = color()?;
        ensure!(color == "blue", "it is {color}");
        Ok(())
    })
}

/// With its own certificate an agent reads and writes what is its node's, and nothing else.
fn is_nobody_else(pair: &Pair, case: &Case) -> Result<()> {
    let node = pair.as_node()?;
    ensure!(node.run(&["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"])? == "system:node:apart");
    case.apply(&json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "elsewhere"}}))?;
    for name in ["mine", "foreign"] {
        case.line(&format!("create secret generic {name} --from-literal=key=value"))?;
    }
    let volume = |secret: &str| json!([{"name": "v", "secret": {"secretName": secret}}]);
    let foreign = with(pod("foreign", "sleep 100000"), "/spec/nodeName", json!("elsewhere"));
    case.apply(&with(foreign, "/spec/volumes", volume("foreign")))?;
    case.apply(&with(pod("mine", "sleep 100000"), "/spec/volumes", volume("mine")))?;
    case.line("wait pod/mine --for=condition=Ready --timeout=60s")?;
    let ask = |line: &str| {
        // First: what follows `--` is not kubectl's.
        let args: Vec<&str> = ["-n", case.namespace.as_str()].into_iter().chain(line.split(' ')).collect();
        node.output(&args, "")
    };
    for line in [
        "get secret mine",
        "get pod mine",
        "get services",
        "get nodes",
        "get pods -A --field-selector=spec.nodeName=apart",
        // Network policies are about every pod.
        "get pod foreign",
        "get networkpolicies",
    ] {
        let output = ask(line)?;
        ensure!(output.status.success(), "{line}: {output:?}");
    }
    let status = "--type=merge --subresource=status -p {\"status\":{\"message\":\"x\"}}";
    for line in [
        "get secret foreign".to_owned(),
        "get secrets".to_owned(),
        "get secrets -n kube-system".to_owned(),
        "exec mine -- /web echo x".to_owned(),
        "delete pod foreign".to_owned(),
        format!("patch pod foreign {status}"),
        format!("patch node elsewhere {status}"),
        "label node apart team=a".to_owned(),
        "taint node apart a=b:NoSchedule".to_owned(),
        "cordon apart".to_owned(),
        "delete node apart".to_owned(),
        "create configmap any".to_owned(),
        "get deployments".to_owned(),
    ] {
        let output = ask(&line)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // `kubectl cordon` says so and exits with 0 all the same.
        ensure!(said.contains("orbidden"), "{line}: {output:?}");
    }
    let output = ask(&format!("patch pod mine {status}"))?;
    ensure!(output.status.success(), "its own pod's status: {output:?}");
    case.line("delete pod/mine --timeout=60s")?;
    // Its node takes the other one away with it.
    case.line("delete node/elsewhere").map(drop)
}

fn tokens_end(pair: &Pair, case: &Case) -> Result<()> {
    let make = |name: &str, more: &[&str]| {
        let file = pair.data("server").join(format!("{name}.token"));
        let path = file.to_string_lossy().into_owned();
        let args: Vec<&str> = ["create", "--output", &path].into_iter().chain(more.iter().copied()).collect();
        pair.token(&args)?;
        let text = std::fs::read_to_string(&file)?;
        let id = text.split('.').next().unwrap_or_default().to_owned();
        anyhow::Ok((file, id))
    };
    let refused = |file: &std::path::Path, node: &str, why: &str| {
        let said = pair.try_to_join(file, node)?.with_context(|| format!("{node} has joined"))?;
        ensure!(said.contains(why), "{said:?} does not say {why:?}");
        Ok(())
    };
    let (revoked, id) = make("revoked", &[])?;
    ensure!(pair.token(&["list"])?.contains(&id));
    pair.token(&["revoke", &id])?;
    refused(&revoked, "late", "Unauthorized")?;
    let (bound, _) = make("bound", &["--node", "other"])?;
    refused(&bound, "late", "the token is for node \"other\"")?;
    let (any, _) = make("any", &[])?;
    refused(&any, "apart", "is taken")?;
    let (short, id) = make("short", &[])?;
    // 2020-01-01T00:00:00Z: over, however fast an agent would have joined.
    let over = "{\"data\":{\"expiration\":\"MjAyMC0wMS0wMVQwMDowMDowMFo=\"}}";
    case.line(&format!("patch secret bootstrap-token-{id} -n kube-system --type=merge -p {over}"))?;
    refused(&short, "late", "Unauthorized")?;
    case.until("it to be cleared away", || {
        ensure!(!pair.token(&["list"])?.contains(&id));
        Ok(())
    })?;
    let joined = pair.try_to_join(&any, "late")?;
    ensure!(joined.is_none(), "it can't join: {joined:?}");
    let requests = case.line("get csr -o jsonpath={.items[*].status.conditions[*].type}")?;
    ensure!(requests.contains("Approved") && requests.contains("Denied"), "{requests}");
    Ok(())
}

fn has_its_name_alone(pair: &Pair, case: &Case) -> Result<()> {
    let before = running(pair)?;
    pair.second_agent("taken by another agent")?;
    ensure!(running(pair)? == before, "the second agent touched containers");
    case.line("exec deployment/web -- /web echo mine").map(drop)
}

/// Every node has a range of its own, also after the server was killed; what overlaps is refused.
fn has_its_addresses_alone(pair: &mut Pair, case: &Case) -> Result<()> {
    let range = |name: &str| {
        case.until(&format!("the range of {name}"), || {
            let range = case.line(&format!("get node {name} -o jsonpath={{.spec.podCIDRs[0]}}"))?;
            ensure!(!range.is_empty());
            Ok(range)
        })
    };
    let node = |name: &str, spec: serde_json::Value| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": spec});
    let mut ranges = BTreeSet::from([range("apart")?]);
    for name in ["range-a", "range-b"] {
        case.apply(&node(name, json!({})))?;
        ensure!(ranges.insert(range(name)?), "{name} has a range of another node: {ranges:?}");
    }
    pair.crash_server()?;
    pair.start_server()?;
    case.apply(&node("range-c", json!({})))?;
    ensure!(ranges.insert(range("range-c")?), "range-c has a range of another node: {ranges:?}");
    let taken = range("range-a")?;
    let said = case.refused(&node("range-d", json!({"podCIDR": taken, "podCIDRs": [taken]})))?;
    ensure!(said.contains("overlaps") && said.contains("range-a"), "{said}");
    let service = json!({"podCIDR": "10.96.3.0/24", "podCIDRs": ["10.96.3.0/24"]});
    ensure!(case.refused(&node("range-d", service))?.contains("for Services"));
    case.line("delete node range-a range-b range-c").map(drop)
}

/// A certificate of less than a minute is renewed again and again, and the node goes on.
fn renews_its_certificate(pair: &mut Pair, case: &Case) -> Result<()> {
    pair.crash_server()?;
    pair.crash_agent()?;
    pair.start_server_with(&["--node-certificate-life", "40"])?;
    std::fs::remove_file(pair.data("agent").join("identity.pem"))?;
    // As if it had run out.
    case.line("delete lease apart -n kube-node-lease")?;
    pair.start_agent()?;
    for _ in 0..2 {
        // The node may still look ready from before it had to join anew.
        let before = case.until("a certificate", || pair.certificate())?;
        case.until("another certificate", || {
            ensure!(pair.certificate()? != before);
            Ok(())
        })?;
        case.until("the link", || case.line("exec deployment/web -- /web echo again"))?;
    }
    pair.until_ready("True")
}

fn server_killed(pair: &mut Pair, case: &Case) -> Result<()> {
    let before = containers(case)?;
    let mut follow = case.kubectl.command(&["logs", "--follow", "deployment/web"]);
    let mut follow = follow.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(follow.stdout.take().context("no output")?);
    lines.read_line(&mut String::new())?;
    pair.crash_server()?;
    // A client is told at once.
    lines.read_to_string(&mut String::new())?;
    ensure!(!follow.wait()?.success(), "a log that broke off looks like one that ended");
    ensure!(running(pair)? == before, "containers ended with the server");
    // The agent acts on its own: what ends is started again.
    let one = before.iter().find(|id| id.contains("-web-")).context("no container")?;
    pair.ctr(&["tasks", "kill", "--signal", "SIGKILL", one])?;
    case.until("another container in its place", || {
        let now = running(pair)?;
        ensure!(now.len() == before.len() && !now.contains(one), "{now:?}");
        Ok(())
    })?;
    pair.start_server()?;
    case.line("rollout status deployment/web --timeout=60s")?;
    case.until("the restart in the pod's status", || {
        let restarts: i64 = case.list("pods -l app=web")?.iter().map(restarts).sum();
        ensure!(restarts == 1, "{restarts} restarts");
        Ok(())
    })?;
    pair.until_ready("True")?;
    case.until("the link", || case.line("exec deployment/web -- /web echo again"))?;
    ensure!(running(pair)? == containers(case)?);
    Ok(())
}

fn agent_killed(pair: &mut Pair, case: &Case) -> Result<()> {
    let before = containers(case)?;
    pair.crash_agent()?;
    let refused = case.until("the loss to be noticed", || case.fail("exec deployment/web -- /web echo never"))?;
    ensure!(refused.contains("error dialing backend"), "{refused}");
    pair.until_ready("Unknown")?;
    ensure!(running(pair)? == before, "containers ended with the agent");
    // What is asked for meanwhile is done later.
    case.line("scale deployment web --replicas=3")?;
    pair.start_agent()?;
    case.line("rollout status deployment/web --timeout=120s")?;
    let after = containers(case)?;
    ensure!(before.is_subset(&after) && after.len() == before.len() + 1, "{before:?} became {after:?}");
    case.until("the link", || case.line("exec deployment/web -- /web echo again")).map(drop)
}

/// With the server away, an agent starts from what it kept, answers with the names that it knew, and takes its containers over once the server is back.
fn agent_starts_alone(pair: &mut Pair, case: &Case) -> Result<()> {
    let before = containers(case)?;
    case.line("create service clusterip known --tcp=80")?;
    let name = format!("known.{}.svc.cluster.local.", case.namespace);
    let answer = || {
        let said = dns::ask(dns::NODE, By::Udp, &name, RecordType::A)?;
        ensure!(said.answers.len() == 1, "{said:?}");
        Ok(said)
    };
    let known = case.until("its name", answer)?;
    let kept = pair.data("agent").join("node/dns/discovery-kubernetes.json");
    case.until("its name to be on disk", || {
        ensure!(std::fs::read_to_string(&kept)?.contains(&name));
        Ok(())
    })?;
    pair.crash_server()?;
    pair.crash_agent()?;
    pair.launch_agent()?;
    ensure!(case.until("the name while the server is away", answer)? == known);
    case.stays(std::time::Duration::from_secs(2), || {
        ensure!(running(pair)? == before, "an agent without a server touched containers");
        Ok(())
    })?;
    pair.start_server()?;
    pair.until_ready("True")?;
    case.until("the link", || case.line("exec deployment/web -- /web echo again"))?;
    ensure!(containers(case)? == before && running(pair)? == before, "containers were started again");
    Ok(())
}

/// Different lines of a pod that the server's file sink has.
fn recorded(pair: &Pair, pod: &str) -> Result<usize> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(pair.data("server").join("records"))? {
        let text = std::fs::read_to_string(entry?.path())?;
        let records = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let own = records.filter(|record| record.to_string().contains(&format!("\"{pod}\"")));
        found.extend(own.map(|record| text_of(&record)).filter(|body| body.starts_with("line ")));
    }
    Ok(found.len())
}

fn text_of(record: &serde_json::Value) -> String {
    record.get("Body").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}

fn restarts(pod: &serde_json::Value) -> i64 {
    number(pod, "/status/containerStatuses/0/restartCount")
}

/// Ids of the containers that the API says run.
fn containers(case: &Case) -> Result<BTreeSet<String>> {
    let id =
        |pod: &serde_json::Value| text(pod, "/status/containerStatuses/0/containerID").replace("containerd://", "");
    Ok(case.list("pods")?.iter().filter(|pod| text(pod, "/status/phase") == "Running").map(id).collect())
}

/// Ids of the containers that run.
fn running(pair: &Pair) -> Result<BTreeSet<String>> {
    let listed = pair.ctr(&["tasks", "list"])?;
    let running = listed.lines().filter(|line| line.contains("RUNNING"));
    Ok(running.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}
