//! The host killed and started again, also while it starts: nothing acknowledged is lost, nothing runs twice, nothing is
//! left that no pod accounts for.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use gantry_tests::case::{number, text};
use gantry_tests::manifests::{deployment, pod};
use gantry_tests::{Case, Stack, Suite, netns, traces};
use rand::{Rng, SeedableRng};

/// Kills in one run; the seed of their moments is printed.
const KILLS: usize = 50;
/// Of ten kills, so many hit a host that is not ready yet.
const EARLY: u32 = 5;

#[test]
fn a_killed_host_loses_nothing_and_starts_nothing_twice() -> Result<()> {
    let mut suite = Suite::start("kills")?;
    let case = suite.case("kills")?;
    case.apply(&deployment("steady", 3))?;
    case.line("rollout status deployment/steady --timeout=120s")?;
    let before = containers(&case, "steady")?;
    case.apply(&deployment("churn", 4))?;
    case.line("rollout status deployment/churn --timeout=120s")?;
    let seed = std::env::var("GANTRY_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(rand::random::<u64>);
    println!("GANTRY_SEED={seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let over = AtomicBool::new(false);
    let kept = thread::scope(|scope| -> Result<BTreeSet<String>> {
        let writer = scope.spawn(|| write_until(&case, &over));
        let churn = scope.spawn(|| churn_until(&case, &over));
        let mut outcome = Ok(());
        for _ in 0..KILLS {
            outcome = suite.stack().and_then(|stack| kill(stack, &mut random));
            if outcome.is_err() {
                break;
            }
        }
        outcome = outcome.and_then(|()| suite.stack()?.start_gantry());
        over.store(true, Ordering::Relaxed);
        churn.join().ok().context("the churn panicked")?;
        let kept = writer.join().ok().context("the writer panicked")?;
        outcome.map(|()| kept)
    })?;
    ensure!(!kept.is_empty(), "nothing was ever acknowledged");
    let found: BTreeSet<String> = case.names("configmaps -l kept=yes")?.into_iter().collect();
    let lost: Vec<&String> = kept.difference(&found).collect();
    ensure!(lost.is_empty(), "{} of {} acknowledged writes are lost: {lost:?}", lost.len(), kept.len());
    println!("{} acknowledged writes survived {KILLS} kills", kept.len());
    ensure!(containers(&case, "steady")? == before, "containers were started again");
    settle(&case)?;
    let tasks = tasks(&mut suite)?;
    let wanted = running(&case)?;
    ensure!(tasks == wanted, "containerd runs {tasks:?}, pods say {wanted:?}");
    nothing_else(&mut suite, &case)?;
    suite.stop()
}

/// Starts a host and kills it: at some moment of its start, or a while after it was ready.
fn kill(stack: &mut Stack, random: &mut impl Rng) -> Result<()> {
    if stack.gantry().is_some() {
        stack.crash_gantry()?;
    }
    if random.random_ratio(EARLY, 10) {
        stack.launch_gantry()?;
        thread::sleep(Duration::from_millis(random.random_range(0..1500)));
    } else {
        stack.start_gantry()?;
        thread::sleep(Duration::from_millis(random.random_range(50..600)));
    }
    stack.crash_gantry()
}

/// What the node has on this machine is what the pods need that live.
fn nothing_else(suite: &mut Suite, case: &Case) -> Result<()> {
    let alive: BTreeSet<String> = case.list("pods")?.iter().map(|pod| text(pod, "/metadata/uid")).collect();
    let events = case.list("events")?;
    let of_pods = events.iter().filter(|event| text(event, "/involvedObject/kind") == "Pod");
    let seen: BTreeSet<String> = of_pods.map(|event| text(event, "/involvedObject/uid")).chain(alive.clone()).collect();
    println!("{} pods live of {} that were", alive.len(), seen.len());
    ensure!(seen.len() > alive.len(), "no pod ever went");
    case.until("nothing to be left of other pods", || {
        traces::Traces::of(suite.stack()?)?.only_of(&alive)?;
        let (links, cgroups) = (traces::links()?, traces::cgroups(&seen)?);
        ensure!(links == alive.len(), "{links} links for {} pods", alive.len());
        ensure!(cgroups == alive, "cgroups of {cgroups:?}, pods {alive:?}");
        Ok(())
    })
}

/// Makes ConfigMaps; gives those that were acknowledged.
fn write_until(case: &Case, over: &AtomicBool) -> BTreeSet<String> {
    let mut kept = BTreeSet::new();
    for n in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let name = format!("kept-{n}");
        let manifest = format!(
            "{{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{{\"name\":\"{name}\",\"labels\":{{\"kept\":\"yes\"}}}}}}"
        );
        if case.kubectl.succeed(&["create", "-f", "-", "--validate=false"], &manifest).is_ok() {
            kept.insert(name);
        }
    }
    kept
}

/// Scales a Deployment up and down, so that a kill meets pods on their way.
fn churn_until(case: &Case, over: &AtomicBool) {
    for n in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        // Refused while the host is down; that is the point.
        let _ = case.line(&format!("scale deployment churn --replicas={}", 1 + n % 4));
    }
}

fn settle(case: &Case) -> Result<()> {
    case.apply(&deployment("churn", 2))?;
    case.line("rollout status deployment/churn --timeout=180s")?;
    case.until("old pods to be gone", || {
        ensure!(case.names("pods -l app=churn")?.len() == 2, "not yet");
        Ok(())
    })
}

/// Pod uid to its container's id and restarts.
fn containers(case: &Case, app: &str) -> Result<BTreeMap<String, (String, i64)>> {
    let pods = case.list(&format!("pods -l app={app}"))?;
    let entry = |pod: &serde_json::Value| {
        let status = (
            text(pod, "/status/containerStatuses/0/containerID"),
            number(pod, "/status/containerStatuses/0/restartCount"),
        );
        (text(pod, "/metadata/uid"), status)
    };
    Ok(pods.iter().map(entry).collect())
}

