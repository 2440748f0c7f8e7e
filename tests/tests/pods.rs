//! Pods as real containers: what they get, what they run, how they end, how one looks inside.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gantry_tests::case::{at, number, text};
use gantry_tests::manifests::{container, pod, with};
use gantry_tests::{Case, Suite, scenarios};
use serde_json::{Value, json};

#[test]
fn pods() -> Result<()> {
    Suite::start("pods")?.run(scenarios![
        ends_with_its_exit_code,
        never_and_on_failure,
        init_containers_go_first,
        crash_loops_back_off,
        liveness_restarts,
        readiness_takes_out_and_back,
        startup_holds_back_liveness,
        probes_by_exec_and_tcp,
        probes_by_grpc,
        environment_from_everywhere,
        files_from_everywhere,
        volumes_are_shared_and_survive_restarts,
        paths_of_the_node,
        a_missing_config_map_is_waited_for,
        optional_sources_may_be_missing,
        termination_takes_its_time_and_no_more,
        hooks_run,
        executes_commands,
        logs_are_followed,
        memory_is_limited,
        runs_as_a_user,
        shares_addresses_within_and_reaches_without,
        host_ports,
        unschedulable_says_why,
    ])
}

fn phase(case: &Case, name: &str, want: &str) -> Result<Value> {
    case.until_is(&format!("pod {name}"), "/status/phase", want)
}

fn restarting(object: Value) -> Value {
    with(object, "/spec/restartPolicy", "Always")
}

fn ends_with_its_exit_code(case: &Case) -> Result<()> {
    case.apply(&pod("well", "echo done"))?;
    case.apply(&pod("badly", "exit 7"))?;
    let well = phase(case, "well", "Succeeded")?;
    ensure!(text(&well, "/status/containerStatuses/0/state/terminated/reason") == "Completed", "{}", well["status"]);
    ensure!(case.line("logs well")? == "done\n");
    let badly = phase(case, "badly", "Failed")?;
    let end = at(&badly, "/status/containerStatuses/0/state/terminated").clone();
    ensure!(end["exitCode"] == 7 && end["reason"] == "Error", "{end}");
    let shown = case.line("get pods --no-headers")?;
    ensure!(shown.contains("Completed") && shown.contains("Error"), "{shown}");
    let missing = with(pod("missing", "x"), "/spec/containers/0/command", json!(["/no/such/program"]));
    case.apply(&missing)?;
    let missing = phase(case, "missing", "Failed")?;
    let end = at(&missing, "/status/containerStatuses/0/state/terminated");
    ensure!(end["reason"] == "StartError" || end["reason"] == "ContainerCannotRun", "{end}");
    Ok(())
}

fn never_and_on_failure(case: &Case) -> Result<()> {
    case.apply(&with(pod("again", "exit 1"), "/spec/restartPolicy", "OnFailure"))?;
    case.apply(&with(pod("once", "exit 0"), "/spec/restartPolicy", "OnFailure"))?;
    case.apply(&pod("never", "exit 1"))?;
    phase(case, "once", "Succeeded")?;
    let never = phase(case, "never", "Failed")?;
    ensure!(number(&never, "/status/containerStatuses/0/restartCount") == 0);
    case.until("a restart", || {
        let again = case.get("pod again")?;
        ensure!(number(&again, "/status/containerStatuses/0/restartCount") >= 1, "{}", again["status"]);
        ensure!(text(&again, "/status/phase") == "Running", "{}", again["status"]);
        Ok(())
    })
}

