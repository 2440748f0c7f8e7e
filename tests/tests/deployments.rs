//! Deployments as kubectl users live with them: made, scaled, changed, watched, rolled back, deleted.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use gantry_tests::case::{at, number, text};
use gantry_tests::manifests::{IMAGE, deployment, with};
use gantry_tests::{Case, Suite, scenarios};
use serde_json::{Value, json};

#[test]
fn deployments() -> Result<()> {
    Suite::start("deployments")?.run(scenarios![
        runs_and_serves,
        scales,
        replaces_what_is_lost,
        rolls_out_and_back,
        a_bad_rollout_stops_and_is_undone,
        pauses_and_resumes,
        restarts,
        recreates,
        orphans_and_cascades,
        is_watched,
        is_waited_for,
        is_created_labelled_and_edited,
        applies_from_several_sides,
    ])
}

fn up(case: &Case, name: &str, replicas: u32) -> Result<()> {
    case.apply(&deployment(name, replicas))?;
    rolled_out(case, name)
}

fn rolled_out(case: &Case, name: &str) -> Result<()> {
    let said = case.line(&format!("rollout status deployment/{name} --timeout=120s"))?;
    ensure!(said.contains("successfully rolled out"), "{said}");
    Ok(())
}

fn pods(case: &Case, name: &str) -> Result<Vec<Value>> {
    let pods = case.list(&format!("pods -l app={name}"))?;
    Ok(pods.into_iter().filter(|pod| at(pod, "/metadata/deletionTimestamp").is_null()).collect())
}

fn fetch(case: &Case, address: &str) -> Result<String> {
    use std::io::{Read, Write};
    case.until(&format!("an answer from {address}"), || {
        let mut stream = std::net::TcpStream::connect((address, 8080))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: pod\r\n\r\n")?;
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    })
}

fn runs_and_serves(case: &Case) -> Result<()> {
    up(case, "web", 3)?;
    let pods = pods(case, "web")?;
    ensure!(pods.len() == 3, "{} pods", pods.len());
    let mut addresses = Vec::new();
    for pod in &pods {
        let address = text(pod, "/status/podIP");
        let answer = fetch(case, &address)?;
        let name = text(pod, "/metadata/name");
        ensure!(answer.starts_with("HTTP/1.1 200") && answer.contains(&format!("hello from {name}")), "{answer}");
        addresses.push(address);
    }
    addresses.sort();
    addresses.dedup();
    ensure!(addresses.len() == 3, "addresses are given twice: {addresses:?}");
    let set = case.list("replicasets -l app=web")?;
    ensure!(set.len() == 1 && text(&set[0], "/metadata/ownerReferences/0/name") == "web", "{set:?}");
    ensure!(text(&pods[0], "/metadata/ownerReferences/0/kind") == "ReplicaSet");
    let shown = case.line("get deployment web --no-headers")?;
    let cells: Vec<&str> = shown.split_whitespace().collect();
    ensure!(cells.starts_with(&["web", "3/3", "3", "3"]), "{shown}");
    let wide = case.line("get deployments,replicasets,pods -o wide")?;
    ensure!(wide.contains("CONTAINERS") && wide.contains(IMAGE) && wide.contains(&addresses[0]), "{wide}");
    let described = case.line("describe deployment web")?;
    ensure!(described.contains("3 desired | 3 updated | 3 total | 3 available"), "{described}");
    ensure!(described.contains("ScalingReplicaSet") && described.contains("MinimumReplicasAvailable"), "{described}");
    let described = case.line(&format!("describe pod {}", text(&pods[0], "/metadata/name")))?;
    for word in ["Scheduled", "Pulled", "Created", "Started", "Ready ", "Controlled By"] {
        ensure!(described.contains(word), "{word} is not in {described}");
    }
    Ok(())
}

fn scales(case: &Case) -> Result<()> {
    up(case, "web", 1)?;
    case.line("scale deployment web --replicas=4 --current-replicas=1")?;
    rolled_out(case, "web")?;
    case.until_is("deployment web", "/status/readyReplicas", 4)?;
    ensure!(case.fail("scale deployment web --replicas=2 --current-replicas=1")?.contains("replicas"), "a guard");
    case.line("scale deployment/web --replicas=0")?;
    case.until("no pods", || {
        ensure!(case.names("pods -l app=web")?.is_empty(), "there are pods");
        Ok(())
    })?;
    let left = case.get("deployment web")?;
    ensure!(number(&left, "/status/replicas") == 0, "{}", left["status"]);
    Ok(())
}