/// Ids of containers that pods say run.
fn running(case: &Case) -> Result<BTreeSet<String>> {
    let pods = case.list("pods")?;
    let id =
        |pod: &serde_json::Value| text(pod, "/status/containerStatuses/0/containerID").replace("containerd://", "");
    Ok(pods.iter().filter(|pod| text(pod, "/status/phase") == "Running").map(id).collect())
}

/// Ids of containers that containerd runs, without sandboxes.
fn tasks(suite: &mut Suite) -> Result<BTreeSet<String>> {
    let listed = ctr(&suite.stack()?.socket(), &["tasks", "list"])?;
    let running =
        listed.lines().filter(|line| line.contains("RUNNING")).filter_map(|line| line.split_whitespace().next());
    Ok(running.map(str::to_owned).collect())
}

fn ctr(socket: &Path, args: &[&str]) -> Result<String> {
    let output =
        Command::new("ctr").arg("--address").arg(socket).args(["--namespace", "gantry"]).args(args).output()?;
    ensure!(output.status.success(), "ctr {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_stopped_host_leaves_containers_and_takes_them_over() -> Result<()> {
    let mut suite = Suite::start("takeover")?;
    let case = suite.case("takeover")?;
    case.apply(&deployment("web", 2))?;
    case.line("rollout status deployment/web --timeout=120s")?;
    case.apply(&pod("talks", "lines 2000 10"))?;
    case.until_log("talks", "line 5\n")?;
    let before = containers(&case, "web")?;
    suite.stack()?.stop_gantry()?;
    ensure!(tasks(&mut suite)?.len() >= 3, "containers ended with the host");
    suite.stack()?.start_gantry()?;
    case.line("rollout status deployment/web --timeout=60s")?;
    ensure!(containers(&case, "web")? == before, "containers were started again");
    // What was written meanwhile is in the log.
    case.until_is("pod talks", "/status/phase", "Succeeded")?;
    let log = case.line("logs talks")?;
    ensure!(log.lines().count() == 2000, "{} lines", log.lines().count());
    // One that ends while nobody looks is noticed.
    let id = before.values().next().context("no container")?.0.replace("containerd://", "");
    suite.stack()?.stop_gantry()?;
    let socket = suite.stack()?.socket();
    ctr(&socket, &["tasks", "kill", "--signal", "SIGKILL", &id])?;
    suite.stack()?.start_gantry()?;
    case.until("its restart", || {
        let restarts: i64 = containers(&case, "web")?.values().map(|(_, restarts)| restarts).sum();
        ensure!(restarts == 1, "{restarts} restarts");
        Ok(())
    })?;
    suite.stop()
}

#[test]
fn a_clean_stop_leaves_nothing() -> Result<()> {
    let mut suite = Suite::start("leaves")?;
    let case = suite.case("leaves")?;
    case.apply(&deployment("web", 3))?;
    case.line("rollout status deployment/web --timeout=120s")?;
    let pods = went_and_stayed(&case)?;
    for folder in ["", "node", "records"] {
        let folder = suite.stack()?.data().join(folder);
        let mode = fs::metadata(&folder)?.mode();
        ensure!(mode & 0o077 == 0, "others may look into {}: {mode:o}", folder.display());
    }
    let (links, rules) = (netns::ip("-o link")?, Command::new("nft").args(["list", "ruleset"]).output()?);
    ensure!(links.contains("gtr0") && !rules.stdout.is_empty(), "{links}");
    let data = suite.stack()?.data().to_path_buf();
    suite.stop()?;
    let left = traces::cgroups(&pods)?;
    ensure!(left.is_empty(), "cgroups are left of {left:?}");
    ensure!(!traces::run_dir(&data).exists(), "{} is left", traces::run_dir(&data).display());
    let links = netns::ip("-o link")?;
    ensure!(!links.contains("gtr"), "{links}");
    let rules = String::from_utf8(Command::new("nft").args(["list", "ruleset"]).output()?.stdout)?;
    ensure!(!rules.contains("gantry"), "{rules}");
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let name = data.file_name().and_then(|name| name.to_str()).context("no name")?;
    let left: Vec<&str> = mounts.lines().filter(|line| line.contains(name)).collect();
    ensure!(left.is_empty(), "{left:?}");
    for entry in fs::read_dir("/proc")? {
        let line = fs::read(entry?.path().join("cmdline")).unwrap_or_default();
        ensure!(
            !String::from_utf8_lossy(&line).contains(name),
            "a process is left: {}",
            String::from_utf8_lossy(&line)
        );
    }
    Ok(())
}

/// Uids of pods: some that run, one that has ended, and one that ended and was deleted, of which nothing is left.
fn went_and_stayed(case: &Case) -> Result<BTreeSet<String>> {
    for name in ["ended", "deleted"] {
        case.apply(&pod(name, "id"))?;
        case.until_is(&format!("pod {name}"), "/status/phase", "Succeeded")?;
    }
    let pods: BTreeSet<String> = case.list("pods")?.iter().map(|pod| text(pod, "/metadata/uid")).collect();
    let deleted = BTreeSet::from([text(&case.get("pod deleted")?, "/metadata/uid")]);
    let have = traces::cgroups(&pods)?;
    ensure!(have == pods, "{have:?} have cgroups of {pods:?}");
    case.line("delete pod deleted")?;
    case.until("its cgroup to go", || {
        ensure!(traces::cgroups(&deleted)?.is_empty(), "it is there");
        Ok(())
    })?;
    Ok(pods)
}
