//! Ingresses with real clients, real connections and real containers: by host and path, by name over TLS, through changes
//! of everything under traffic, and what is said of what can't be.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use gantry_tests::case::text;
use gantry_tests::manifests::{deployment, with};
use gantry_tests::{Case, Suite, left, netns, scenarios};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

#[test]
fn ingress() -> Result<()> {
    Suite::start("ingress")?.run(scenarios![
        requests_are_led_by_host_and_path,
        kubectl_makes_and_shows_them,
        certificates_go_by_name,
        what_an_endpoint_is_told,
        a_connection_changes_its_protocol,
        pods_come_and_go_under_traffic,
        rules_change_under_traffic,
        a_service_that_is_missing_is_said,
        what_cannot_be_is_refused,
        another_class_is_left_alone,
    ])
}

/// A default backend is for every host, so it gets a control plane of its own, which listens elsewhere.
#[test]
fn a_default_backend_gets_the_rest() -> Result<()> {
    Suite::start_with("default-backend", |options| {
        let bundle = fs::read_to_string(&options.bundle)?;
        ensure!(bundle.contains("\nhttp-port = 80\n"), "the stock bundle does not say the port");
        options.bundle = options.data.join("bundle.toml");
        fs::write(&options.bundle, bundle.replace("\nhttp-port = 80\n", "\nhttp-port = 8081\n"))?;
        Ok(())
    })?
    .run(scenarios![the_rest])
}

fn the_rest(case: &Case) -> Result<()> {
    serve(case, "web", 1)?;
    serve(case, "rest", 1)?;
    // The port is somebody else's at first.
    let taken = TcpListener::bind((netns::ADDRESS, 8081))?;
    let host = host(case, "web");
    let object = ingress_of("web", &host, vec![path("/x", "Exact", "web")]);
    case.apply(&with(object, "/spec/defaultBackend", backend("rest")))?;
    let said = case.until_event("web", "PortUnavailable")?;
    ensure!(said.contains("port 8081"), "{said}");
    drop(taken);
    for (host, path, want) in [
        (host.as_str(), "/x", "hello from web-"),
        (&host, "/y", "hello from rest-"),
        ("anything.example", "/x", "hello from rest-"),
    ] {
        case.until(&format!("{want} at {host}{path}"), || {
            let (status, answer) = fetch_at(8081, host, path, "")?;
            ensure!(status == 200 && answer.contains(want), "{status}: {answer}");
            Ok(())
        })?;
    }
    Ok(())
}

/// Plugins and the node start anew; what listens does not.
#[test]
fn a_bundle_is_read_again_under_traffic() -> Result<()> {
    const TAKEN: &str = "running by the bundle as it is now";
    let mut suite = Suite::start("ingress-reload")?;
    let case = suite.case("reload")?;
    serve(&case, "web", 2)?;
    let host = host(&case, "web");
    case.apply(&ingress_of("web", &host, vec![path("/", "Prefix", "web")]))?;
    until_answered(&case, &host, "/", 200, "hello from web-")?;
    let gantry = suite.stack()?.gantry().context("no host")?;
    under_traffic(&host, |answers| {
        for times in 1..=2 {
            gantry.reload()?;
            case.until("the bundle to be taken", || {
                let taken = gantry.log_tail(10_000).matches(TAKEN).count();
                ensure!(taken >= times, "taken {taken} times");
                Ok(())
            })?;
            let before = answers.load(Ordering::SeqCst);
            case.until("more answers", || {
                ensure!(answers.load(Ordering::SeqCst) > before + 20, "none comes any more");
                Ok(())
            })?;
        }
        // By the plugins that run now.
        case.line("scale deployment web --replicas=3")?;
        case.line("rollout status deployment/web --timeout=60s").map(drop)
    })?;
    suite.stop()
}

