//! Images from a registry: by tag and by digest, with and without credentials, and when there is none.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use gantry_tests::case::text;
use gantry_tests::manifests::{pod, with};
use gantry_tests::suite::patience;
use gantry_tests::{Case, Process, Suite, scenarios, wait_for};
use serde_json::json;

const OPEN: &str = "127.0.0.1:5001";
const CLOSED: &str = "127.0.0.1:5002";

#[test]
fn images() -> Result<()> {
    // Before the suite, so that they end after it.
    let mut registries = Vec::new();
    let suite = Suite::start_with("images", |options| {
        for (name, address, closed) in [("open", OPEN, false), ("closed", CLOSED, true)] {
            registries.push(Registry::start(&options.data, name, address, closed)?);
        }
        let archive = options.images.first().context("no image")?;
        publish(archive, &options.data, OPEN, None)?;
        publish(archive, &options.data, CLOSED, Some("crane:lift"))
    });
    suite?.run(scenarios![by_tag, by_digest, with_a_secret, without_a_secret, absent_ones, policies, bad_names])
}

/// Ends when it is dropped.
struct Registry(Option<Process>);

impl Drop for Registry {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.0.take().map(|registry| registry.stop(Duration::from_secs(5))) {
            eprintln!("can't stop a registry: {error:#}");
        }
    }
}

impl Registry {
    fn start(data: &Path, name: &str, address: &str, closed: bool) -> Result<Self> {
        let dir = data.join(format!("registry-{name}"));
        fs::create_dir_all(&dir)?;
        let mut config = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{address}\"}}\n",
            dir.display()
        );
        if closed {
            // `lift`, with bcrypt's lowest cost.
            let users = dir.join("users");
            fs::write(&users, "crane:$2b$04$CrVrybnJY6AnKtQahoRHte/ovYIHQBapQoDjFtFECcujlaqw/blrq\n")?;
            config += &format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", users.display());
        }
        let file = dir.join("config.yml");
        fs::write(&file, config)?;
        let process = Process::start(data, name, Command::new("docker-registry").arg("serve").arg(&file))?;
        let registry = Self(Some(process));
        wait_for("the registry to answer", patience(), || {
            std::net::TcpStream::connect(address)?;
            Ok(())
        })?;
        Ok(registry)
    }
}

/// Pushes the test image, which is an OCI layout in a tar, blob by blob.
fn publish(archive: &Path, data: &Path, registry: &str, user: Option<&str>) -> Result<()> {
    let dir = data.join("layout");
    fs::create_dir_all(&dir)?;
    ensure!(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(&dir).status()?.success(), "tar");
    let index: serde_json::Value = serde_json::from_slice(&fs::read(dir.join("index.json"))?)?;
    let manifest_digest = text(&index, "/manifests/0/digest");
    let blob = |digest: &str| dir.join("blobs").join(digest.replace(':', "/"));
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(blob(&manifest_digest))?)?;
    for digest in [text(&manifest, "/config/digest"), text(&manifest, "/layers/0/digest")] {
        let place = curl(
            user,
            &[
                "-X",
                "POST",
                "-o",
                "/dev/null",
                "-w",
                "%header{location}",
                &format!("http://{registry}/v2/team/web/blobs/uploads/"),
            ],
        )?;
        let joint = if place.contains('?') { '&' } else { '?' };
        let file = format!("@{}", blob(&digest).display());
        curl(
            user,
            &[
                "-X",
                "PUT",
                "-H",
                "Content-Type: application/octet-stream",
                "--data-binary",
                &file,
                &format!("{place}{joint}digest={digest}"),
            ],
        )?;
    }
    let file = format!("@{}", blob(&manifest_digest).display());
    let kind = format!("Content-Type: {}", text(&manifest, "/mediaType"));
    curl(
        user,
        &["-X", "PUT", "-H", &kind, "--data-binary", &file, &format!("http://{registry}/v2/team/web/manifests/1")],
    )?;
    fs::write(data.join("digest"), manifest_digest)?;
    Ok(())
}

