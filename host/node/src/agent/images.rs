//! Which image a container gets, and the credentials to get it with.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use base64::Engine;
use k8s_openapi::api::core::v1::Container;
use serde_json::Value;

use super::backoff;
use super::context::Context;
use super::desired::Desired;
use super::planner::Hold;
use super::sources;
use crate::cluster::Source;
use crate::runtime::{Credentials, Image, PullError, RuntimeError};
use crate::time::after;

/// How long a fresh failure is shown before it reads as waiting for the next try.
const SHOW_FAILURE: Duration = Duration::from_secs(2);
/// After a step of the runtime or the control plane that failed for reasons of their own.
const RETRY: u32 = 5;

/// Sees to it that the image is on the node. `Err`: what to show, and when to try again; `last` is the wait before.
pub async fn ensure(
    context: &Context,
    desired: &Desired,
    container: &Container,
    last: Option<&Hold>,
) -> Result<Image, Hold> {
    let name = container.image.clone().unwrap_or_default();
    if let Err(reason) = crate::image::Name::parse(&name) {
        return Err(bad_name(context, desired, container, &PullError::Name { name, reason }));
    }
    let policy = policy(container.image_pull_policy.as_deref(), &name);
    if policy != Policy::Always
        && let Some(image) = present(context, &name).await?
    {
        already_there(context, desired, container, &name);
        return Ok(image);
    }
    if policy == Policy::Never {
        let message = format!("Container image \"{name}\" is not present with pull policy of Never");
        context.warn(&desired.key, Some(&container.name), "ErrImageNeverPull", message.clone());
        context.warn(&desired.key, Some(&container.name), "Failed", "Error: ErrImageNeverPull");
        return Err(hold(context, "ErrImageNeverPull", message, backoff::FIRST));
    }
    let turn = turn(context, &name);
    let _mine = turn.lock().await;
    // Another pod may have fetched it meanwhile.
    if policy != Policy::Always
        && let Some(image) = present(context, &name).await?
    {
        already_there(context, desired, container, &name);
        return Ok(image);
    }
    pull(context, desired, container, &name, last).await
}

fn already_there(context: &Context, desired: &Desired, container: &Container, name: &str) {
    let message = format!("Container image \"{name}\" already present on machine");
    context.tell(&desired.key, Some(&container.name), "Pulled", message);
}

/// One lock an image.
fn turn(context: &Context, name: &str) -> Arc<tokio::sync::Mutex<()>> {
    let mut all = context.pulling.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|_, lock| Arc::strong_count(lock) > 1);
    all.entry(name.to_owned()).or_default().clone()
}

async fn present(context: &Context, name: &str) -> Result<Option<Image>, Hold> {
    match context.runtime.image(name).await {
        Ok(found) => Ok(found),
        Err(RuntimeError::NotFound(_)) => Ok(None),
        Err(RuntimeError::Unavailable(reason) | RuntimeError::Failed(reason)) => {
            Err(hold(context, "ImageInspectError", reason, RETRY))
        }
    }
}

async fn pull(
    context: &Context,
    desired: &Desired,
    container: &Container,
    name: &str,
    last: Option<&Hold>,
) -> Result<Image, Hold> {
    let begun = tokio::time::Instant::now();
    let credentials = credentials(context, desired, name).await;
    let Ok(_permit) = context.pulls.acquire().await else {
        return Err(hold(context, "ErrImagePull", "the node agent stops".to_owned(), RETRY));
    };
    let (pod, field) = (&desired.key, Some(container.name.as_str()));
    context.tell(pod, field, "Pulling", format!("Pulling image \"{name}\""));
    let pulling = tokio::time::Instant::now();
    match context.runtime.pull(name, &credentials).await {
        Ok(image) => {
            let (took, waited) = (show(pulling.elapsed()), show(begun.elapsed()));
            let message = format!(
                "Successfully pulled image \"{name}\" in {took} ({waited} including waiting). Image size: {} bytes.",
                image.size
            );
            context.tell(pod, field, "Pulled", message);
            Ok(image)
        }
        Err(error @ PullError::Name { .. }) => Err(bad_name(context, desired, container, &error)),
        Err(error) => {
            let why = match &error {
                PullError::Pull { reason, .. } => reason.clone(),
                other => other.to_string(),
            };
            context.warn(pod, field, "Failed", format!("Failed to pull image \"{name}\": {why}"));
            context.warn(pod, field, "Failed", "Error: ErrImagePull");
            Err(pull_hold(context, name, error.to_string(), last))
        }
    }
}