/// The proxy is a process of its own: it serves on while its agent is away, and its end is noticed.
#[test]
fn the_proxy_outlives_its_agent() -> Result<()> {
    let mut suite = Suite::start_with("ingress-restart", |options| {
        let bundle = fs::read_to_string(&options.bundle)?;
        ensure!(bundle.contains("\naccess-log = false\n"), "the stock bundle does not say whether requests are noted");
        options.bundle = options.data.join("bundle.toml");
        fs::write(&options.bundle, bundle.replace("\naccess-log = false\n", "\naccess-log = true\n"))?;
        Ok(())
    })?;
    let case = suite.case("restart")?;
    serve(&case, "web", 2)?;
    let host = host(&case, "web");
    case.apply(&ingress_of("web", &host, vec![path("/", "Prefix", "web")]))?;
    until_answered(&case, &host, "/", 200, "hello from web-")?;
    let mut kept = Kept::open(&host)?;
    kept.ask()?;
    let answered = AtomicUsize::new(0);
    under_traffic(&host, |answers| {
        let more = |what: &str| {
            let before = answers.load(Ordering::SeqCst);
            case.until(&format!("answers {what}"), || {
                ensure!(answers.load(Ordering::SeqCst) > before + 20, "none comes any more");
                Ok(())
            })
        };
        for crash in [true, false] {
            let stack = suite.stack()?;
            if crash {
                stack.crash_gantry()?
            } else {
                stack.stop_gantry()?
            }
            more("without an agent")?;
            kept.ask().context("on a connection from before")?;
            suite.stack()?.start_gantry()?;
            more("with the next agent")?;
            kept.ask().context("on a connection from before")?;
        }
        // The plans of the agent that is here now are followed.
        case.line("scale deployment web --replicas=3")?;
        case.line("rollout status deployment/web --timeout=60s")?;
        more("after a change")?;
        answered.store(answers.load(Ordering::SeqCst), Ordering::SeqCst);
        Ok(())
    })?;
    let counted = case.line("get --raw /metrics")?;
    ensure!(counted.contains("gantry_proxy_requests_total"), "{counted}");
    let data = suite.stack()?.data().to_owned();
    // Those of the time without an agent too.
    case.until("records of all requests", || {
        let (noted, counted) = (visits(&data.join("records"), &host)?, answered.load(Ordering::SeqCst));
        ensure!(noted >= counted, "{noted} of {counted}");
        Ok(())
    })?;
    let [proxy] = left::proxies(&[data])[..] else { bail!("there is not one proxy") };
    kill(Pid::from_raw(proxy), Signal::SIGKILL)?;
    until_answered(&case, &host, "/", 200, "hello from web-")?;
    suite.stop()
}

/// Records of answers for a host that the file sink has.
fn visits(folder: &Path, host: &str) -> Result<usize> {
    let mut found = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found += visits(&path, host)?;
            continue;
        }
        for line in fs::read_to_string(&path)?.lines().filter(|line| line.contains("gantry-proxy")) {
            let record: Value = serde_json::from_str(line)?;
            let visit: Value = serde_json::from_str(&text(&record, "/Body"))?;
            found += usize::from(text(&visit, "/server.address") == host && visit["http.response.status_code"] == 200);
        }
    }
    Ok(found)
}

/// A connection that stays.
struct Kept {
    host: String,
    stream: TcpStream,
}

impl Kept {
    fn open(host: &str) -> Result<Self> {
        let stream = TcpStream::connect((netns::ADDRESS, 80))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self { host: host.to_owned(), stream })
    }

    fn ask(&mut self) -> Result<()> {
        write!(self.stream, "GET / HTTP/1.1\r\nHost: {}\r\n\r\n", self.host)?;
        let mut answer = [0; 4096];
        let read = self.stream.read(&mut answer)?;
        let answer = String::from_utf8_lossy(answer.get(..read).unwrap_or_default()).into_owned();
        ensure!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
        Ok(())
    }
}

/// A Deployment that is ready, behind a Service of its name.
fn serve(case: &Case, name: &str, replicas: u32) -> Result<()> {
    case.apply(&deployment(name, replicas))?;
    case.line(&format!("expose deployment {name} --port 80 --target-port http"))?;
    case.line(&format!("rollout status deployment/{name} --timeout=120s")).map(drop)
}