fn replaces_what_is_lost(case: &Case) -> Result<()> {
    up(case, "web", 2)?;
    let first = text(&pods(case, "web")?[0], "/metadata/name");
    case.line(&format!("delete pod {first}"))?;
    rolled_out(case, "web")?;
    let names = case.until("two pods without the first", || {
        let names: Vec<String> = pods(case, "web")?.iter().map(|pod| text(pod, "/metadata/name")).collect();
        ensure!(names.len() == 2 && !names.contains(&first), "{names:?}");
        Ok(names)
    })?;
    // A process that ends is started again in its pod; the pod stays.
    let pod = format!("pod {}", names[0]);
    let address = text(&case.until_is(&pod, "/status/containerStatuses/0/ready", true)?, "/status/podIP");
    case.run(&["exec", &names[1], "--", "/web", "get", &format!("{address}:8080"), "/"])?;
    post(&address, "/exit");
    case.until_is(&pod, "/status/containerStatuses/0/restartCount", 1)?;
    let back = case.until_is(&pod, "/status/containerStatuses/0/ready", true)?;
    ensure!(number(&back, "/status/containerStatuses/0/lastState/terminated/exitCode") == 3, "{}", back["status"]);
    ensure!(text(&back, "/status/podIP") == address, "the pod has another address");
    Ok(())
}

/// Sends a request and does not care for the answer: the server may end on it.
fn post(address: &str, path: &str) {
    use std::io::{Read, Write};
    if let Ok(mut stream) = std::net::TcpStream::connect((address, 8080)) {
        let _ = write!(stream, "POST {path} HTTP/1.1\r\nHost: pod\r\nContent-Length: 0\r\n\r\n");
        let _ = stream.read(&mut [0; 64]);
    }
}