fn bad_name(context: &Context, desired: &Desired, container: &Container, error: &PullError) -> Hold {
    let name = container.image.as_deref().unwrap_or_default();
    let message = format!("Failed to apply default image tag \"{name}\": {error}");
    let field = Some(container.name.as_str());
    context.warn(&desired.key, field, "InspectFailed", message.clone());
    context.warn(&desired.key, field, "Failed", "Error: InvalidImageName");
    hold(context, "InvalidImageName", message, backoff::FIRST)
}

fn pull_hold(context: &Context, name: &str, message: String, last: Option<&Hold>) -> Hold {
    let before = last.filter(|hold| hold.reason == "ErrImagePull").map_or(0, |hold| hold.delay);
    let mut hold = hold(context, "ErrImagePull", message.clone(), backoff::next(before));
    let shown = after(context.clock.now(), SHOW_FAILURE);
    hold.later =
        Some((shown, "ImagePullBackOff", format!("Back-off pulling image \"{name}\": ErrImagePull: {message}")));
    hold
}

/// A step that failed, to be tried again after so many seconds.
pub fn hold(context: &Context, reason: &'static str, message: String, seconds: u32) -> Hold {
    let until = after(context.clock.now(), Duration::from_secs(seconds.into()));
    Hold { reason, message, until, later: None, delay: seconds }
}

fn show(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1000 { format!("{millis}ms") } else { format!("{}.{:03}s", millis / 1000, millis % 1000) }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    Always,
    IfNotPresent,
    Never,
}

fn policy(given: Option<&str>, image: &str) -> Policy {
    match given {
        Some("Always") => Policy::Always,
        Some("IfNotPresent") => Policy::IfNotPresent,
        Some("Never") => Policy::Never,
        // As the API defaults it.
        _ if image.contains('@') => Policy::IfNotPresent,
        _ => match image.rsplit('/').next().and_then(|last| last.split_once(':')) {
            Some((_, tag)) if tag != "latest" => Policy::IfNotPresent,
            _ => Policy::Always,
        },
    }
}

/// What the pod's pull secrets have for the image's registry. A secret that is absent or does not parse is passed
/// over: the registry may not need it.
async fn credentials(context: &Context, desired: &Desired, image: &str) -> Vec<Credentials> {
    let spec = desired.spec();
    let mut all = Vec::new();
    for reference in spec.image_pull_secrets.iter().flatten() {
        let namespace = &desired.key.namespace;
        match sources::must_read(&context.cluster, Source::Secret, namespace, &reference.name).await {
            Ok(contents) => all.extend(contents.iter().flat_map(|(key, bytes)| matching(key, bytes, image))),
            Err(error) => {
                let message = format!(
                    "Unable to retrieve some image pull secrets ({}); attempting to pull the image may not succeed.",
                    reference.name
                );
                tracing::debug!(%error, pod = %desired.key, "pull secret");
                context.warn(&desired.key, None, "FailedToRetrieveImagePullSecret", message);
            }
        }
    }
    all
}

/// The entries of a `.dockerconfigjson` or `.dockercfg` for this image, the most specific first.
fn matching(key: &str, bytes: &[u8], image: &str) -> Vec<Credentials> {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return Vec::new() };
    let entries = match key {
        ".dockerconfigjson" => value.get("auths").cloned().unwrap_or_default(),
        ".dockercfg" => value,
        _ => return Vec::new(),
    };
    let full = full_name(image);
    let mut found: Vec<(usize, Credentials)> = entries
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(place, entry)| {
            let place = bare(place);
            matches(&place, &full).then(|| decode(entry).map(|credentials| (place.len(), credentials)))?
        })
        .collect();
    found.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
    found.into_iter().map(|(_, credentials)| credentials).collect()
}