/// A host of the scenario's own: all share one proxy.
fn host(case: &Case, name: &str) -> String {
    format!("{name}.{}.example", case.namespace)
}

fn backend(service: &str) -> Value {
    json!({"service": {"name": service, "port": {"number": 80}}})
}

fn path(path: &str, kind: &str, service: &str) -> Value {
    json!({"path": path, "pathType": kind, "backend": backend(service)})
}

fn ingress_of(name: &str, host: &str, paths: Vec<Value>) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name},
        "spec": {"rules": [{"host": host, "http": {"paths": paths}}]},
    })
}

/// Sends a request over a connection of its own; status and the whole answer.
fn fetch(host: &str, path: &str, more: &str) -> Result<(u16, String)> {
    fetch_at(80, host, path, more)
}

fn fetch_at(port: u16, host: &str, path: &str, more: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect((netns::ADDRESS, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status")?;
    Ok((status, answer))
}

/// Waits until a host and path are answered so.
fn until_answered(case: &Case, host: &str, path: &str, status: u16, want: &str) -> Result<String> {
    case.until(&format!("{status} {want:?} at {host}{path}"), || {
        let (got, answer) = fetch(host, path, "")?;
        ensure!(got == status && answer.contains(want), "{got}: {answer}");
        Ok(answer)
    })
}

fn requests_are_led_by_host_and_path(case: &Case) -> Result<()> {
    for name in ["web", "api", "rest"] {
        serve(case, name, 1)?;
    }
    let (main, other) = (host(case, "main"), host(case, "nobody"));
    let paths = vec![path("/", "Prefix", "web"), path("/api", "Prefix", "api"), path("/api/exact", "Exact", "rest")];
    let mut object = ingress_of("led", &main, paths);
    let wildcard = json!({"host": format!("*.{main}"), "http": {"paths": [path("/", "Prefix", "rest")]}});
    object["spec"]["rules"].as_array_mut().unwrap().push(wildcard);
    case.apply(&object)?;
    until_answered(case, &main, "/", 200, "hello from web-")?;
    for (host, path, want) in [
        (main.as_str(), "/any/thing", "hello from web-"),
        (&main, "/api", "hello from api-"),
        (&main, "/api/deep?x=y", "hello from api-"),
        (&main, "/apis", "hello from web-"),
        (&main, "/api/exact", "hello from rest-"),
        (&main, "/api/exact/", "hello from api-"),
        (&format!("sub.{main}"), "/", "hello from rest-"),
    ] {
        until_answered(case, host, path, 200, want)?;
    }
    for unknown in [other.as_str(), &format!("a.b.{main}")] {
        until_answered(case, unknown, "/", 404, "")?;
    }
    // What is gone leads nowhere.
    case.line("delete ingress led")?;
    until_answered(case, &main, "/", 404, "").map(drop)
}

fn kubectl_makes_and_shows_them(case: &Case) -> Result<()> {
    serve(case, "shown", 1)?;
    let host = host(case, "shown");
    case.run(&["create", "ingress", "shown", &format!("--rule={host}/*=shown:80"), "--annotation=a=b"])?;
    until_answered(case, &host, "/x", 200, "hello from shown-")?;
    let shown = case.until("an address", || {
        let shown = case.line("get ingress shown --no-headers")?;
        ensure!(shown.contains(netns::ADDRESS), "{shown}");
        Ok(shown)
    })?;
    let words: Vec<&str> = shown.split_whitespace().collect();
    ensure!(words[..5] == ["shown", "gantry", &host, netns::ADDRESS, "80"], "{shown}");
    let head = case.line("get ingress shown")?;
    let titles: Vec<&str> = head.lines().next().unwrap_or_default().split_whitespace().collect();
    ensure!(titles == ["NAME", "CLASS", "HOSTS", "ADDRESS", "PORTS", "AGE"], "{head}");
    let described = case.line("describe ingress shown")?;
    for want in [host.as_str(), "shown:80", ":8080", "gantry", netns::ADDRESS] {
        ensure!(described.contains(want), "{want} in {described}");
    }
    let classes = case.line("get ingressclass gantry --no-headers")?;
    ensure!(classes.contains("gantry.dev/ingress"), "{classes}");
    case.line("patch ingress shown --type merge -p {\"spec\":{\"tls\":[{\"secretName\":\"none\"}]}}")?;
    let shown = case.line("get ingress shown --no-headers")?;
    ensure!(shown.contains("80, 443"), "{shown}");
    ensure!(case.until_event("shown", "TLSSecretNotFound")?.contains("none"));
    Ok(())
}

/// A certificate and its key, as files in a folder, by this name; gives theirs.
fn minted(folder: &Path, name: &str, hosts: &[String]) -> Result<(PathBuf, PathBuf)> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(hosts)?.self_signed(&key)?;
    let (chain, secret) = (folder.join(format!("{name}.crt")), folder.join(format!("{name}.key")));
    fs::write(&chain, certificate.pem())?;
    fs::write(&secret, key.serialize_pem())?;
    Ok((chain, secret))
}

/// `curl` over TLS, believing one certificate: what the page says, and the version of HTTP.
fn secure(host: &str, authority: &PathBuf, more: &[&str]) -> Result<String> {
    let resolve = format!("{host}:443:{}", netns::ADDRESS);
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--show-error",
        "--max-time",
        "10",
        "--resolve",
        &resolve,
        "--write-out",
        "HTTP/%{http_version}",
    ]);
    curl.arg("--cacert").arg(authority).args(more).arg(format!("https://{host}/"));
    let output = curl.output().context("can't run curl")?;
    if !output.status.success() {
        bail!("curl {host}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn certificates_go_by_name(case: &Case) -> Result<()> {
    serve(case, "secure", 1)?;
    let (one, two, bad) = (host(case, "one"), host(case, "two"), host(case, "bad"));
    let folder = tempfile::tempdir()?;
    let (first, first_key) = minted(folder.path(), "one", std::slice::from_ref(&one))?;
    let (second, second_key) = minted(folder.path(), "two", &[format!("*.{}.example", case.namespace)])?;
    for (name, chain, key) in [("first", &first, &first_key), ("second", &second, &second_key)] {
        let (chain, key) = (format!("--cert={}", chain.display()), format!("--key={}", key.display()));
        case.run(&["create", "secret", "tls", name, &chain, &key])?;
    }
    let garbage = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": "garbage"},
        "stringData": {"tls.crt": "nonsense", "tls.key": "nonsense"},
    });
    case.apply(&garbage)?;
    let all = vec![path("/", "Prefix", "secure")];
    let rule = |host: &str| json!({"host": host, "http": {"paths": all}});
    let mut object = ingress_of("secure", &one, all.clone());
    object["spec"]["rules"] = json!([rule(&one), rule(&two), rule(&bad)]);
    object["spec"]["tls"] = json!([
        {"hosts": [one], "secretName": "first"}, {"hosts": [two], "secretName": "second"},
        {"hosts": [bad], "secretName": "garbage"},
    ]);
    case.apply(&object)?;
    let said = case.until("the first name over TLS", || secure(&one, &first, &["--http2"]))?;
    ensure!(said.contains("hello from secure-") && said.ends_with("HTTP/2"), "{said}");
    let said = secure(&two, &second, &["--http1.1"])?;
    ensure!(said.contains("hello from secure-") && said.ends_with("HTTP/1.1"), "{said}");
    // Each name has its own, and one whose Secret is nonsense has none that anybody believes.
    ensure!(secure(&one, &second, &[]).is_err() && secure(&bad, &first, &[]).is_err());
    let said = secure(&bad, &first, &["--insecure"])?;
    ensure!(said.contains("hello from secure-"), "{said}");
    ensure!(case.until_event("secure", "InvalidTLSSecret")?.contains("garbage"));
    // Plain HTTP goes there too.
    until_answered(case, &one, "/", 200, "hello from secure-")?;
    // A renewed certificate is taken, without anything else.
    let (renewed, renewed_key) = minted(folder.path(), "renewed", std::slice::from_ref(&one))?;
    let mut secret = case.get("secret first")?;
    secret["data"] = Value::Null;
    let object = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": "first"},
        "stringData": {"tls.crt": fs::read_to_string(&renewed)?, "tls.key": fs::read_to_string(&renewed_key)?},
    });
    case.apply(&object)?;
    case.until("the renewed certificate", || secure(&one, &renewed, &[])).map(drop)
}

