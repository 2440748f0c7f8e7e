//! The first Deployment of `up`: applied unless it is there, waited for, and shown; or why it does not run.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use gantry_tests::stack::Stack;
use gantry_tests::{Kubectl, wait_for};
use serde_json::Value;

use crate::paths;
use crate::shell::Step;
use crate::up::Stop;

/// How long pods may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long none of them may find a node, before that counts as the answer.
const PLACED: Duration = Duration::from_secs(10);

/// How long one of them may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// How its pods are.
struct Pods {
    wanted: usize,
    /// Addresses of those that are ready.
    ready: Vec<String>,
    placed: bool,
}

/// Applies the example unless it is there, and shows its pods with their addresses, and an answer from one of them. Fails
/// with what is told of the pods when they do not come up.
pub fn deployment(stack: &mut Stack, stop: &Stop) -> Result<()> {
    let kubectl = stack.kubectl();
    let begun = Instant::now();
    let step = Step::new("apply examples/web.yaml");
    let is_new = apply(&kubectl)?;
    let pods = wait_for("its pods to be ready", PATIENCE, || {
        if stop.within(Duration::ZERO) || stack.gantry().is_some_and(|gantry| gantry.check().is_err()) {
            return Ok(None);
        }
        let pods = look(&kubectl)?;
        step.detail(&format!("{} of {} pods are ready", pods.ready.len(), pods.wanted));
        let stuck = !pods.placed && begun.elapsed() > PLACED;
        ensure!(stuck || pods.ready.len() >= pods.wanted, "{} of {} are", pods.ready.len(), pods.wanted);
        // What is known of them may be of the last run still: only an answer says that they are there.
        let page = if stuck { None } else { pods.ready.first().map(|address| fetch(address)).transpose()? };
        Ok(Some((pods, page)))
    });
    let (pods, page) = match pods {
        // Whoever called sees it too.
        Ok(None) => return Ok(()),
        Ok(Some((pods, page))) if pods.ready.len() >= pods.wanted => (pods, page),
        Ok(Some(_)) => bail!("none of its pods has found a node\n{}", complaints(&kubectl)?),
        Err(error) => bail!("{error:#}\n{}", complaints(&kubectl)?),
    };
    let found = if is_new { "" } else { "; it was there, and was left as it is" };
    step.done(&format!("{} pods are ready after {:.1} s{found}", pods.wanted, begun.elapsed().as_secs_f32()));
    print!("\n{}", kubectl.run(&["get", "pods", "-o", "wide"])?);
    if let (Some(address), Some(page)) = (pods.ready.first(), page) {
        println!("\nhttp://{address}:8080/ answers:\n{page}");
    }
    Ok(())
}

/// Whether it was not there. One that is there may have been changed since: that is kept.
fn apply(kubectl: &Kubectl) -> Result<bool> {
    let file = paths::root().join("examples/web.yaml");
    let file = file.to_string_lossy();
    let is_new = kubectl.run(&["get", "-f", &file, "--ignore-not-found", "-o", "name"])?.trim().is_empty();
    if is_new {
        kubectl.run(&["apply", "-f", &file])?;
    }
    Ok(is_new)
}

fn look(kubectl: &Kubectl) -> Result<Pods> {
    let deployment = kubectl.json(&["get", "deployment", "web"])?;
    let wanted = deployment.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1);
    let pods = kubectl.json(&["get", "pods", "-l", "app=web"])?;
    let pods = pods.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is_ready = |pod: &&Value| pod.pointer("/status/containerStatuses/0/ready") == Some(&Value::Bool(true));
    let address = |pod: &Value| pod.pointer("/status/podIP").and_then(Value::as_str).map(str::to_owned);
    Ok(Pods {
        wanted: usize::try_from(wanted)?,
        ready: pods.iter().filter(is_ready).filter_map(address).collect(),
        placed: pods.iter().any(|pod| pod.pointer("/spec/nodeName").is_some()),
    })
}

/// What is told of the Deployment and its pods, each cause once.
fn complaints(kubectl: &Kubectl) -> Result<String> {
    let events = kubectl.json(&["get", "events", "--field-selector", "type=Warning"])?;
    let events = events.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |event: &Value, at: &str| event.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let about = events.iter().filter(|event| text(event, "/involvedObject/name").starts_with("web"));
    let said: BTreeSet<String> =
        about.map(|event| format!("  {}: {}", text(event, "/reason"), text(event, "/message"))).collect();
    match said.is_empty() {
        true => {
            Ok("  nothing is told of it; `kubectl describe deployment web` and `kubectl get plugins` say more".into())
        }
        false => Ok(said.into_iter().collect::<Vec<_>>().join("\n")),
    }
}

fn fetch(address: &str) -> Result<String> {
    let at = SocketAddr::new(address.parse()?, 8080);
    let mut stream = TcpStream::connect_timeout(&at, ANSWER).with_context(|| format!("can't reach {at}"))?;
    stream.set_read_timeout(Some(ANSWER))?;
    write!(stream, "GET / HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.split_once("\r\n\r\n").map_or(answer.clone(), |(_, body)| body.to_owned()))
}
