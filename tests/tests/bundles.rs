//! Plugins taken out of the bundle, and bundles that do not fit: what they did stops and nothing else, and whoever looks
//! is told why.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use gantry_tests::case::text;
use gantry_tests::manifests::{deployment, pod, with};
use gantry_tests::stack::Options;
use gantry_tests::{Case, Suite, netns, scenarios};

/// The bundle without one plugin, in the data directory.
fn without(options: &mut Options, plugin: &str) -> Result<()> {
    let text = fs::read_to_string(&options.bundle)?;
    options.bundle = options.data.join("bundle.toml");
    fs::write(&options.bundle, taken_out(&text, plugin)?)?;
    Ok(())
}

fn taken_out(bundle: &str, plugin: &str) -> Result<String> {
    let (head, entries) = bundle.split_once("[[plugin]]").context("the bundle has no plugin")?;
    let name = format!("name = \"{plugin}\"");
    let kept: Vec<&str> = entries.split("[[plugin]]").filter(|entry| !entry.contains(&name)).collect();
    ensure!(kept.len() < entries.split("[[plugin]]").count(), "{plugin} is not in the bundle");
    Ok(kept.iter().fold(head.to_owned(), |text, entry| text + "[[plugin]]" + entry))
}

/// The bundle with a plugin that may be missing and whose component is another one than it says.
fn lame(bundle: &str, plugin: &str) -> Result<String> {
    let name = format!("name = \"{plugin}\"");
    let (head, tail) = bundle.split_once(&name).context("no such plugin")?;
    let (between, digest) = tail.split_once("sha256:").context("no digest")?;
    let rest = digest.get(64..).context("no digest")?;
    Ok(format!("{head}{name}\nrequired = false{between}sha256:{}{rest}", "0".repeat(64)))
}

#[test]
fn a_changed_bundle_is_taken_by_a_running_host() -> Result<()> {
    let mut suite = Suite::start_with("reload", |options| {
        let kept = options.data.join("bundle.toml");
        fs::copy(&options.bundle, &kept)?;
        options.bundle = kept;
        Ok(())
    })?;
    let case = suite.case("reload")?;
    let file = suite.stack()?.options_mut().bundle.clone();
    let whole = fs::read_to_string(&file)?;
    let mut change = |text: &str, wanted: &str| -> Result<()> {
        fs::write(&file, text)?;
        let gantry = suite.stack()?.gantry().context("no host")?;
        let before = gantry.log_tail(10_000).matches(wanted).count();
        gantry.reload()?;
        case.until(wanted, || {
            ensure!(gantry.log_tail(10_000).matches(wanted).count() > before, "the log does not say {wanted:?}");
            Ok(())
        })
    };
    case.apply(&pod("long", "sleep 1000"))?;
    case.line("wait pod/long --for=condition=Ready --timeout=60s")?;
    // Without the scheduler pods wait; one that runs already runs on.
    change(&taken_out(&whole, "scheduler-kubernetes")?, "running by the bundle as it is now")?;
    case.apply(&pod("waits", "echo hello"))?;
    ensure!(case.until_event("waits", "FailedScheduling")?.contains("scheduler"));
    // What can't be loaded changes nothing.
    let digest = whole.split_once("digest = \"sha256:").context("no digest")?.1.get(..64).context("no digest")?;
    change(&whole.replace(digest, &"0".repeat(64)), "the bundle can't be taken")?;
    ensure!(case.names("plugins")?.iter().all(|name| name != "scheduler-kubernetes"), "half of it was taken");
    change(&whole, "running by the bundle as it is now")?;
    case.until_is("pod waits", "/status/phase", "Succeeded")?;
    ensure!(case.get("pod long")?["status"]["containerStatuses"][0]["restartCount"] == 0);
    case.apply(&deployment("web", 1))?;
    case.line("rollout status deployment/web --timeout=60s")?;
    suite.stop()
}

/// What there is on the node of services and policies: tables of rules, and the link to which virtual addresses are routed.
fn of_plugins() -> Result<Vec<&'static str>> {
    let tables = Command::new("nft").args(["list", "tables"]).output()?;
    let found = String::from_utf8(tables.stdout)? + &netns::ip("-o link")?;
    Ok(["gantry-services", "gts0", "gantry-policy"].into_iter().filter(|name| found.contains(name)).collect())
}