fn what_an_endpoint_is_told(case: &Case) -> Result<()> {
    serve(case, "told", 1)?;
    let host = host(case, "told");
    case.apply(&ingress_of("told", &host, vec![path("/", "Prefix", "told")]))?;
    until_answered(case, &host, "/", 200, "hello from told-")?;
    let more = "X-Forwarded-For: 198.51.100.9\r\nX-Forwarded-Proto: https\r\nKeep-Alive: 5\r\nX-Mine: yes\r\n";
    let (status, answer) = fetch(&host, "/headers", more)?;
    let seen = answer.to_ascii_lowercase();
    ensure!(status == 200, "{answer}");
    let chain = format!("x-forwarded-for: 198.51.100.9, {}", netns::ADDRESS);
    let name = format!("x-forwarded-host: {host}");
    for want in [format!("host: {host}").as_str(), &chain, &name, "x-forwarded-proto: http\r", "x-mine: yes"] {
        ensure!(seen.contains(want), "{want} in {answer}");
    }
    ensure!(!seen.contains("keep-alive: 5"), "{answer}");
    Ok(())
}

fn a_connection_changes_its_protocol(case: &Case) -> Result<()> {
    serve(case, "socket", 1)?;
    let host = host(case, "socket");
    case.apply(&ingress_of("socket", &host, vec![path("/", "Prefix", "socket")]))?;
    until_answered(case, &host, "/", 200, "hello from socket-")?;
    let mut stream = TcpStream::connect((netns::ADDRESS, 80))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET /echo HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    ensure!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    for word in ["one", "another one"] {
        stream.write_all(word.as_bytes())?;
        let mut back = vec![0; word.len()];
        stream.read_exact(&mut back)?;
        ensure!(back == word.as_bytes(), "{back:?}");
    }
    Ok(())
}

