//! Log lines of containers reach the file sink: every one at least once, in order, through rotation of the logs, a host
//! that is killed, a container that is killed, the deletion of their pod.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use gantry_tests::case::text;
use gantry_tests::manifests::pod;
use gantry_tests::{Case, Suite};
use serde_json::Value;

/// Lines of the pod that prints without a pause.
const LINES: usize = 60_000;
/// Logs are cut at this size, so that these lines fill some fifty files, and as many are kept as they fill.
const LOG_LIMITS: [&str; 4] = ["--log-max-bytes", "65536", "--log-max-files", "200"];

#[test]
fn every_line_reaches_the_sink_through_kills_of_the_host() -> Result<()> {
    let mut suite = Suite::start_with("records", |options| {
        options.args.extend(LOG_LIMITS.map(OsString::from));
        Ok(())
    })?;
    let case = suite.case("records")?;
    case.apply(&pod("talks", "lines 3000 5"))?;
    case.apply(&pod("floods", &format!("lines {LINES}")))?;
    let folder = suite.stack()?.data().join("records");
    for want in [100, 1000, 2000] {
        until_lines(&case, &folder, "talks", want)?;
        suite.stack()?.crash_gantry()?;
        suite.stack()?.start_gantry()?;
    }
    case.until_is("pod talks", "/status/phase", "Succeeded")?;
    let talks = until_lines(&case, &folder, "talks", 3000)?;
    let floods = until_lines(&case, &folder, "floods", LINES)?;
    for (name, lines, count) in [("talks", &talks, 3000), ("floods", &floods, LINES)] {
        let want: Vec<String> = (1..=count).map(|n| format!("line {n}")).collect();
        let mut seen = BTreeSet::new();
        let first: Vec<&String> = lines.iter().filter(|line| seen.insert(*line)).collect();
        ensure!(first.iter().copied().eq(want.iter()), "{name}: {} lines, not those that were printed", first.len());
        println!("{name}: {} lines, {} of them again after a kill", count, lines.len() - count);
    }
    check_origin(&case, &folder)?;
    check_metrics(&case)?;
    // A deleted pod's last lines get there too, and then its logs go.
    case.apply(&pod("brief", "lines 10"))?;
    case.until_is("pod brief", "/status/phase", "Succeeded")?;
    case.line("delete pod brief --wait=true")?;
    until_lines(&case, &folder, "brief", 10)?;
    let logs = suite.stack()?.data().join("node/logs");
    case.until("the logs of the deleted pod to go", || {
        let left: Vec<_> = fs::read_dir(&logs)?.flatten().map(|entry| entry.file_name()).collect();
        ensure!(!left.iter().any(|name| name.to_string_lossy().contains("_brief_")), "{left:?}");
        Ok(())
    })?;
    suite.stop()
}

fn until_lines(case: &Case, folder: &Path, pod: &str, count: usize) -> Result<Vec<String>> {
    case.until(&format!("{count} lines of {pod} in the sink"), || {
        let mut all = records(folder)?;
        let lines = all.remove(pod).unwrap_or_default();
        let distinct = lines.iter().collect::<BTreeSet<_>>().len();
        ensure!(distinct >= count, "{distinct} lines");
        Ok(lines)
    })
}

/// Bodies of container lines by pod, in the order of the files.
fn records(folder: &Path) -> Result<BTreeMap<String, Vec<String>>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in raw(folder)? {
        if record.pointer("/Attributes/log.iostream").is_some() {
            let pod = record["Resource"]["k8s.pod.name"].as_str().context("no pod")?.to_owned();
            all.entry(pod).or_default().push(text(&record, "/Body"));
        }
    }
    Ok(all)
}

fn raw(folder: &Path) -> Result<Vec<Value>> {
    let mut files: Vec<_> = fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let mut records = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file)?;
        // The last line may be on its way.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in whole.lines() {
            records.push(serde_json::from_str(line).with_context(|| format!("{}: {line}", file.display()))?);
        }
    }
    Ok(records)
}

fn check_origin(case: &Case, folder: &Path) -> Result<()> {
    let shown = case.get("pod talks")?;
    let all = raw(folder)?;
    let line = all.iter().find(|r| r["Body"] == "line 7" && r["Resource"]["k8s.pod.name"] == "talks");
    let line = line.context("line 7 is not there")?;
    let container = &shown["status"]["containerStatuses"][0];
    let id = text(container, "/containerID").replace("containerd://", "");
    let want = [
        ("k8s.namespace.name", text(&shown, "/metadata/namespace")),
        ("k8s.pod.uid", text(&shown, "/metadata/uid")),
        ("k8s.container.name", text(container, "/name")),
        ("k8s.container.restart_count", "0".to_owned()),
        ("k8s.node.name", text(&shown, "/spec/nodeName")),
        ("container.id", id),
    ];
    for (key, value) in want {
        ensure!(line["Resource"][key] == value.as_str(), "{key} is not {value}: {line}");
    }
    let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?;
    let at: u64 = text(line, "/Timestamp").parse()?;
    let age = Duration::from_nanos(now.saturating_sub(at));
    ensure!(age < Duration::from_secs(600), "line 7 is {age:?} old");
    Ok(())
}

fn check_metrics(case: &Case) -> Result<()> {
    let metrics = case.line("get --raw /metrics")?;
    let value = |start: &str| {
        let line = metrics.lines().find(|line| line.starts_with(start));
        line.and_then(|line| line.rsplit(' ').next()).and_then(|n| n.parse::<f64>().ok())
    };
    let shipped = value("gantry_log_lines_total{plugin=\"sink-file\",outcome=\"shipped\"}");
    ensure!(shipped.is_some_and(|n| n > 0.0), "{metrics}");
    let lost = value("gantry_log_lines_total{plugin=\"sink-file\",outcome=\"lost\"}");
    ensure!(lost.unwrap_or_default() == 0.0, "{lost:?} lines lost");
    ensure!(value("gantry_log_lag_bytes{plugin=\"sink-file\"}").is_some(), "{metrics}");
    Ok(())
}