#[test]
fn what_a_plugin_put_on_the_node_goes_with_it() -> Result<()> {
    let mut suite = Suite::start_with("gone", |options| {
        let kept = options.data.join("bundle.toml");
        fs::copy(&options.bundle, &kept)?;
        options.bundle = kept;
        Ok(())
    })?;
    let case = suite.case("gone")?;
    let file = suite.stack()?.options_mut().bundle.clone();
    let whole = fs::read_to_string(&file)?;
    case.line("create service clusterip web --tcp=80:8080")?;
    case.apply(&pod("long", "sleep 1000"))?;
    case.line("wait pod/long --for=condition=Ready --timeout=60s")?;
    let until = |wanted: &[&str]| {
        case.until(&format!("{wanted:?} on the node"), || {
            let found = of_plugins()?;
            ensure!(found == wanted, "there is {found:?}");
            Ok(())
        })
    };
    until(&["gantry-services", "gts0", "gantry-policy"])?;
    // One that can't be loaded is expected back: what it did stays.
    suite.stack()?.crash_gantry()?;
    fs::write(&file, lame(&whole, "load-balancer-nftables")?)?;
    suite.stack()?.start_gantry()?;
    case.apply(&pod("later", "echo hello"))?;
    case.until_is("pod later", "/status/phase", "Succeeded")?;
    ensure!(of_plugins()? == ["gantry-services", "gts0", "gantry-policy"], "there is {:?}", of_plugins()?);
    // While the host runs.
    let no_services = taken_out(&whole, "load-balancer-nftables")?;
    fs::write(&file, &no_services)?;
    suite.stack()?.gantry().context("no host")?.reload()?;
    until(&["gantry-policy"])?;
    // While it is away.
    suite.stack()?.crash_gantry()?;
    fs::write(&file, taken_out(&no_services, "network-policy")?)?;
    suite.stack()?.start_gantry()?;
    until(&[])?;
    ensure!(case.get("pod long")?["status"]["containerStatuses"][0]["restartCount"] == 0);
    // And back again.
    fs::write(&file, &whole)?;
    suite.stack()?.gantry().context("no host")?.reload()?;
    until(&["gantry-services", "gts0", "gantry-policy"])?;
    suite.stop()
}

#[test]
fn without_a_scheduler_pods_wait_and_say_why() -> Result<()> {
    Suite::start_with("no-scheduler", |options| without(options, "scheduler-kubernetes"))?.run(scenarios![waits])
}

fn waits(case: &Case) -> Result<()> {
    case.apply(&deployment("web", 2))?;
    case.until("two pods", || {
        ensure!(case.names("pods -l app=web")?.len() == 2, "not yet");
        Ok(())
    })?;
    let pod = case.names("pods -l app=web")?.pop().context("no pod")?;
    let why = case.until_event(&pod, "FailedScheduling")?;
    ensure!(why.contains("scheduler"), "{why}");
    case.stays(Duration::from_secs(2), || {
        let pod = case.get(&format!("pod {pod}"))?;
        ensure!(text(&pod, "/status/phase") == "Pending" && text(&pod, "/spec/nodeName").is_empty(), "{pod}");
        Ok(())
    })?;
    // A pod that names its node needs no scheduler.
    let node = case.names("nodes")?.pop().context("no node")?;
    case.apply(&with(self::pod("placed", "echo hello"), "/spec/nodeName", node))?;
    case.until_is("pod placed", "/status/phase", "Succeeded").map(drop)
}