/// `nginx` → `docker.io/library/nginx`
fn full_name(image: &str) -> String {
    let host = |first: &str| first.contains(['.', ':']) || first == "localhost";
    match image.split_once('/') {
        Some((first, _)) if host(first) => image.to_owned(),
        Some(_) => format!("docker.io/{image}"),
        None => format!("docker.io/library/{image}"),
    }
}

/// An entry's key as host and path: `https://index.docker.io/v1/` → `docker.io`.
fn bare(place: &str) -> String {
    let place = place.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let place = place.strip_suffix("/v1").or_else(|| place.strip_suffix("/v2")).unwrap_or(place);
    match place.split_once('/') {
        Some(("index.docker.io" | "registry-1.docker.io", rest)) => format!("docker.io/{rest}"),
        None if matches!(place, "index.docker.io" | "registry-1.docker.io") => "docker.io".to_owned(),
        _ => place.to_owned(),
    }
}

/// Host by host label (`*` stands for one label's text), and path by prefix.
fn matches(place: &str, image: &str) -> bool {
    let split = |text: &str| match text.split_once('/') {
        Some((host, path)) => (host.to_owned(), path.to_owned()),
        None => (text.to_owned(), String::new()),
    };
    let ((want_host, want_path), (host, path)) = (split(place), split(image));
    let (want, have): (Vec<&str>, Vec<&str>) = (want_host.split('.').collect(), host.split('.').collect());
    want.len() == have.len()
        && want.iter().zip(&have).all(|(want, have)| glob(want, have))
        && path.starts_with(&want_path)
}

fn glob(want: &str, have: &str) -> bool {
    match want.split_once('*') {
        Some((head, tail)) => have.len() >= head.len() + tail.len() && have.starts_with(head) && have.ends_with(tail),
        None => want == have,
    }
}

fn decode(entry: &Value) -> Option<Credentials> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
    if let Some(auth) = text("auth").filter(|auth| !auth.is_empty()) {
        let plain = base64::engine::general_purpose::STANDARD.decode(auth.trim()).ok()?;
        let plain = String::from_utf8(plain).ok()?;
        let (username, password) = plain.split_once(':')?;
        return Some(Credentials { username: username.to_owned(), password: password.to_owned() });
    }
    Some(Credentials { username: text("username")?, password: text("password")? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn policies_default_by_tag() {
        for (given, image, want) in [
            (None, "nginx", Policy::Always),
            (None, "nginx:latest", Policy::Always),
            (None, "nginx:1", Policy::IfNotPresent),
            (None, "r:5000/nginx", Policy::Always),
            (None, "nginx@sha256:00", Policy::IfNotPresent),
            (Some("Never"), "nginx", Policy::Never),
        ] {
            assert_eq!(policy(given, image), want, "{image}");
        }
    }

    #[test]
    fn credentials_match_by_registry_and_path() {
        let entry = |user: &str| json!({"username": user, "password": "p"});
        let auths = json!({"auths": {
            "https://index.docker.io/v1/": entry("hub"),
            "reg.example.com:5000": entry("port"),
            "reg.example.com:5000/team": entry("team"),
            "*.cloud.example": entry("star"),
            "auth.example": {"auth": base64::engine::general_purpose::STANDARD.encode("u:p:w")},
        }});
        let bytes = auths.to_string();
        for (image, want) in [
            ("nginx", vec!["hub"]),
            ("user/app:1", vec!["hub"]),
            ("reg.example.com:5000/x", vec!["port"]),
            ("reg.example.com:5000/team/x", vec!["team", "port"]),
            ("reg.example.com/x", vec![]),
            ("eu.cloud.example/x", vec!["star"]),
            ("a.b.cloud.example/x", vec![]),
            ("auth.example/x", vec!["u"]),
        ] {
            let found = matching(".dockerconfigjson", bytes.as_bytes(), image);
            assert_eq!(found.iter().map(|c| c.username.as_str()).collect::<Vec<_>>(), want, "{image}");
        }
        assert!(matching(".dockercfg", b"{\"docker.io\":{\"username\":\"a\",\"password\":\"b\"}}", "nginx").len() == 1);
        assert!(matching(".dockerconfigjson", b"nonsense", "nginx").is_empty());
    }
}