fn init_containers_go_first(case: &Case) -> Result<()> {
    let mut object = pod("built", "cat /work/a /work/b");
    let mount = json!([{"name": "work", "mountPath": "/work"}]);
    let init = |name: &str, words: &str| with(container(name, words), "/volumeMounts", mount.clone());
    object = with(
        object,
        "/spec/initContainers",
        json!([init("one", "write /work/a first"), init("two", "write /work/b second")]),
    );
    object = with(object, "/spec/volumes", json!([{"name": "work", "emptyDir": {}}]));
    object = with(object, "/spec/containers/0/volumeMounts", mount.clone());
    case.apply(&object)?;
    let built = phase(case, "built", "Succeeded")?;
    ensure!(case.line("logs built")? == "firstsecond");
    let (one, two) = (
        at(&built, "/status/initContainerStatuses/0/state/terminated"),
        at(&built, "/status/initContainerStatuses/1/state/terminated"),
    );
    ensure!(one["exitCode"] == 0 && two["exitCode"] == 0, "{}", built["status"]);
    ensure!(one["finishedAt"].as_str() <= two["startedAt"].as_str(), "{one} {two}");
    // One that fails keeps the others from starting, and is shown as what it is.
    let broken = with(pod("broken", "echo never"), "/spec/initContainers", json!([container("bad", "exit 3")]));
    case.apply(&broken)?;
    phase(case, "broken", "Failed")?;
    ensure!(case.line("get pod broken --no-headers")?.contains("Init:Error"), "{}", case.line("get pod broken")?);
    ensure!(case.fail("logs broken -c main")?.contains("waiting to start"));
    Ok(())
}

fn crash_loops_back_off(case: &Case) -> Result<()> {
    case.apply(&restarting(pod("loop", "exit 1")))?;
    case.until_is("pod loop", "/status/containerStatuses/0/state/waiting/reason", "CrashLoopBackOff")?;
    ensure!(case.until_event("loop", "BackOff")?.contains("Back-off restarting failed container"));
    ensure!(case.line("get pod loop --no-headers")?.contains("CrashLoopBackOff"));
    // It waits: in ten seconds there is one more start at the most.
    let count =
        |case: &Case| -> Result<i64> { Ok(number(&case.get("pod loop")?, "/status/containerStatuses/0/restartCount")) };
    let before = count(case)?;
    case.stays(Duration::from_secs(5), || {
        ensure!(count(case)? <= before + 1, "restarted without waiting");
        Ok(())
    })?;
    ensure!(case.line("logs loop --previous").is_ok());
    case.line("delete pod loop --timeout=30s").map(drop)
}

fn server(name: &str) -> Value {
    pod(name, "serve")
}

/// Once at least: whoever looks may be late.
fn until_restarted(case: &Case, name: &str) -> Result<()> {
    case.until(&format!("a restart of {name}"), || {
        let pod = case.get(&format!("pod {name}"))?;
        ensure!(number(&pod, "/status/containerStatuses/0/restartCount") >= 1, "{}", pod["status"]);
        Ok(())
    })
}

fn liveness_restarts(case: &Case) -> Result<()> {
    let probe = json!({"httpGet": {"path": "/healthy", "port": 8080}, "periodSeconds": 1, "failureThreshold": 2});
    case.apply(&restarting(with(server("sick"), "/spec/containers/0/livenessProbe", probe)))?;
    let pod = case.until_is("pod sick", "/status/containerStatuses/0/ready", true)?;
    post(&text(&pod, "/status/podIP"), "/healthy/no");
    until_restarted(case, "sick")?;
    ensure!(case.until_event("sick", "Unhealthy")?.contains("Liveness probe failed"));
    ensure!(case.until_event("sick", "Killing")?.contains("failed liveness probe"));
    case.until_is("pod sick", "/status/containerStatuses/0/ready", true).map(drop)
}