fn curl(user: Option<&str>, args: &[&str]) -> Result<String> {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--fail", "--max-time", "20"]).args(args);
    if let Some(user) = user {
        curl.args(["--user", user]);
    }
    let output = curl.output().context("can't run curl")?;
    ensure!(output.status.success(), "curl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn image(name: &str, image: &str) -> serde_json::Value {
    let object = with(pod(name, "echo hello"), "/spec/containers/0/image", image);
    with(object, "/spec/containers/0/imagePullPolicy", "IfNotPresent")
}

fn succeeds(case: &Case, name: &str) -> Result<serde_json::Value> {
    case.until_is(&format!("pod {name}"), "/status/phase", "Succeeded")
}

fn by_tag(case: &Case) -> Result<()> {
    case.apply(&image("tag", &format!("{OPEN}/team/web:1")))?;
    let done = succeeds(case, "tag")?;
    ensure!(text(&done, "/status/containerStatuses/0/imageID").contains("sha256:"), "{}", done["status"]);
    ensure!(case.line("logs tag")? == "hello\n");
    Ok(())
}

fn digest() -> Result<String> {
    let answer = curl(
        None,
        &[
            "-I",
            "-H",
            "Accept: application/vnd.oci.image.manifest.v1+json",
            &format!("http://{OPEN}/v2/team/web/manifests/1"),
        ],
    )?;
    let line = answer.lines().find(|line| line.to_lowercase().starts_with("docker-content-digest:"));
    Ok(line.and_then(|line| line.split_once(' ')).context("no digest")?.1.trim().to_owned())
}

fn by_digest(case: &Case) -> Result<()> {
    let digest = digest()?;
    case.apply(&image("digest", &format!("{OPEN}/team/web@{digest}")))?;
    let done = succeeds(case, "digest")?;
    ensure!(text(&done, "/status/containerStatuses/0/imageID").contains("sha256:"), "{}", done["status"]);
    let wrong = format!("sha256:{}", "0".repeat(64));
    case.apply(&image("wrong", &format!("{OPEN}/team/web@{wrong}")))?;
    ensure!(case.until_event("wrong", "Failed")?.contains("Failed to pull image"));
    Ok(())
}

fn with_a_secret(case: &Case) -> Result<()> {
    case.line(&format!(
        "create secret docker-registry entry --docker-server={CLOSED} --docker-username=crane --docker-password=lift"
    ))?;
    let object = image("member", &format!("{CLOSED}/team/web:1"));
    let object = with(object, "/spec/containers/0/imagePullPolicy", "Always");
    case.apply(&with(object, "/spec/imagePullSecrets", json!([{"name": "entry"}])))?;
    succeeds(case, "member").map(drop)
}

fn without_a_secret(case: &Case) -> Result<()> {
    let object =
        with(image("stranger", &format!("{CLOSED}/team/web:1")), "/spec/containers/0/imagePullPolicy", "Always");
    case.apply(&object)?;
    case.until_is("pod stranger", "/status/containerStatuses/0/state/waiting/reason", "ImagePullBackOff")?;
    ensure!(case.until_event("stranger", "Failed")?.contains("ail"));
    Ok(())
}

fn absent_ones(case: &Case) -> Result<()> {
    case.apply(&image("lost", &format!("{OPEN}/team/absent:1")))?;
    case.until_is("pod lost", "/status/containerStatuses/0/state/waiting/reason", "ImagePullBackOff")?;
    ensure!(case.line("get pod lost --no-headers")?.contains("ImagePullBackOff"));
    let described = case.line("describe pod lost")?;
    for word in ["Pulling", "Failed to pull image", "ErrImagePull", "Back-off pulling image"] {
        ensure!(described.contains(word), "{word:?} is not in {described}");
    }
    ensure!(case.fail("logs lost")?.contains("trying and failing to pull image"));
    // Once it is there, the next try finds it.
    case.line("delete pod lost --timeout=30s").map(drop)
}

fn policies(case: &Case) -> Result<()> {
    let never = with(image("never", "gantry.local/other:1"), "/spec/containers/0/imagePullPolicy", "Never");
    case.apply(&never)?;
    case.until_is("pod never", "/status/containerStatuses/0/state/waiting/reason", "ErrImageNeverPull")?;
    // Always asks the registry, also for what is here.
    let always = with(pod("always", "echo hello"), "/spec/containers/0/imagePullPolicy", "Always");
    case.apply(&always)?;
    ensure!(case.until_event("always", "Failed")?.contains("gantry.local/web:1"));
    Ok(())
}

fn bad_names(case: &Case) -> Result<()> {
    case.apply(&image("bad", "gantry.local/Upper:1"))?;
    case.until_is("pod bad", "/status/containerStatuses/0/state/waiting/reason", "InvalidImageName")?;
    Ok(())
}