/// Asks without end while something happens; fails with the first answer that is not 200.
fn under_traffic(host: &str, change: impl FnOnce(&AtomicUsize) -> Result<()>) -> Result<()> {
    let (over, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let clients: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    while !over.load(Ordering::SeqCst) {
                        let (status, answer) = fetch(host, "/", "")?;
                        ensure!(status == 200, "after {} answers: {answer}", answers.load(Ordering::SeqCst));
                        answers.fetch_add(1, Ordering::SeqCst);
                    }
                    Ok(())
                })
            })
            .collect();
        let changed = change(&answers);
        over.store(true, Ordering::SeqCst);
        for client in clients {
            client.join().unwrap()?;
        }
        println!("{} answers for {host}", answers.load(Ordering::SeqCst));
        changed
    })
}

fn pods_come_and_go_under_traffic(case: &Case) -> Result<()> {
    serve(case, "moving", 2)?;
    let host = host(case, "moving");
    case.apply(&ingress_of("moving", &host, vec![path("/", "Prefix", "moving")]))?;
    until_answered(case, &host, "/", 200, "hello from moving-")?;
    under_traffic(&host, |_| {
        case.line("scale deployment moving --replicas=4")?;
        case.line("rollout status deployment/moving --timeout=120s")?;
        case.line("set env deployment/moving VERSION=2")?;
        case.line("rollout status deployment/moving --timeout=120s")?;
        case.line("scale deployment moving --replicas=1")?;
        case.until("one pod", || {
            let left = case.names("pods -l app=moving")?;
            ensure!(left.len() == 1, "{left:?}");
            Ok(())
        })
    })?;
    ensure!(fetch(&host, "/", "")?.1.contains(" 2\n"), "the new version answers");
    // Nobody is left, and somebody comes again.
    case.line("scale deployment moving --replicas=0")?;
    until_answered(case, &host, "/", 503, "nobody")?;
    case.line("scale deployment moving --replicas=1")?;
    until_answered(case, &host, "/", 200, "hello").map(drop)
}