fn readiness_takes_out_and_back(case: &Case) -> Result<()> {
    let probe = json!({"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1});
    case.apply(&with(server("shy"), "/spec/containers/0/readinessProbe", probe))?;
    let pod = case.until_is("pod shy", "/status/containerStatuses/0/ready", true)?;
    let address = text(&pod, "/status/podIP");
    post(&address, "/ready/no");
    let out = case.until_is("pod shy", "/status/containerStatuses/0/ready", false)?;
    ensure!(number(&out, "/status/containerStatuses/0/restartCount") == 0);
    let ready = |pod: &Value| -> Value {
        let conditions = at(pod, "/status/conditions").as_array().cloned().unwrap_or_default();
        conditions.into_iter().find(|c| c["type"] == "Ready").unwrap_or_default()
    };
    ensure!(ready(&out)["status"] == "False" && ready(&out)["reason"] == "ContainersNotReady", "{}", ready(&out));
    post(&address, "/ready/yes");
    let back = case.until_is("pod shy", "/status/containerStatuses/0/ready", true)?;
    ensure!(ready(&back)["status"] == "True");
    Ok(())
}

fn startup_holds_back_liveness(case: &Case) -> Result<()> {
    let mut object = restarting(server("slow"));
    let never = json!({"httpGet": {"path": "/healthy", "port": 9}, "periodSeconds": 1, "failureThreshold": 3});
    object = with(
        object,
        "/spec/containers/0/livenessProbe",
        json!({"exec": {"command": ["/web", "exit", "0"]}, "periodSeconds": 1}),
    );
    object = with(object, "/spec/containers/0/startupProbe", never);
    case.apply(&object)?;
    // It never starts up, so it is killed after three tries, and has not been ready.
    until_restarted(case, "slow")?;
    ensure!(case.until_event("slow", "Unhealthy")?.contains("Startup probe failed"));
    ensure!(at(&case.get("pod slow")?, "/status/containerStatuses/0/ready") == false);
    Ok(())
}

fn probes_by_exec_and_tcp(case: &Case) -> Result<()> {
    let exec = json!({"exec": {"command": ["/web", "ls", "/tmp-ready"]}, "periodSeconds": 1});
    let tcp = json!({"tcpSocket": {"port": 8080}, "periodSeconds": 1});
    case.apply(&with(server("exec"), "/spec/containers/0/readinessProbe", exec))?;
    case.apply(&with(server("tcp"), "/spec/containers/0/readinessProbe", tcp))?;
    case.until_is("pod tcp", "/status/containerStatuses/0/ready", true)?;
    ensure!(case.until_event("exec", "Unhealthy")?.contains("Readiness probe failed"));
    ensure!(at(&case.get("pod exec")?, "/status/containerStatuses/0/ready") == false);
    Ok(())
}

fn probes_by_grpc(case: &Case) -> Result<()> {
    for name in ["well", "sick"] {
        let probe = json!({"grpc": {"port": 8080, "service": name}, "periodSeconds": 1});
        case.apply(&with(pod(name, "serve-grpc 8080"), "/spec/containers/0/readinessProbe", probe))?;
    }
    case.until_is("pod well", "/status/containerStatuses/0/ready", true)?;
    case.until("what the sick one answers", || {
        let said = case.until_event("sick", "Unhealthy")?;
        ensure!(said.contains("Readiness probe failed: service unhealthy (responded with \"NOT_SERVING\")"), "{said}");
        Ok(())
    })?;
    ensure!(at(&case.get("pod sick")?, "/status/containerStatuses/0/ready") == false);
    Ok(())
}

fn post(address: &str, path: &str) {
    use std::io::{Read, Write};
    if let Ok(mut stream) = std::net::TcpStream::connect((address, 8080)) {
        let _ = write!(stream, "POST {path} HTTP/1.1\r\nHost: pod\r\nContent-Length: 0\r\n\r\n");
        let _ = stream.read(&mut [0; 64]);
    }
}

fn environment_from_everywhere(case: &Case) -> Result<()> {
    case.line("create configmap settings --from-literal=COLOR=red --from-literal=SIZE=9")?;
    case.line("create secret generic hush --from-literal=PASSWORD=p4ss")?;
    let mut object = pod("env", "env");
    object = with(
        object,
        "/spec/containers/0/envFrom",
        json!([{"configMapRef": {"name": "settings"}, "prefix": "CONF_"}, {"secretRef": {"name": "hush"}}]),
    );
    object = with(
        object,
        "/spec/containers/0/env",
        json!([
            {"name": "PLAIN", "value": "x"},
            {"name": "DERIVED", "value": "$(PLAIN)-$(CONF_COLOR)-$$(PLAIN)-$(UNKNOWN)"},
            {"name": "ONE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "SIZE"}}},
            {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
            {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
        ]),
    );
    object = with(object, "/spec/containers/0/resources", json!({"limits": {"memory": "64Mi"}}));
    case.apply(&object)?;
    let ended = phase(case, "env", "Succeeded")?;
    let log = case.line("logs env")?;
    let address = format!("ADDRESS={}", text(&ended, "/status/podIP"));
    for want in [
        "CONF_COLOR=red",
        "PASSWORD=p4ss",
        "PLAIN=x",
        "DERIVED=x-red-$(PLAIN)-$(UNKNOWN)",
        "ONE=9",
        "NAME=env",
        "APP=env",
        "MEMORY=64",
        &address,
        "HOSTNAME=env",
    ] {
        ensure!(log.lines().any(|line| line == want), "{want} is not in\n{log}");
    }
    Ok(())
}

fn files_from_everywhere(case: &Case) -> Result<()> {
    case.line("create configmap settings --from-literal=a=one --from-literal=b=two")?;
    case.line("create secret generic hush --from-literal=key=p4ss")?;
    let mut object = pod("files", "sleep 600");
    object = with(
        object,
        "/spec/containers/0/volumeMounts",
        json!([
            {"name": "conf", "mountPath": "/conf"},
            {"name": "secret", "mountPath": "/secret", "readOnly": true},
            {"name": "facts", "mountPath": "/facts"},
            {"name": "mixed", "mountPath": "/mixed"},
            {"name": "conf", "mountPath": "/single", "subPath": "a"},
        ]),
    );
    object = with(
        object,
        "/spec/volumes",
        json!([
            {"name": "conf", "configMap": {"name": "settings"}},
            {"name": "secret", "secret": {"secretName": "hush", "items": [{"key": "key", "path": "deep/er"}]}},
            {"name": "facts", "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
            {"name": "mixed", "projected": {"sources": [{"configMap": {"name": "settings"}}, {"secret": {"name": "hush"}}]}},
        ]),
    );
    case.apply(&object)?;
    phase(case, "files", "Running")?;
    let cat = |file: &str| case.line(&format!("exec files -- /web cat {file}"));
    ensure!(cat("/conf/a")? == "one" && cat("/conf/b")? == "two");
    ensure!(cat("/secret/deep/er")? == "p4ss" && cat("/single")? == "one");
    ensure!(cat("/facts/labels")?.contains("app=\"files\""), "{}", cat("/facts/labels")?);
    ensure!(cat("/mixed/a")? == "one" && cat("/mixed/key")? == "p4ss");
    ensure!(case.fail("exec files -- /web write /secret/x y")?.to_lowercase().contains("read-only"));
    // A change arrives without a restart; in a mount of one file it does not.
    case.run(&["patch", "configmap", "settings", "-p", "{\"data\":{\"a\":\"new\"}}"])?;
    gantry_tests::wait_for("the change to arrive", Duration::from_secs(120), || {
        ensure!(cat("/conf/a")? == "new", "still old");
        Ok(())
    })?;
    ensure!(cat("/single")? == "one");
    Ok(())
}

fn volumes_are_shared_and_survive_restarts(case: &Case) -> Result<()> {
    let mount = json!([{"name": "shared", "mountPath": "/shared"}]);
    let mut object = restarting(server("pair"));
    object = with(object, "/spec/volumes", json!([{"name": "shared", "emptyDir": {"medium": "Memory"}}]));
    object = with(
        object,
        "/spec/containers",
        json!([
            with(container("one", "serve 8080"), "/volumeMounts", mount.clone()),
            with(container("two", "serve 8081"), "/volumeMounts", mount.clone()),
        ]),
    );
    case.apply(&object)?;
    let pod = case.until_is("pod pair", "/status/containerStatuses/1/ready", true)?;
    case.until_is("pod pair", "/status/containerStatuses/0/ready", true)?;
    case.line("exec pair -c one -- /web write /shared/file kept")?;
    ensure!(case.line("exec pair -c two -- /web cat /shared/file")? == "kept");
    // They share addresses too.
    ensure!(case.line("exec pair -c two -- /web get 127.0.0.1:8080 /")?.contains("hello from pair"));
    post(&text(&pod, "/status/podIP"), "/exit");
    case.until("a restart", || {
        let pod = case.get("pod pair")?;
        let status = at(&pod, "/status/containerStatuses").as_array().cloned().unwrap_or_default();
        let one = status.iter().find(|s| s["name"] == "one").context("no status")?;
        ensure!(one["restartCount"] == 1 && one["ready"] == true, "{one}");
        Ok(())
    })?;
    ensure!(case.line("exec pair -c one -- /web cat /shared/file")? == "kept");
    Ok(())
}

/// A pod with a path of the node at `/node`.
fn with_path(name: &str, words: &str, path: &Path, kind: &str) -> Value {
    let object =
        with(pod(name, words), "/spec/containers/0/volumeMounts", json!([{"name": "v", "mountPath": "/node"}]));
    with(object, "/spec/volumes", json!([{"name": "v", "hostPath": {"path": path, "type": kind}}]))
}

fn paths_of_the_node(case: &Case) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (file, made, absent) = (folder.path().join("file"), folder.path().join("made"), folder.path().join("absent"));
    fs::write(&file, "of the node")?;
    case.apply(&with_path("reads", "cat /node/file", folder.path(), "Directory"))?;
    case.apply(&with_path("reads-one", "cat /node", &file, "File"))?;
    case.apply(&with_path("writes", "write /node/new of the pod", &made, "DirectoryOrCreate"))?;
    for name in ["reads", "reads-one", "writes"] {
        phase(case, name, "Succeeded")?;
    }
    ensure!(case.line("logs reads")? == "of the node" && case.line("logs reads-one")? == "of the node");
    // It is the node's: there after the pod has gone, and for the next one.
    case.line("delete pod writes --timeout=30s")?;
    ensure!(fs::read_to_string(made.join("new"))? == "of the pod");
    let whole = with_path("whole", "cat /node/made/new", folder.path(), "");
    let whole = with(whole, "/spec/containers/0/volumeMounts/0/readOnly", true);
    case.apply(&whole)?;
    phase(case, "whole", "Succeeded")?;
    ensure!(case.line("logs whole")? == "of the pod");
    let wrong = [
        ("a-file", folder.path(), "File", "is not a file"),
        ("a-directory", &file, "Directory", "is not a directory"),
        ("a-socket", &file, "Socket", "is not a socket file"),
        ("a-device", &file, "CharDevice", "is not a character device"),
        ("nothing", &absent, "Directory", "is not a directory"),
    ];
    for (name, path, kind, _) in wrong {
        case.apply(&with_path(name, "echo started", path, kind))?;
    }
    for (name, path, _, words) in wrong {
        let said = case.until_event(name, "FailedMount")?;
        ensure!(said.contains(&format!("hostPath type check failed: {} {words}", path.display())), "{said}");
        ensure!(text(&case.get(&format!("pod {name}"))?, "/status/phase") == "Pending");
    }
    ensure!(!absent.exists(), "it was made");
    // Once it is there, the pod that waits for it starts.
    fs::create_dir(&absent)?;
    phase(case, "nothing", "Succeeded").map(drop)
}

fn a_missing_config_map_is_waited_for(case: &Case) -> Result<()> {
    let mut object = pod("waits", "env");
    object = with(object, "/spec/containers/0/envFrom", json!([{"configMapRef": {"name": "late"}}]));
    case.apply(&object)?;
    case.until_is("pod waits", "/status/containerStatuses/0/state/waiting/reason", "CreateContainerConfigError")?;
    ensure!(case.line("get pod waits --no-headers")?.contains("CreateContainerConfigError"));
    let mut mounted = pod("mounts", "cat /conf/A");
    mounted = with(mounted, "/spec/volumes", json!([{"name": "conf", "configMap": {"name": "late"}}]));
    mounted = with(mounted, "/spec/containers/0/volumeMounts", json!([{"name": "conf", "mountPath": "/conf"}]));
    case.apply(&mounted)?;
    ensure!(case.until_event("mounts", "FailedMount")?.contains("late"));
    case.line("create configmap late --from-literal=A=there")?;
    phase(case, "waits", "Succeeded")?;
    phase(case, "mounts", "Succeeded")?;
    ensure!(case.line("logs waits")?.contains("A=there") && case.line("logs mounts")? == "there");
    Ok(())
}

fn optional_sources_may_be_missing(case: &Case) -> Result<()> {
    let mut object = pod("opt", "env");
    object = with(
        object,
        "/spec/containers/0/env",
        json!([{"name": "X", "valueFrom": {"secretKeyRef": {"name": "no", "key": "no", "optional": true}}}]),
    );
    object = with(object, "/spec/volumes", json!([{"name": "v", "secret": {"secretName": "no", "optional": true}}]));
    object = with(object, "/spec/containers/0/volumeMounts", json!([{"name": "v", "mountPath": "/v"}]));
    case.apply(&object)?;
    phase(case, "opt", "Succeeded")?;
    ensure!(!case.line("logs opt")?.contains("X="));
    Ok(())
}

fn termination_takes_its_time_and_no_more(case: &Case) -> Result<()> {
    // The program ignores SIGTERM as process 1 without a handler: only SIGKILL after the grace ends it.
    let stubborn = |name: &str, grace: u32| with(pod(name, "sleep 6000"), "/spec/terminationGracePeriodSeconds", grace);
    let pods = [("patient", 1_000), ("brief", 3), ("forced", 1_000)];
    for (name, grace) in pods {
        case.apply(&stubborn(name, grace))?;
    }
    for (name, _) in pods {
        phase(case, name, "Running")?;
    }
    case.line("delete pod patient --wait=false")?;
    let going = case.get("pod patient")?;
    ensure!(at(&going, "/metadata/deletionGracePeriodSeconds") == 1_000, "{}", going["metadata"]);
    ensure!(case.line("get pod patient --no-headers")?.contains("Terminating"));
    let begun = Instant::now();
    case.line("delete pod brief --wait=false")?;
    case.until_gone("pod brief")?;
    ensure!(begun.elapsed() >= Duration::from_secs(3), "it had {:?} of its grace", begun.elapsed());
    // Each has its own time; one that is forced has none, whether it is ending already or not.
    ensure!(!case.is_gone("pod patient")?, "it has a thousand seconds");
    for name in ["forced", "patient"] {
        case.line(&format!("delete pod {name} --grace-period=0 --force"))?;
        case.until_gone(&format!("pod {name}"))?;
    }
    Ok(())
}

fn hooks_run(case: &Case) -> Result<()> {
    let mut object = server("hooked");
    object = with(object, "/spec/terminationGracePeriodSeconds", 5);
    object = with(object, "/spec/volumes", json!([{"name": "v", "emptyDir": {}}]));
    object = with(object, "/spec/containers/0/volumeMounts", json!([{"name": "v", "mountPath": "/v"}]));
    object = with(
        object,
        "/spec/containers/0/lifecycle",
        json!({"postStart": {"exec": {"command": ["/web", "touch", "/v/started"]}}}),
    );
    case.apply(&object)?;
    phase(case, "hooked", "Running")?;
    ensure!(case.line("exec hooked -- /web ls /v")?.contains("started"));
    Ok(())
}

fn executes_commands(case: &Case) -> Result<()> {
    case.apply(&server("box"))?;
    phase(case, "box", "Running")?;
    ensure!(case.line("exec box -- /web echo a b")? == "a b\n");
    ensure!(
        case.kubectl.succeed(&["exec", "-i", "box", "--", "/web", "cat"], "through and back")? == "through and back"
    );
    let output = case.kubectl.output(&["exec", "box", "--", "/web", "exit", "42"], "")?;
    ensure!(output.status.code() == Some(42), "{output:?}");
    let output = case.kubectl.output(&["exec", "box", "--", "/web", "nonsense"], "")?;
    ensure!(output.status.code() == Some(2), "{output:?}");
    ensure!(
        output.stdout.is_empty() && String::from_utf8_lossy(&output.stderr).contains("unknown command"),
        "{output:?}"
    );
    ensure!(!case.fail("exec box -- /no/such/program")?.is_empty());
    ensure!(case.fail("exec box -c other -- /web env")?.contains("other"));
    ensure!(case.fail("exec absent -- /web env")?.contains("not found"));
    // Much output arrives whole.
    let many = case.line("exec box -- /web lines 20000")?;
    ensure!(many.lines().count() == 20_000 && many.ends_with("line 20000\n"), "{} lines", many.lines().count());
    Ok(())
}

fn logs_are_followed(case: &Case) -> Result<()> {
    case.apply(&pod("talks", "lines 40 50"))?;
    case.until_log("talks", "line 1\n")?;
    let mut follow = case.kubectl.command(&["logs", "-f", "talks"]);
    let mut child = follow.stdout(Stdio::piped()).spawn()?;
    let lines: Vec<String> =
        BufReader::new(child.stdout.take().context("no output")?).lines().map_while(Result::ok).collect();
    ensure!(child.wait()?.success());
    let want: Vec<String> = (1..=40).map(|n| format!("line {n}")).collect();
    ensure!(lines == want, "{lines:?}");
    phase(case, "talks", "Succeeded")?;
    ensure!(case.line("logs talks --tail=2")? == "line 39\nline 40\n");
    ensure!(case.line("logs talks --limit-bytes=6")? == "line 1");
    let stamped = case.line("logs talks --timestamps --tail=1")?;
    ensure!(stamped.starts_with("20") && stamped.ends_with("Z line 40\n"), "{stamped}");
    ensure!(case.line("logs talks --since=1h")?.lines().count() == 40);
    ensure!(case.fail("logs talks --previous")?.contains("previous terminated container"));
    ensure!(case.fail("logs absent")?.contains("not found"));
    // The one before, after a restart.
    let twice = with(pod("twice", "exit 5"), "/spec/restartPolicy", "OnFailure");
    case.apply(&with(twice, "/spec/containers/0/args", json!(["nonsense"])))?;
    case.until("a restart", || {
        ensure!(number(&case.get("pod twice")?, "/status/containerStatuses/0/restartCount") >= 1, "not yet");
        Ok(())
    })?;
    ensure!(case.line("logs twice --previous")?.contains("unknown command nonsense"));
    Ok(())
}

fn memory_is_limited(case: &Case) -> Result<()> {
    let object = with(
        pod("hungry", "eat 200"),
        "/spec/containers/0/resources",
        json!({"limits": {"memory": "32Mi", "cpu": "500m"}}),
    );
    case.apply(&object)?;
    let ended = phase(case, "hungry", "Failed")?;
    let end = at(&ended, "/status/containerStatuses/0/state/terminated");
    ensure!(end["reason"] == "OOMKilled" && end["exitCode"] == 137, "{end}");
    ensure!(text(&ended, "/status/qosClass") == "Guaranteed", "limits alone are requests too");
    Ok(())
}

fn runs_as_a_user(case: &Case) -> Result<()> {
    let mut object = pod("user", "id");
    object = with(
        object,
        "/spec/securityContext",
        json!({"runAsUser": 1000, "runAsGroup": 3000, "supplementalGroups": [4000], "fsGroup": 2000}),
    );
    case.apply(&object)?;
    phase(case, "user", "Succeeded")?;
    let log = case.line("logs user")?;
    ensure!(log.contains("Uid:\t1000") && log.contains("Gid:\t3000"), "{log}");
    ensure!(log.contains("4000") && log.contains("2000"), "{log}");
    let root = with(pod("root", "id"), "/spec/securityContext", json!({"runAsNonRoot": true}));
    case.apply(&root)?;
    case.until_is("pod root", "/status/containerStatuses/0/state/waiting/reason", "CreateContainerConfigError")?;
    let readonly = with(
        pod("readonly", "write /x y"),
        "/spec/containers/0/securityContext",
        json!({"readOnlyRootFilesystem": true}),
    );
    case.apply(&readonly)?;
    phase(case, "readonly", "Failed")?;
    ensure!(case.line("logs readonly")?.to_lowercase().contains("read-only"));
    Ok(())
}

fn shares_addresses_within_and_reaches_without(case: &Case) -> Result<()> {
    case.apply(&server("here"))?;
    case.apply(&pod("there", "sleep 600"))?;
    let here = case.until_is("pod here", "/status/containerStatuses/0/ready", true)?;
    phase(case, "there", "Running")?;
    let address = text(&here, "/status/podIP");
    let page = case.run(&["exec", "there", "--", "/web", "get", &format!("{address}:8080"), "/"])?;
    ensure!(page.contains("hello from here"), "{page}");
    ensure!(text(&here, "/status/podIPs/0/ip") == address && !text(&here, "/status/hostIP").is_empty());
    let node = with(pod("node", "ls /sys/class/net"), "/spec/hostNetwork", true);
    case.apply(&node)?;
    let node = phase(case, "node", "Succeeded")?;
    ensure!(text(&node, "/status/podIP") == text(&node, "/status/hostIP"), "{}", node["status"]);
    Ok(())
}

fn host_ports(case: &Case) -> Result<()> {
    // Of the suite's own network, and of no range that the kernel or Services choose from.
    let port = 8_088;
    let object = with(server("door"), "/spec/containers/0/ports", json!([{"containerPort": 8080, "hostPort": port}]));
    case.apply(&object)?;
    let pod = case.until_is("pod door", "/status/containerStatuses/0/ready", true)?;
    let host = text(&pod, "/status/hostIP");
    let ask = || -> Result<String> {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect((host.as_str(), port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: pod\r\n\r\n")?;
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = case.until("an answer on the node's port", ask)?;
    ensure!(answer.contains("hello from door"), "{answer}");
    // Another pod can't have the same port on the one node.
    let second = with(server("second"), "/spec/containers/0/ports", json!([{"containerPort": 8080, "hostPort": port}]));
    case.apply(&second)?;
    ensure!(case.until_event("second", "FailedScheduling")?.contains("port"));
    case.line("delete pod door --timeout=30s")?;
    case.until_is("pod second", "/status/containerStatuses/0/ready", true).map(drop)
}

fn unschedulable_says_why(case: &Case) -> Result<()> {
    case.apply(&with(pod("huge", "echo"), "/spec/containers/0/resources", json!({"requests": {"cpu": "1000"}})))?;
    case.apply(&with(pod("picky", "echo"), "/spec/nodeSelector", json!({"no": "such"})))?;
    let why = case.until_event("huge", "FailedScheduling")?;
    ensure!(why.contains("0/1 nodes are available") && why.contains("cpu"), "{why}");
    let why = case.until_event("picky", "FailedScheduling")?;
    ensure!(why.contains("0/1 nodes are available"), "{why}");
    let picky = case.get("pod picky")?;
    ensure!(
        text(&picky, "/status/phase") == "Pending" && text(&picky, "/status/conditions/0/reason") == "Unschedulable",
        "{}",
        picky["status"]
    );
    // A label on the node is all that it takes.
    let node = case.names("nodes")?.pop().context("no node")?;
    case.line(&format!("label node {node} no=such"))?;
    let ran = phase(case, "picky", "Succeeded");
    case.line(&format!("label node {node} no-"))?;
    ran?;
    Ok(())
}