#[test]
fn without_its_controller_a_deployment_is_only_stored() -> Result<()> {
    let mut suite = Suite::start("no-controller")?;
    let case = suite.case("leftover")?;
    case.apply(&deployment("web", 2))?;
    case.line("rollout status deployment/web --timeout=120s")?;
    let whole = suite.stack()?.options_mut().bundle.clone();
    suite.stack()?.stop_gantry()?;
    without(suite.stack()?.options_mut(), "controller-workloads")?;
    suite.stack()?.start_gantry()?;
    // The port is another one; the kubeconfig knows.
    ensure!(case.until_event("web", "NoController")?.contains("controller-workloads"));
    case.line("scale deployment web --replicas=3")?;
    case.stays(Duration::from_secs(2), || {
        ensure!(case.names("pods -l app=web")?.len() == 2, "somebody still acts on Deployments");
        Ok(())
    })?;
    case.apply(&pod("other", "echo hello"))?;
    case.until_is("pod other", "/status/phase", "Succeeded")?;
    suite.stack()?.stop_gantry()?;
    suite.stack()?.options_mut().bundle = whole;
    suite.stack()?.start_gantry()?;
    case.until_is("deployment web", "/status/readyReplicas", 3)?;
    suite.stop()
}

#[test]
fn without_their_controller_services_are_only_stored() -> Result<()> {
    let without = |options: &mut Options| without(options, "controller-services");
    Suite::start_with("no-services", without)?.run(scenarios![services_are_only_stored])
}

fn services_are_only_stored(case: &Case) -> Result<()> {
    // Clients count on the kind.
    ensure!(case.line("cluster-info")?.contains("is running at"));
    case.line("create service clusterip web --tcp=80:8080")?;
    ensure!(case.until_event("web", "NoController")?.contains("controller-services"));
    ensure!(text(&case.get("service web")?, "/spec/clusterIP").is_empty());
    case.apply(&pod("other", "echo hello"))?;
    case.until_is("pod other", "/status/phase", "Succeeded").map(drop)
}

#[test]
fn bundles_that_do_not_fit_are_refused() -> Result<()> {
    let options = gantry_tests::suite::options("refused")?;
    let text = fs::read_to_string(&options.bundle)?;
    let digest = text.split_once("digest = \"sha256:").context("no digest")?.1.get(..64).context("no digest")?;
    let (head, tail) = text.split_once("name = \"network-bridge\"").context("no network-bridge")?;
    let no_plans = [head, "name = \"network-bridge\"", &tail.replacen("grants = \"asked\"", "", 1)].concat();
    let table = [
        ("no plans", no_plans, "network-bridge", "asks for plan network"),
        ("the digest of another file", text.replace(digest, &"0".repeat(64)), "controller-workloads", "digest"),
        (
            "no such file",
            text.replacen("name = \"network-bridge\"", "name = \"network-bridge\"\nsource = \"absent.wasm\"", 1),
            "network-bridge",
            "absent.wasm",
        ),
        ("a misspelt key", text.replacen("memory = ", "memori = ", 1), "", "memori"),
        ("no grants", text.replacen("grants = \"asked\"", "", 1), "controller-workloads", "grant"),
        (
            "unknown configuration",
            text.replacen("bridge = \"gtr0\"", "bridges = \"gtr0\"", 1),
            "network-bridge",
            "bridges",
        ),
    ];
    let mut wrong = Vec::new();
    for (what, bundle, plugin, cause) in table {
        let file = options.data.join("bad.toml");
        fs::write(&file, bundle)?;
        let mut up = Command::new("timeout");
        up.args(["--signal=KILL", "60"]).arg(&options.gantry).args(["up", "--no-node", "--listen", "127.0.0.1:0"]);
        up.arg("--data-dir").arg(options.data.join("control")).arg("--bundle").arg(&file);
        let output = up.arg("--plugins").arg(&options.plugins).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = said.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
        if output.status.code() != Some(1)
            || !line.contains(plugin)
            || !line.contains(cause)
            || !line.contains("bad.toml")
        {
            wrong.push(format!("{what}: {}: {said}", output.status));
        }
        // It compiles every plugin anew: of the rest, what starts tell is enough.
        if !["no plans", "unknown configuration"].contains(&what) {
            continue;
        }
        let mut check = Command::new(&options.gantry);
        check.args(["bundle", "check"]).arg(&file).arg("--plugins").arg(&options.plugins);
        let output = check.output()?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        if output.status.code() != Some(1) || !said.lines().any(|line| line.contains(plugin) && line.contains(cause)) {
            wrong.push(format!("checked, {what}: {}: {said}", output.status));
        }
    }
    fs::remove_dir_all(&options.data)?;
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