fn rules_change_under_traffic(case: &Case) -> Result<()> {
    serve(case, "left", 1)?;
    serve(case, "right", 1)?;
    let host = host(case, "turned");
    let to = |service: &str| ingress_of("turned", &host, vec![path("/", "Prefix", service)]);
    case.apply(&to("left"))?;
    until_answered(case, &host, "/", 200, "hello from left-")?;
    under_traffic(&host, |_| {
        for service in ["right", "left", "right"] {
            case.apply(&to(service))?;
            until_answered(case, &host, "/", 200, &format!("hello from {service}-"))?;
        }
        Ok(())
    })
}

fn a_service_that_is_missing_is_said(case: &Case) -> Result<()> {
    let host = host(case, "missing");
    let mut object = ingress_of("missing", &host, vec![path("/", "Prefix", "later"), path("/p", "Prefix", "port")]);
    object["spec"]["rules"][0]["http"]["paths"][1]["backend"]["service"]["port"] = json!({"name": "none"});
    case.line("create service clusterip port --tcp=80")?;
    case.apply(&object)?;
    until_answered(case, &host, "/", 503, "later:80")?;
    until_answered(case, &host, "/p", 503, "port:none")?;
    ensure!(case.until_event("missing", "ServiceNotFound")?.contains("later"));
    ensure!(case.until_event("missing", "PortNotFound")?.contains("none"));
    serve(case, "later", 1)?;
    until_answered(case, &host, "/", 200, "hello from later-").map(drop)
}

fn what_cannot_be_is_refused(case: &Case) -> Result<()> {
    let field = "spec.rules[0].http.paths[0].path: Invalid value: \"x\": must be an absolute path";
    let said = case.refused(&ingress_of("bad", "a.example", vec![path("x", "Prefix", "web")]))?;
    ensure!(said.contains(field), "{said}");
    let said = case.refused(&ingress_of("bad", "192.0.2.1", vec![path("/", "Prefix", "web")]))?;
    ensure!(said.contains("spec.rules[0].host: Invalid value") && said.contains("not an IP address"), "{said}");
    let said = case.refused(&json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "bad"}, "spec": {},
    }))?;
    ensure!(said.contains("either `defaultBackend` or `rules` must be specified"), "{said}");
    Ok(())
}

fn another_class_is_left_alone(case: &Case) -> Result<()> {
    serve(case, "other", 1)?;
    let host = host(case, "other");
    // One of ours keeps the port open, whatever other scenarios do meanwhile.
    case.apply(&ingress_of("ours", &format!("ours.{host}"), vec![path("/", "Prefix", "other")]))?;
    let object =
        with(ingress_of("other", &host, vec![path("/", "Prefix", "other")]), "/spec/ingressClassName", "strange");
    case.apply(&object)?;
    case.stays(Duration::from_secs(1), || {
        ensure!(case.is_gone("frontend ingress-other")?, "it has a Frontend");
        Ok(())
    })?;
    // Handed over, it is served; and handed back, it is not any more.
    case.apply(&with(object.clone(), "/spec/ingressClassName", "gantry"))?;
    until_answered(case, &host, "/", 200, "hello from other-")?;
    case.until_is("ingress other", "/status/loadBalancer/ingress/0/ip", netns::ADDRESS)?;
    case.apply(&object)?;
    case.until_gone("frontend ingress-other")?;
    ensure!(text(&case.get("ingress other")?, "/status/loadBalancer/ingress/0/ip").is_empty());
    until_answered(case, &host, "/", 404, "").map(drop)
}
