//! The containerd runtime against a real containerd: images from archives, containers and their surroundings, logs,
//! ends, processes in containers, and an agent that restarts. Needs root and the packages containerd, runc and
//! busybox-static.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use gantry_node::logs::{LogQuery, read};
use gantry_node::runtime::{ExecSpec, Limits, Mount, Runtime, RuntimeError, Security, State};
use support::{IMAGE, Node, cgroups, docker_archive, end_of, eventually, gzip};

/// Other work may keep the machine busy.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn images_come_from_layouts_and_docker_archives() {
    let node = Node::with_image().await;
    let image = node.runtime.image(IMAGE).await.unwrap().unwrap();
    assert_eq!((image.entrypoint, image.user.as_str()), (vec!["/bin/sh".to_owned()], "web"));
    assert_eq!(image.env, ["FROM_IMAGE=yes"]);
    assert!(image.id.starts_with("sha256:") && image.size > 100_000);
    assert!(node.runtime.image("test.local/none").await.unwrap().is_none());
    let archive = node.dir.path().join("docker.tar.gz");
    fs::write(&archive, gzip(&docker_archive("saved:2"))).unwrap();
    assert_eq!(node.runtime.import(&archive).await.unwrap(), ["docker.io/library/saved:2"]);
    let mut spec = node.shell("c1", "echo from docker");
    spec.image = "saved:2".into();
    let mut ends = node.runtime.ends();
    assert!(ends.recv().await.unwrap().is_none());
    node.run(&spec).await;
    assert_eq!(end_of(&mut ends, "c1").await.exit.code, 0);
    assert_eq!(node.log_text("c1"), "from docker\n");
    assert_eq!(node.runtime.images().await.unwrap().len(), 2);
    fs::write(&archive, b"rubbish").unwrap();
    assert!(matches!(node.runtime.import(&archive).await, Err(RuntimeError::Failed(_))));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_gets_what_its_spec_says() {
    let node = Node::with_image().await;
    let mut ends = node.runtime.ends();
    let host = node.dir.path().join("host");
    fs::create_dir(&host).unwrap();
    fs::write(host.join("file"), "hello").unwrap();
    let script = "id; cat /data/file; echo; echo $FROM_POD $0; readlink /proc/self/cwd; touch /data/x || echo read-only; \
                  grep NoNewPrivs /proc/self/status; grep CapEff /proc/self/status; echo err >&2; ls /dev/shm /dev/mqueue; \
                  touch /root-file || echo ro-root; exit 7";
    let mut spec = node.shell("c1", script);
    spec.working_dir = "/tmp".into();
    spec.security = Security { read_only_root: true, supplemental_groups: vec![3000], ..Security::default() };
    spec.mounts = vec![Mount { source: host, destination: "/data".into(), read_only: true, propagation: "rprivate" }];
    let pid = node.run(&spec).await;
    assert!(pid > 1);
    let ended = end_of(&mut ends, "c1").await;
    assert_eq!((ended.exit.code, ended.exit.oom), (7, false));
    let text = node.log_text("c1");
    for want in [
        "uid=1000(web) gid=1001(web) groups=1001(web),2000(more),3000",
        "hello\n",
        "yes /bin/sh\n",
        "/tmp\n",
        "read-only\n",
        "NoNewPrivs:\t1\n",
        "CapEff:\t0000000000000000\n",
        "ro-root\n",
    ] {
        assert!(text.contains(want), "{want:?} in {text}");
    }
    assert!(fs::read_to_string(node.log("c1")).unwrap().contains(" stderr F err\n"));
    let State::Exited(exit) = node.runtime.state("c1").await.unwrap() else { panic!("it has ended") };
    assert_eq!(exit, ended.exit);
    node.runtime.remove("c1").await.unwrap();
    node.runtime.remove("c1").await.unwrap();
    assert!(matches!(node.runtime.state("c1").await, Err(RuntimeError::NotFound(_))));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_start_says_why() {
    let node = Node::with_image().await;
    let mut spec = node.shell("c1", "");
    spec.args = vec!["/no/such/program".into()];
    node.runtime.create(&spec).await.unwrap();
    assert_eq!(node.runtime.state("c1").await.unwrap(), State::Created);
    let error = node.runtime.start("c1").await.unwrap_err().to_string();
    assert!(error.contains("no such file or directory"), "{error}");
    assert_eq!(node.runtime.state("c1").await.unwrap(), State::Created);
    let mut root = node.shell("c2", "");
    root.security = Security { run_as_non_root: true, run_as_user: Some(0), ..Security::default() };
    let error = node.runtime.create(&root).await.unwrap_err().to_string();
    assert_eq!(error, "container's runAsUser breaks non-root policy");
    root.image = "test.local/none:1".into();
    assert!(matches!(node.runtime.create(&root).await, Err(RuntimeError::NotFound(_))));
    assert!(matches!(node.runtime.start("c3").await, Err(RuntimeError::NotFound(_))));
    // The same id again replaces what is there.
    node.runtime.create(&node.shell("c1", "sleep 1000")).await.unwrap();
    node.runtime.start("c1").await.unwrap();
    let pid = node.runtime.start("c1").await.unwrap();
    assert_eq!(node.runtime.state("c1").await.unwrap(), State::Running { pid });
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_and_use_is_measured() {
    let node = Node::with_image().await;
    let mut ends = node.runtime.ends();
    let mut spec = node.shell("c1", "sleep 1000");
    spec.limits = Limits {
        cpu_shares: 512,
        cpu_quota: Some(20_000),
        cpu_period: Some(100_000),
        memory: Some(32 << 20),
        pids: Some(20),
        oom_score_adj: Some(500),
    };
    spec.sandbox_limits = Limits { memory: Some(64 << 20), ..spec.limits.clone() };
    let pid = node.run(&spec).await;
    assert_eq!(fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap(), "500\n");
    // Version 1 or 2.
    let set = |files: [&str; 2]| {
        let mut found = cgroups(&spec.cgroup_parent).into_iter().flat_map(|dir| files.map(|file| dir.join(file)));
        let file = found.find(|file| file.exists()).unwrap();
        fs::read_to_string(file).unwrap().trim().to_owned()
    };
    assert_eq!(set(["memory.limit_in_bytes", "memory.max"]), (64 << 20).to_string());
    assert!(["512", "20"].contains(&&*set(["cpu.shares", "cpu.weight"])));
    assert!(["20000", "20000 100000"].contains(&&*set(["cpu.cfs_quota_us", "cpu.max"])));
    let usage = node.runtime.usage("c1").await.unwrap();
    assert!(usage.memory > 0 && usage.memory < 32 << 20 && usage.cpu_nanos > 0, "{usage:?}");
    let mut hungry = node.shell("c2", "");
    hungry.args =
        vec!["/bin/busybox".into(), "dd".into(), "if=/dev/zero".into(), "of=/dev/null".into(), "bs=100M".into()];
    hungry.limits = Limits { oom_score_adj: Some(-998), ..spec.limits.clone() };
    node.run(&hungry).await;
    let ended = end_of(&mut ends, "c2").await;
    assert_eq!((ended.exit.code, ended.exit.oom), (137, true));
    node.runtime.remove("c1").await.unwrap();
    assert!(matches!(node.runtime.usage("c1").await, Err(RuntimeError::NotFound(_))));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_end_containers() {
    let node = Node::with_image().await;
    let mut ends = node.runtime.ends();
    node.run(&node.shell("polite", "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.1; done")).await;
    node.run(&node.shell("rude", "trap '' TERM; echo up; while :; do sleep 0.1; done")).await;
    for id in ["polite", "rude"] {
        eventually("it is up", async || node.log_text(id) == "up\n").await;
        node.runtime.signal(id, 15, false).await.unwrap();
    }
    assert_eq!(end_of(&mut ends, "polite").await.exit.code, 3);
    assert_eq!(node.log_text("polite"), "up\nbye\n");
    assert!(matches!(node.runtime.state("rude").await.unwrap(), State::Running { .. }));
    node.runtime.signal("rude", 9, true).await.unwrap();
    assert_eq!(end_of(&mut ends, "rude").await.exit.code, 137);
    node.runtime.signal("rude", 9, true).await.unwrap();
    node.runtime.signal("never-there", 9, true).await.unwrap();
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_of_a_sandbox_share_it_and_outlive_each_other() {
    let node = Node::with_image().await;
    let spec = |id: &str| {
        let mut spec = node.shell(
            id,
            "readlink /proc/self/ns/ipc; readlink /proc/self/ns/pid; touch /dev/shm/$HOSTNAME-x; sleep 1000",
        );
        spec.sandbox = "shared".into();
        spec.cgroup_parent = node.shell("shared", "").cgroup_parent;
        spec.security.run_as_user = Some(0);
        spec
    };
    let (a, b) = (spec("a"), spec("b"));
    tokio::join!(node.run(&a), node.run(&b));
    eventually("both wrote", async || node.log_text("a").lines().count() + node.log_text("b").lines().count() == 4)
        .await;
    let lines = |id: &str| node.log_text(id).lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines("a")[0], lines("b")[0]);
    assert_ne!(lines("a")[1], lines("b")[1]);
    let socket = node.socket();
    let shims = fs::read_dir("/proc").unwrap().flatten().filter(|p| {
        let line = fs::read_to_string(p.path().join("cmdline")).unwrap_or_default();
        line.contains("containerd-shim") && line.contains(&socket)
    });
    assert_eq!(shims.count(), 1, "one shim for the sandbox");
    // The first one goes and comes again; the other goes on.
    node.runtime.remove("a").await.unwrap();
    let again = spec("a2");
    node.run(&again).await;
    eventually("it wrote", async || lines("a2").len() == 2).await;
    assert_eq!(lines("a2")[0], lines("b")[0]);
    assert!(matches!(node.runtime.state("b").await.unwrap(), State::Running { .. }));
    for id in ["b", "a2"] {
        node.runtime.remove(id).await.unwrap();
    }
    node.runtime.remove_sandbox("shared").await.unwrap();
    node.runtime.remove_sandbox("shared").await.unwrap();
    node.stop().await;
}

/// A pod that ended and was deleted later used to leave its cgroup in every hierarchy.
#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_is_known_until_its_cgroup_is_gone() {
    let mut node = Node::with_image().await;
    let (ended, runs) = (node.shell("ended", "exit 0"), node.shell("runs", "sleep 1000"));
    for spec in [&ended, &runs] {
        node.run(spec).await;
        assert!(!cgroups(&spec.cgroup_parent).is_empty());
    }
    eventually("it ended", async || matches!(node.runtime.state("ended").await.unwrap(), State::Exited(_))).await;
    node.runtime.release_sandbox(&ended.sandbox).await.unwrap();
    node.runtime.release_sandbox(&ended.sandbox).await.unwrap();
    assert!(!cgroups(&ended.cgroup_parent).is_empty(), "its container is there");
    let error = node.runtime.remove_sandbox(&runs.sandbox).await.unwrap_err().to_string();
    assert!(error.contains("/sys/fs/cgroup/") && error.contains("busy"), "{error}");
    node.crash().await;
    let mut left = node.runtime.sandboxes().await.unwrap();
    left.sort();
    assert_eq!(left, [ended.sandbox.as_str(), &runs.sandbox]);
    for spec in [&ended, &runs] {
        node.runtime.remove(&spec.id).await.unwrap();
        node.runtime.remove_sandbox(&spec.sandbox).await.unwrap();
        assert_eq!(cgroups(&spec.cgroup_parent), Vec::<std::path::PathBuf>::new());
    }
    assert!(node.runtime.sandboxes().await.unwrap().is_empty());
    // Left over, as by an agent that was killed: a clean-up finds it.
    node.run(&node.shell("late", "exit 0")).await;
    node.stop().await;
}

/// An agent that was killed while it read an image's users left it mounted, and its snapshot for a day.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_agent_was_making_goes() {
    let mut node = Node::with_image().await;
    node.run(&node.shell("runs", "sleep 1000")).await;
    let half = node.dir.path().join("state/mounts/accounts-x");
    fs::create_dir_all(half.join("root")).unwrap();
    let root = half.join("root").display().to_string();
    assert!(Command::new("mount").args(["-t", "tmpfs", "none", &root]).status().unwrap().success());
    node.ctr(&["leases", "create", "--id", "gantry-half"]);
    let (lost, kept_folder) =
        (node.dir.path().join("state/containers/lost"), node.dir.path().join("state/containers/runs"));
    fs::create_dir_all(&lost).unwrap();
    let kept = node.ctr(&["snapshots", "list"]);
    assert!(node.ctr(&["leases", "list"]).contains("gantry-half"));
    node.crash().await;
    assert!(!lost.exists() && kept_folder.exists());
    assert!(!half.exists() && !node.ctr(&["leases", "list"]).contains("gantry-half"));
    assert_eq!(node.ctr(&["snapshots", "list"]), kept, "what is in use stays");
    node.stop().await;
}

/// As after a request to containerd that was cut off, its sender killed, while the shim started.
#[tokio::test(flavor = "multi_thread")]
async fn a_shim_without_a_task_goes_with_its_sandbox() {
    let node = Node::with_image().await;
    let spec = node.shell("c1", "sleep 1000");
    node.runtime.create(&spec).await.unwrap();
    let (shim, _log) = node.stray_shim(&spec);
    assert!(UnixStream::connect(&shim).is_ok());
    node.runtime.remove(&spec.id).await.unwrap();
    node.runtime.remove_sandbox(&spec.sandbox).await.unwrap();
    eventually("the shim ends", async || UnixStream::connect(&shim).is_err()).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_restarts_takes_over() {
    let mut node = Node::with_image().await;
    node.run(&node.shell("runs", "n=0; while :; do n=$((n+1)); echo $n; sleep 0.01; done")).await;
    node.run(&node.shell("ended", "echo last; exit 5")).await;
    node.runtime.create(&node.shell("made", "sleep 1000")).await.unwrap();
    eventually("it ended", async || matches!(node.runtime.state("ended").await.unwrap(), State::Exited(_))).await;
    let before = node.runtime.state("runs").await.unwrap();
    eventually("it wrote", async || node.log_text("runs").lines().count() > 5).await;
    node.crash().await;
    let seen = node.log_text("runs").lines().count();
    let again = &node.runtime;
    let mut found = again.containers().await.unwrap();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    let ids: Vec<&str> = found.iter().map(|f| f.id.as_str()).collect();
    assert_eq!(ids, ["ended", "made", "runs"]);
    assert!(matches!(&found[0].state, State::Exited(exit) if exit.code == 5));
    assert_eq!(found[1].state, State::Created);
    assert_eq!(found[2].state, before);
    assert!(found[2].started.is_some() && found[1].started.is_none());
    assert_eq!(found[2].labels, node.shell("", "").labels);
    eventually("reading goes on", async || node.log_text("runs").lines().count() > seen + 20).await;
    for (n, line) in node.log_text("runs").lines().enumerate() {
        assert_eq!(line, (n + 1).to_string(), "no line is lost");
    }
    let mut ends = again.ends();
    again.start("made").await.unwrap();
    again.signal("made", 9, true).await.unwrap();
    assert_eq!(end_of(&mut ends, "made").await.exit.code, 137);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_complete_rotated_and_fast() {
    let node = Node::with_image().await;
    let mut ends = node.runtime.ends();
    let mut spec = node.shell("c1", "seq 1 100000; echo -n unfinished");
    spec.log_limit = (2 << 20, 5);
    node.run(&spec).await;
    let started = Instant::now();
    end_of(&mut ends, "c1").await;
    println!("100,000 lines in {:?}", started.elapsed());
    assert!(node.log("c1").with_file_name("0.log.1").exists());
    let parts: Vec<Bytes> = read(node.log("c1"), LogQuery::default(), async {}).map(Result::unwrap).collect().await;
    let text = String::from_utf8(parts.concat()).unwrap();
    let want: String = (1..=100_000).map(|n| format!("{n}\n")).collect();
    assert!(text == want + "unfinished", "{} bytes", text.len());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_run_in_containers() {
    let node = Node::with_image().await;
    node.run(&node.shell("c1", "sleep 1000")).await;
    let command = |script: &str| vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()];
    let (code, text) =
        node.runtime.run("c1", &command("id -u; echo $FROM_POD; echo no >&2; exit 4"), PATIENCE).await.unwrap();
    assert_eq!(code, 4);
    // Both streams are there, each in its order; between two pipes there is none.
    let (out, err): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| *line != "no");
    assert_eq!((out, err), (vec!["1000", "yes"], vec!["no"]), "{text}");
    let late = node.runtime.run("c1", &command("sleep 500"), Duration::from_millis(300)).await.unwrap_err();
    assert!(late.to_string().contains("timed out"), "{late}");
    eventually("the late command is gone", async || {
        let (_, text) = node.runtime.run("c1", &command("ps"), PATIENCE).await.unwrap();
        !text.contains("sleep 500")
    })
    .await;
    // Given up at any moment of its start, a command holds up no other.
    for millis in [1, 3, 5, 10, 20, 40, 80] {
        let early = node.runtime.run("c1", &command("sleep 500"), Duration::from_millis(millis)).await;
        assert!(early.is_err());
    }
    assert_eq!(node.runtime.run("c1", &command("echo goes on"), PATIENCE).await.unwrap().1, "goes on\n");
    let error = node.runtime.run("c1", &["/none".to_owned()], PATIENCE).await.unwrap_err();
    assert!(error.to_string().contains("no such file"), "{error}");

    let spec = ExecSpec { command: vec!["/bin/cat".into()], stdin: true, tty: false };
    let mut cat = node.runtime.exec("c1", spec).await.unwrap();
    let stdin = cat.stdin.take().unwrap();
    stdin.send("through\n".into()).await.unwrap();
    assert_eq!(cat.output.recv().await.unwrap(), (false, Bytes::from("through\n")));
    drop(stdin);
    assert!(cat.output.recv().await.is_none());
    assert_eq!(cat.exit.await.unwrap(), Ok(0));

    // The size comes by another way than the input does, and at its own time.
    let looks = "until stty size | grep -q '41 101'; do sleep 0.1; done; stty size; read x; echo got $x; exit 9";
    let spec = ExecSpec { command: command(looks), stdin: true, tty: true };
    let mut shell = node.runtime.exec("c1", spec).await.unwrap();
    shell.resize.send((101, 41)).await.unwrap();
    shell.stdin.as_ref().unwrap().send("line\n".into()).await.unwrap();
    let mut text = String::new();
    while let Some((is_stderr, bytes)) = tokio::time::timeout(PATIENCE, shell.output.recv()).await.expect(&text) {
        assert!(!is_stderr);
        text.push_str(&String::from_utf8_lossy(&bytes));
    }
    assert!(text.contains("41 101") && text.contains("got line"), "{text}");
    assert_eq!(shell.exit.await.unwrap(), Ok(9));
    let exec = node.dir.path().join("state/exec");
    eventually("pipes are removed", async || fs::read_dir(&exec).unwrap().count() == 0).await;
    node.stop().await;
}
