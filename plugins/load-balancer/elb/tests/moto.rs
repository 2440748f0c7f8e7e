//! `load-balancer-elb` end to end with AWS's API as `moto` has it: the component in the real engine makes signed requests to a
//! `moto_server` on loopback, and `aws elbv2` of the AWS CLI says what is there. Objects are those of `testing::Host`.
//!
//! Not tried here, since moto does not do it: health of targets (all are healthy at once), draining, quotas, throttling, and a
//! load balancer that takes minutes to be made. The simulation in the plugin's own tests has the refusals among these.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure here is a panic"
)]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use gantry_contract::{Component, Controller, Given, Stage, run};
use gantry_sdk::objects::{self, Write};
use gantry_sdk::testing::{Driver, Fault, Host, Verb, suite};
use gantry_sdk::{Config, KindRef, ObjectRef, Value, json, serde_json};
use load_balancer_elb::controller::Frontends;
use tempfile::TempDir;

const REGION: &str = "eu-west-1";

/// A `moto_server`, which ends with the test.
struct Moto {
    server: Child,
    port: u16,
    folder: TempDir,
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Moto {
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let server = Command::new("moto_server")
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .env("MOTO_RECORDER_FILEPATH", folder.path().join("recording"))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("moto_server is on the PATH: pip install 'moto[server]'");
        let moto = Self { server, port, folder };
        let patience = Instant::now() + Duration::from_secs(90);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < patience, "moto_server does not answer: {}", moto.log());
            thread::sleep(Duration::from_millis(50));
        }
        fs::write(moto.keys(), "[default]\naws_access_key_id = AKIDTEST\naws_secret_access_key = s3cret\n").unwrap();
        moto
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn keys(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What the AWS CLI says.
    fn aws(&self, args: &[&str]) -> Value {
        let done = Command::new("aws")
            .args(["--endpoint-url", &self.endpoint(), "--region", REGION, "--output", "json"])
            .args(args)
            .env("AWS_SHARED_CREDENTIALS_FILE", self.keys())
            .env("AWS_CONFIG_FILE", "/dev/null")
            .output()
            .expect("the AWS CLI is on the PATH: pip install awscli");
        assert!(done.status.success(), "{args:?}: {}\n{}", String::from_utf8_lossy(&done.stderr), self.log());
        serde_json::from_slice(&done.stdout).unwrap_or_default()
    }

    fn list(&self, action: &str, field: &str, more: &[&str]) -> Vec<Value> {
        self.aws(&[&["elbv2", action], more].concat())[field].as_array().cloned().unwrap_or_default()
    }

    fn recorder(&self, what: &str) -> String {
        let url = format!("{}/moto-api/recorder/{what}", self.endpoint());
        let done = Command::new("curl")
            .args(["-sS", "-X", if what == "download-recording" { "GET" } else { "POST" }, &url])
            .output()
            .unwrap();
        assert!(done.status.success(), "{what}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    /// Requests that change something while this is done.
    fn changes(&self, does: impl FnOnce()) -> Vec<String> {
        self.recorder("reset-recording");
        self.recorder("start-recording");
        does();
        self.recorder("stop-recording");
        let text = self.recorder("download-recording");
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let actions: Vec<String> = lines.filter_map(|line| action(&body(&line)?)).collect();
        assert!(actions.iter().any(|action| action.starts_with("Describe")), "it was asked at all: {text}");
        actions.into_iter().filter(|action| !action.starts_with("Describe")).collect()
    }
}

/// `moto` writes bodies down in base64.
fn body(line: &Value) -> Option<String> {
    let body = line["body"].as_str()?;
    match line["body_encoded"] == true {
        true => String::from_utf8(base64::engine::general_purpose::STANDARD.decode(body).ok()?).ok(),
        false => Some(body.to_owned()),
    }
}

fn action(body: &str) -> Option<String> {
    body.split('&').find_map(|pair| pair.strip_prefix("Action=")).map(str::to_owned)
}

fn component(moto: &Moto) -> Component {
    bare().http(moto.endpoint(), sign(&moto.endpoint(), &moto.keys()))
}

fn bare() -> Component {
    let plugins = std::env::var_os("GANTRY_PLUGINS")
        .map_or_else(|| std::env::current_exe().unwrap().ancestors().nth(3).unwrap().join("plugins"), PathBuf::from);
    let file = plugins.join("load-balancer-elb.wasm");
    Component::read(&file).unwrap_or_else(|e| panic!("{e:#}; `cargo xtask build plugins` makes it"))
}

fn sign(endpoint: &str, keys: &Path) -> toml::Table {
    let text = format!(
        "[[sign]]\nendpoint = {endpoint:?}\nservice = \"elasticloadbalancing\"\nregion = {REGION:?}\ncredentials-file = {keys:?}"
    );
    toml::from_str(&text).unwrap()
}

/// What every controller must do, natively and in the engine. Without objects: those that it acts on need an AWS.
#[test]
fn keeps_the_rules_of_its_family() {
    let config =
        |endpoint: &str| json!({"cluster": "test", "endpoint": endpoint, "subnets": ["subnet-1"], "vpc": "vpc-1"});
    suite::controller::<Frontends>(&Config::from(config("http://elb.test")), &[]);
    run(bare(), &Given { config: config("{http}"), objects: Vec::new() }).unwrap();
}

struct World<'a> {
    moto: &'a Moto,
    host: Host,
    driver: Option<Driver<Controller>>,
}

impl<'a> World<'a> {
    fn new(moto: &'a Moto) -> Self {
        let subnets = moto.aws(&["ec2", "describe-subnets"])["Subnets"].as_array().cloned().unwrap();
        let ids: Vec<&Value> = subnets.iter().map(|subnet| &subnet["SubnetId"]).take(2).collect();
        let host = Host::new();
        host.set_config(json!({
            "cluster": "test", "endpoint": moto.endpoint(), "subnets": ids, "vpc": subnets[0]["VpcId"], "resync-seconds": 60,
        }));
        host.add_json(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}));
        let driver = Some(Driver::new(&host));
        Self { moto, host, driver }
    }

    fn slice(&self, addresses: &[&str]) {
        let endpoints: Vec<Value> =
            addresses.iter().map(|at| json!({"addresses": [at], "conditions": {"ready": true}})).collect();
        self.host.add_json(json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "web-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
            "endpoints": endpoints, "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        }));
    }

    fn put(&self, kind: &str, name: &str, spec: Value) {
        let api = if kind == "Frontend" { "gantry.dev/v1alpha1" } else { "v1" };
        let mut object = self.host.get_json(&target(kind, name)).unwrap_or_else(
            || json!({"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "default"}}),
        );
        object["spec"] = spec;
        self.host.add_json(object);
    }

    fn delete(&self, kind: &str, name: &str) {
        objects::apply_one(Write::delete(target(kind, name))).unwrap();
    }

    fn settle(&mut self) {
        let driver = self.driver.as_mut().unwrap();
        driver.settle();
        driver.advance(Duration::from_secs(61));
        assert_eq!(driver.take_errors(), [], "{}", self.moto.log());
    }

    /// A new instance of the plugin, whose memory is gone.
    fn restart(&mut self) {
        self.driver = self.driver.take().map(Driver::restart);
    }

    fn targets(&self) -> Vec<String> {
        let mut all = Vec::new();
        for group in self.moto.list("describe-target-groups", "TargetGroups", &[]) {
            let arn = group["TargetGroupArn"].as_str().unwrap();
            for one in
                self.moto.list("describe-target-health", "TargetHealthDescriptions", &["--target-group-arn", arn])
            {
                all.push(format!("{}:{}", one["Target"]["Id"].as_str().unwrap(), one["Target"]["Port"]));
            }
        }
        all.sort();
        all
    }

    fn listeners(&self, balancer: &Value) -> Vec<Value> {
        let arn = balancer["LoadBalancerArn"].as_str().unwrap();
        self.moto.list("describe-listeners", "Listeners", &["--load-balancer-arn", arn])
    }
}

fn target(kind: &str, name: &str) -> ObjectRef {
    let group = if kind == "Frontend" { "gantry.dev" } else { "" };
    ObjectRef { kind: KindRef::new(group, kind), namespace: "default".into(), name: name.into() }
}

fn ports(ports: &[u16]) -> Value {
    let ports: Vec<Value> = ports.iter().map(|port| json!({"name": "http", "port": port})).collect();
    json!({"class": "elb", "ports": ports, "backends": {"selector": {"matchLabels": {"kubernetes.io/service-name": "web"}}}})
}

#[test]
fn a_service_is_a_network_load_balancer_from_first_to_last() {
    let moto = Moto::start();
    let _stage = Stage::set(component(&moto)).unwrap();
    let mut world = World::new(&moto);
    world.slice(&["172.31.0.1", "172.31.0.2"]);
    let service = |ports: &[u16]| {
        let ports: Vec<Value> =
            ports.iter().map(|port| json!({"name": "http", "port": port, "nodePort": 30_000 + port})).collect();
        json!({"type": "LoadBalancer", "loadBalancerClass": "gantry.dev/elb", "ports": ports})
    };
    world.put("Service", "web", service(&[80]));
    world.settle();
    let all = moto.list("describe-load-balancers", "LoadBalancers", &[]);
    assert_eq!((all.len(), &all[0]["Type"], &all[0]["Scheme"]), (1, &json!("network"), &json!("internal")));
    let name = all[0]["LoadBalancerName"].as_str().unwrap().to_owned();
    let status = world.host.get_json(&target("Service", "web")).unwrap()["status"].clone();
    assert_eq!(status, json!({"loadBalancer": {"ingress": [{"hostname": all[0]["DNSName"]}]}}));
    assert_eq!(world.targets(), ["172.31.0.1:8080", "172.31.0.2:8080"]);
    let listeners = world.listeners(&all[0]);
    assert_eq!((listeners.len(), &listeners[0]["Port"], &listeners[0]["Protocol"]), (1, &json!(80), &json!("TCP")));

    // Somebody else's, whose name begins as ours do.
    let similar = format!("{}-o", &name[..name.len() - 2]);
    let subnet = all[0]["AvailabilityZones"][0]["SubnetId"].as_str().unwrap().to_owned();
    moto.aws(&["elbv2", "create-load-balancer", "--name", &similar, "--type", "network", "--subnets", &subnet]);

    // A second run of everything, by a new instance, changes nothing.
    let changes = moto.changes(|| {
        world.restart();
        world.settle();
    });
    assert_eq!(changes, Vec::<String>::new());

    world.slice(&["172.31.0.2", "172.31.0.3", "172.31.0.4"]);
    let changes = moto.changes(|| world.settle());
    assert_eq!(changes, ["RegisterTargets", "DeregisterTargets"]);
    assert_eq!(world.targets(), ["172.31.0.2:8080", "172.31.0.3:8080", "172.31.0.4:8080"]);

    world.put("Service", "web", service(&[81, 82]));
    world.settle();
    let mut open: Vec<i64> = world.listeners(&all[0]).iter().map(|one| one["Port"].as_i64().unwrap()).collect();
    open.sort_unstable();
    assert_eq!(
        (open.as_slice(), moto.list("describe-target-groups", "TargetGroups", &[]).len()),
        ([81, 82].as_slice(), 2)
    );

    // What hangs from the Service goes with it: here its Frontend, which waits until AWS is clean.
    world.put("Service", "web", json!({"type": "ClusterIP", "ports": []}));
    world.settle();
    let left = moto.list("describe-load-balancers", "LoadBalancers", &[]);
    assert_eq!(
        left.iter().map(|one| one["LoadBalancerName"].as_str().unwrap()).collect::<Vec<_>>(),
        [similar.as_str()]
    );
    assert!(moto.list("describe-target-groups", "TargetGroups", &[]).is_empty());
    assert!(world.host.get_json(&target("Frontend", "elb-web")).is_none());
}

#[test]
fn rules_are_those_of_an_application_load_balancer() {
    let moto = Moto::start();
    let _stage = Stage::set(component(&moto)).unwrap();
    let mut world = World::new(&moto);
    world.slice(&["172.31.0.1"]);
    let backend = |name: &str| json!({"name": name, "selector": {"matchLabels": {"kubernetes.io/service-name": "web"}}, "port": "http"});
    let rules = json!([
        {"match": {"hosts": [{"type": "Exact", "value": "a.example"}], "paths": [{"type": "Prefix", "value": "/x"}]},
         "action": {"forward": [{"backend": "a", "weight": 1}, {"backend": "b", "weight": 3}]}},
        {"match": {"methods": ["PUT"], "headers": [{"name": "x-a", "values": ["1"]}]},
         "action": {"response": {"status": 405, "contentType": "text/plain", "body": "no"}}},
        {"match": {"queries": [{"name": "old", "values": ["1"]}], "sources": ["10.0.0.0/8"]},
         "action": {"redirect": {"status": 301, "protocol": "https", "port": "443"}}},
        {"match": {}, "action": {"forward": [{"backend": "b", "weight": 1}]}},
    ]);
    let spec = |rules: &Value| {
        json!({"class": "elb", "http": {
            "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}], "backends": [backend("a"), backend("b")], "rules": rules,
        }})
    };
    world.put("Frontend", "web", spec(&rules));
    world.settle();
    let all = moto.list("describe-load-balancers", "LoadBalancers", &[]);
    assert_eq!((all.len(), &all[0]["Type"]), (1, &json!("application")));
    let listener = world.listeners(&all[0]).remove(0);
    let arn = listener["ListenerArn"].as_str().unwrap().to_owned();
    let told = moto.list("describe-rules", "Rules", &["--listener-arn", &arn]);
    assert_eq!(told.len(), 4, "three and the default: {told:?}");
    let fields: Vec<&Value> =
        told.iter().flat_map(|rule| rule["Conditions"].as_array().unwrap()).map(|c| &c["Field"]).collect();
    let want = ["host-header", "path-pattern", "http-request-method", "http-header", "query-string", "source-ip"];
    assert_eq!(fields, want.iter().map(|field| json!(field)).collect::<Vec<_>>().iter().collect::<Vec<_>>());
    let weights = &told[0]["Actions"][0]["ForwardConfig"]["TargetGroups"];
    let mut weights: Vec<i64> = weights.as_array().unwrap().iter().map(|one| one["Weight"].as_i64().unwrap()).collect();
    weights.sort_unstable();
    assert_eq!(weights, [1, 3]);
    assert_eq!(told[2]["Actions"][0]["RedirectConfig"]["Protocol"], "HTTPS");

    let changes = moto.changes(|| {
        world.restart();
        world.settle();
    });
    assert_eq!(changes, Vec::<String>::new());

    // Somebody changes what is ours by hand: it is set right.
    let first = told[0]["RuleArn"].as_str().unwrap();
    moto.aws(&["elbv2", "delete-rule", "--rule-arn", first]);
    let changes = moto.changes(|| world.settle());
    assert_eq!(changes, ["CreateRule"]);

    world.put("Frontend", "web", spec(&json!([rules[1], rules[3]])));
    world.settle();
    assert_eq!(moto.list("describe-rules", "Rules", &["--listener-arn", &arn]).len(), 2);
    world.delete("Frontend", "web");
    world.settle();
    assert!(moto.list("describe-load-balancers", "LoadBalancers", &[]).is_empty());
    assert!(moto.list("describe-target-groups", "TargetGroups", &[]).is_empty());
    assert!(world.host.get_json(&target("Frontend", "web")).is_none());
}

/// The host dies after AWS did what it was asked for and before anything of that is written down.
#[test]
fn a_host_killed_in_between_doubles_nothing() {
    let moto = Moto::start();
    let _stage = Stage::set(component(&moto)).unwrap();
    let mut world = World::new(&moto);
    world.slice(&["172.31.0.1"]);
    // The finalizer is written, the status is not.
    world.host.fail(Fault::on(Verb::Patch).skip(1));
    world.put("Frontend", "web", ports(&[80]));
    world.driver.as_mut().unwrap().round();
    let once = moto.list("describe-load-balancers", "LoadBalancers", &[]);
    assert_eq!(once.len(), 1);
    world.restart();
    let changes = moto.changes(|| world.settle());
    assert_eq!(changes, Vec::<String>::new());
    assert_eq!(moto.list("describe-load-balancers", "LoadBalancers", &[]), once);
    let frontend = world.host.get_json(&target("Frontend", "web")).unwrap();
    assert_eq!(frontend["metadata"]["annotations"]["gantry.dev/hostname"], once[0]["DNSName"]);
}