fn rolls_out_and_back(case: &Case) -> Result<()> {
    up(case, "web", 3)?;
    case.line("annotate deployment web kubernetes.io/change-cause=first")?;
    case.line("set env deployment/web VERSION=2")?;
    case.line("annotate deployment web kubernetes.io/change-cause=second --overwrite")?;
    // Available pods never fall below 3 - 25% rounded down = 3.
    let fewest = std::cell::Cell::new(i64::MAX);
    case.until("the second version everywhere", || {
        let deployment = case.get("deployment web")?;
        fewest.set(fewest.get().min(number(&deployment, "/status/availableReplicas")));
        ensure!(number(&deployment, "/status/updatedReplicas") == 3, "{}", deployment["status"]);
        ensure!(number(&deployment, "/status/replicas") == 3, "{}", deployment["status"]);
        Ok(())
    })?;
    ensure!(fewest.get() >= 3, "only {} pods were available during the rollout", fewest.get());
    rolled_out(case, "web")?;
    for pod in pods(case, "web")? {
        let answer = fetch(case, &text(&pod, "/status/podIP"))?;
        ensure!(answer.contains(" 2\n"), "{answer}");
    }
    let history = case.line("rollout history deployment web")?;
    ensure!(history.contains("first") && history.contains("second"), "{history}");
    let revision = case.line("rollout history deployment/web --revision=2")?;
    ensure!(revision.contains("VERSION") && revision.contains('2'), "{revision}");
    ensure!(case.names("replicasets -l app=web")?.len() == 2);
    case.line("rollout undo deployment web")?;
    rolled_out(case, "web")?;
    let deployment = case.get("deployment web")?;
    ensure!(at(&deployment, "/spec/template/spec/containers/0/env").is_null(), "{}", deployment["spec"]);
    ensure!(deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3", "{deployment}");
    ensure!(case.names("replicasets -l app=web")?.len() == 2, "a rollback reuses the old ReplicaSet");
    case.line("rollout undo deployment/web --to-revision=2")?;
    rolled_out(case, "web")?;
    ensure!(text(&case.get("deployment web")?, "/spec/template/spec/containers/0/env/0/value") == "2");
    ensure!(case.fail("rollout undo deployment/web --to-revision=77")?.contains("77"));
    Ok(())
}

fn a_bad_rollout_stops_and_is_undone(case: &Case) -> Result<()> {
    up(case, "web", 2)?;
    // Only now, so that a busy machine does not miss it with the good template.
    case.run(&["patch", "deployment", "web", "-p", "{\"spec\":{\"progressDeadlineSeconds\":5}}"])?;
    case.run(&["set", "image", "deployment/web", "web=gantry.local/absent:1"])?;
    case.until("the deadline of the rollout to pass", || {
        let deployment = case.get("deployment web")?;
        let conditions = at(&deployment, "/status/conditions").as_array().cloned().unwrap_or_default();
        let late = conditions.iter().any(|c| c["type"] == "Progressing" && c["reason"] == "ProgressDeadlineExceeded");
        ensure!(late, "{conditions:?}");
        Ok(())
    })?;
    ensure!(case.fail("rollout status deployment/web --timeout=10s")?.contains("exceeded its progress deadline"));
    let deployment = case.get("deployment web")?;
    ensure!(number(&deployment, "/status/availableReplicas") == 2, "old pods go on: {}", deployment["status"]);
    let waiting = case.until("the reason why", || {
        let pods = pods(case, "web")?;
        let reason = |pod: &Value| text(pod, "/status/containerStatuses/0/state/waiting/reason");
        pods.iter().map(reason).find(|r| r.contains("Image") && r.contains("Pull")).context("no pod waits for an image")
    })?;
    ensure!(["ErrImagePull", "ImagePullBackOff"].contains(&waiting.as_str()), "{waiting}");
    case.run(&["patch", "deployment", "web", "-p", "{\"spec\":{\"progressDeadlineSeconds\":600}}"])?;
    case.line("rollout undo deployment/web")?;
    rolled_out(case, "web")
}

fn pauses_and_resumes(case: &Case) -> Result<()> {
    up(case, "web", 1)?;
    case.line("rollout pause deployment/web")?;
    case.line("set env deployment/web VERSION=2")?;
    case.line("scale deployment/web --replicas=2")?;
    case.until_is("deployment web", "/status/readyReplicas", 2)?;
    ensure!(number(&case.get("deployment web")?, "/status/updatedReplicas") == 0, "a paused rollout goes on");
    ensure!(case.names("replicasets -l app=web")?.len() == 1);
    case.line("rollout resume deployment/web")?;
    rolled_out(case, "web")?;
    ensure!(number(&case.get("deployment web")?, "/status/updatedReplicas") == 2);
    Ok(())
}

fn restarts(case: &Case) -> Result<()> {
    up(case, "web", 2)?;
    let uids = |case: &Case| -> Result<Vec<String>> {
        Ok(pods(case, "web")?.iter().map(|pod| text(pod, "/metadata/uid")).collect())
    };
    let before = uids(case)?;
    case.line("rollout restart deployment/web")?;
    rolled_out(case, "web")?;
    let after = case.until("two pods", || {
        let after = uids(case)?;
        ensure!(after.len() == 2, "{after:?}");
        Ok(after)
    })?;
    ensure!(after.iter().all(|uid| !before.contains(uid)), "{before:?} {after:?}");
    Ok(())
}

fn recreates(case: &Case) -> Result<()> {
    let object = with(deployment("web", 2), "/spec/strategy", json!({"type": "Recreate"}));
    case.apply(&object)?;
    rolled_out(case, "web")?;
    case.line("set env deployment/web VERSION=2")?;
    // Pods of both templates never run at once.
    case.until("the second version", || {
        let pods = case.list("pods -l app=web")?;
        let running = pods.iter().filter(|pod| text(pod, "/status/phase") == "Running");
        let mut hashes: Vec<String> = running.map(|pod| text(pod, "/metadata/labels/pod-template-hash")).collect();
        hashes.sort();
        hashes.dedup();
        assert!(hashes.len() <= 1, "pods of two templates run at once: {hashes:?}");
        ensure!(number(&case.get("deployment web")?, "/status/updatedReplicas") == 2, "not yet");
        Ok(())
    })?;
    rolled_out(case, "web")
}

fn orphans_and_cascades(case: &Case) -> Result<()> {
    up(case, "web", 2)?;
    case.line("delete deployment web --cascade=orphan")?;
    let set = case.names("replicasets -l app=web")?;
    ensure!(set.len() == 1, "{set:?}");
    let object = format!("replicaset {}", set[0]);
    case.until("the ReplicaSet to have no owner", || {
        let set = case.get(&object)?;
        ensure!(at(&set, "/metadata/ownerReferences").as_array().is_none_or(Vec::is_empty), "{}", set["metadata"]);
        Ok(())
    })?;
    // A Deployment of the same selector takes it over, with its pods.
    let before = case.names("pods -l app=web")?;
    up(case, "web", 2)?;
    ensure!(case.names("replicasets -l app=web")? == set, "it was not adopted");
    ensure!(case.names("pods -l app=web")? == before, "pods were replaced");
    // In the foreground the owner goes last.
    case.line("delete deployment web --cascade=foreground --timeout=60s")?;
    ensure!(case.names("replicasets,pods -l app=web")?.is_empty(), "something is left");
    up(case, "web", 1)?;
    case.line("delete deployment web --cascade=background")?;
    case.until("everything to be gone", || {
        let left = case.names("replicasets,pods -l app=web")?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
}

fn is_watched(case: &Case) -> Result<()> {
    let mut watch = case.kubectl.command(&["get", "pods", "-w", "-o", "name", "--request-timeout=60s"]);
    let mut child = watch.stdout(Stdio::piped()).spawn()?;
    let lines = BufReader::new(child.stdout.take().context("no output")?).lines();
    let (send, received) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(send.send(line))));
    let outcome = up(case, "web", 2).and_then(|()| {
        case.line("delete deployment web")?;
        let seen = std::cell::RefCell::new(std::collections::BTreeSet::new());
        case.until("two pods in the watch", || {
            seen.borrow_mut().extend(received.try_iter());
            ensure!(seen.borrow().len() == 2, "{seen:?}");
            Ok(())
        })
    });
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(i32::try_from(child.id())?), nix::sys::signal::Signal::SIGTERM)?;
    child.wait()?;
    reader.join().ok().context("the reader")?;
    outcome
}

fn is_waited_for(case: &Case) -> Result<()> {
    case.apply(&deployment("web", 2))?;
    case.line("wait --for=condition=Available deployment/web --timeout=60s")?;
    case.line("wait --for=condition=Ready pod -l app=web --timeout=60s")?;
    if case.at_least((1, 23)) {
        case.run(&["wait", "--for=jsonpath={.status.readyReplicas}=2", "deployment/web", "--timeout=60s"])?;
    }
    let late = case.fail("wait --for=condition=Nonsense deployment/web --timeout=1s")?;
    ensure!(late.contains("timed out"), "{late}");
    case.line("delete deployment web --wait=false")?;
    case.line("wait --for=delete deployment/web --timeout=60s")?;
    Ok(())
}

fn is_created_labelled_and_edited(case: &Case) -> Result<()> {
    case.run(&["create", "deployment", "web", &format!("--image={IMAGE}"), "--replicas=1"])?;
    rolled_out(case, "web")?;
    case.line("label deployment web tier=front")?;
    case.line("patch deployment web --type=json -p=[{\"op\":\"replace\",\"path\":\"/spec/replicas\",\"value\":2}]")?;
    case.line("patch deployment web --type=merge -p={\"spec\":{\"minReadySeconds\":1}}")?;
    let image = "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"web\",\"env\":[{\"name\":\"A\",\"value\":\"1\"}]}]}}}}";
    case.run(&["patch", "deployment", "web", "-p", image])?;
    let found = case.get("deployment web")?;
    ensure!(at(&found, "/spec/replicas") == 2 && at(&found, "/spec/minReadySeconds") == 1, "{}", found["spec"]);
    ensure!(text(&found, "/spec/template/spec/containers/0/env/0/name") == "A");
    // An editor that is a program: what it writes is what is saved.
    let mut edit = case.kubectl.command(&["edit", "deployment", "web"]);
    let output = edit.env("KUBE_EDITOR", "sed -i s/tier:.front/tier:\\ back/").output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    case.until_is("deployment web", "/metadata/labels/tier", "back")?;
    ensure!(case.line("get deploy -l tier=back -o name")?.trim() == "deployment.apps/web");
    ensure!(case.run(&["get", "deploy", "web", "-o", "jsonpath={.spec.replicas}"])? == "2");
    rolled_out(case, "web")?;
    let explained = case.line("explain deployment.spec.strategy.rollingUpdate.maxSurge")?;
    ensure!(explained.contains("maxSurge"), "{explained}");
    Ok(())
}

fn applies_from_several_sides(case: &Case) -> Result<()> {
    let object = deployment("web", 1);
    let apply = |extra: &[&str], object: &Value| {
        case.kubectl.succeed(&[&["apply", "-f", "-", "--server-side"], extra].concat(), &object.to_string())
    };
    apply(&["--field-manager=one"], &object)?;
    let mine = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 3},
    });
    let arguments = ["apply", "-f", "-", "--server-side", "--field-manager=two"];
    let conflict = case.kubectl.fail(&arguments, &mine.to_string())?;
    ensure!(conflict.contains("conflict with \"one\"") && conflict.contains(".spec.replicas"), "{conflict}");
    apply(&["--field-manager=two", "--force-conflicts"], &mine)?;
    rolled_out(case, "web")?;
    ensure!(number(&case.get("deployment web")?, "/status/readyReplicas") == 3);
    let managers = case.run(&[
        "get",
        "deploy",
        "web",
        "-o",
        "jsonpath={.metadata.managedFields[*].manager}",
        "--show-managed-fields",
    ])?;
    ensure!(managers.contains("one") && managers.contains("two"), "{managers}");
    Ok(())
}
