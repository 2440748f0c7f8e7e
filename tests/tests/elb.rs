//! Services of the type LoadBalancer as load balancers of AWS, with a whole control plane, kubectl and real pods: `moto_server`
//! on loopback stands for AWS, and the AWS CLI is the witness. Names reach `kubectl get service`, targets follow pods and
//! nodes, a killed host doubles nothing, what can't be had is said at the Service, and what is deleted goes from AWS.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use gantry_tests::case::text;
use gantry_tests::manifests::{deployment, with};
use gantry_tests::stack::Options;
use gantry_tests::suite::patience;
use gantry_tests::{Case, Process, Suite, wait_for};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The test has a network of its own.
const PORT: u16 = 5000;
const ENDPOINT: &str = "http://127.0.0.1:5000";
const REGION: &str = "eu-west-1";

/// A `moto_server` in this thread's network.
struct Moto {
    folder: TempDir,
    server: Option<Process>,
}

impl Drop for Moto {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.server.take().map(|server| server.stop(Duration::from_secs(10))) {
            eprintln!("can't stop moto_server: {error:#}");
        }
    }
}

impl Moto {
    fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new("moto_server");
        command.args(["-H", "127.0.0.1", "-p", &PORT.to_string()]).current_dir(folder.path());
        let server = Process::start(folder.path(), "moto", &mut command).context("pip install 'moto[server]'")?;
        let mut moto = Self { folder, server: Some(server) };
        let answers = wait_for("moto_server to answer", patience(), || {
            if let Err(ended) = moto.server.as_mut().map_or(Ok(()), Process::check) {
                return Ok(Err(ended));
            }
            TcpStream::connect(("127.0.0.1", PORT)).context("it does not").map(|_| Ok(()))
        });
        answers??;
        fs::write(moto.keys(), "[default]\naws_access_key_id = AKIDTEST\naws_secret_access_key = s3cret\n")?;
        Ok(moto)
    }

    fn keys(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    fn aws(&self, line: &str) -> Result<Value> {
        let done = Command::new("aws")
            .args(["--endpoint-url", ENDPOINT, "--region", REGION, "--output", "json"])
            .args(line.split_whitespace())
            .env("AWS_SHARED_CREDENTIALS_FILE", self.keys())
            .env("AWS_CONFIG_FILE", "/dev/null")
            .output()
            .context("can't run aws: pip install awscli")?;
        ensure!(done.status.success(), "aws {line}: {}", String::from_utf8_lossy(&done.stderr));
        Ok(serde_json::from_slice(&done.stdout).unwrap_or_default())
    }

    fn list(&self, line: &str, field: &str) -> Result<Vec<Value>> {
        Ok(self.aws(line)?[field].as_array().cloned().unwrap_or_default())
    }

    fn balancers(&self) -> Result<Vec<Value>> {
        self.list("elbv2 describe-load-balancers", "LoadBalancers")
    }

    fn classic(&self) -> Result<Vec<Value>> {
        self.list("elb describe-load-balancers", "LoadBalancerDescriptions")
    }

    /// Addresses of the targets of all groups.
    fn targets(&self) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for group in self.list("elbv2 describe-target-groups", "TargetGroups")? {
            let line = format!("elbv2 describe-target-health --target-group-arn {}", text(&group, "/TargetGroupArn"));
            all.extend(self.list(&line, "TargetHealthDescriptions")?.iter().map(|one| text(one, "/Target/Id")));
        }
        all.sort();
        Ok(all)
    }

    /// The stock bundle with this plugin.
    fn bundle(&self, options: &mut Options) -> Result<()> {
        let stock = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../plugins/bundles/kubernetes.toml");
        let subnets = self.list("ec2 describe-subnets", "Subnets")?;
        let ids: Vec<String> = subnets.iter().take(2).map(|subnet| text(subnet, "/SubnetId")).collect();
        let entry = format!(
            "\n[[plugin]]\nname = \"load-balancer-elb\"\ngrants = {{ asked = true, http = [{ENDPOINT:?}] }}\n\
             [plugin.config]\ncluster = \"test\"\nendpoint = {ENDPOINT:?}\nvpc = {:?}\nsubnets = {ids:?}\nresync-seconds = 5\n\
             [[plugin.http.sign]]\nendpoint = {ENDPOINT:?}\nservice = \"elasticloadbalancing\"\nregion = {REGION:?}\n\
             credentials-file = {:?}\n",
            text(subnets.first().context("no subnet")?, "/VpcId"),
            self.keys(),
        );
        let source = options.data.join("elb.toml");
        fs::write(&source, fs::read_to_string(stock)? + &entry)?;
        options.bundle = options.data.join("bundle.toml");
        let mut pin = Command::new(&options.gantry);
        pin.args(["bundle", "pin"]).arg(source).arg("--plugins").arg(&options.plugins);
        let pinned = pin.arg("--output").arg(&options.bundle).output().context("can't run gantry bundle pin")?;
        ensure!(pinned.status.success(), "{}", String::from_utf8_lossy(&pinned.stderr));
        Ok(())
    }
}

fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "annotations": {}},
        "spec": {
            "type": "LoadBalancer", "loadBalancerClass": "gantry.dev/elb", "selector": {"app": "web"},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    })
}

#[test]
fn a_service_is_reached_by_a_load_balancer_of_aws() -> Result<()> {
    let mut moto = None;
    let mut suite = Suite::start_with("elb", |options| moto.insert(Moto::start()?).bundle(options))?;
    let moto = moto.context("no moto_server")?;
    let case = suite.case("elb")?;
    case.apply(&deployment("web", 2))?;
    case.apply(&service())?;
    has_its_name(&case, &moto)?;
    targets_are_the_pods(&case, &moto)?;
    // Killed, and back: nothing is made twice, and what changed meanwhile is followed.
    suite.stack()?.crash_gantry()?;
    suite.stack()?.start_gantry()?;
    case.line("scale deployment/web --replicas=3")?;
    targets_are_the_pods(&case, &moto)?;
    ensure!(moto.balancers()?.len() == 1, "{:?}", moto.balancers()?);
    what_can_not_be_had_is_said(&case, &moto)?;
    a_classic_one_leads_to_nodes(&case, &moto)?;
    what_is_deleted_goes(&case, &moto)?;
    suite.stop()
}

fn hostname(case: &Case) -> Result<String> {
    Ok(text(&case.get("service web")?, "/status/loadBalancer/ingress/0/hostname"))
}

fn has_its_name(case: &Case, moto: &Moto) -> Result<()> {
    case.until("the Service to have its name", || {
        let all = moto.balancers()?;
        let name = text(all.first().context("no load balancer")?, "/DNSName");
        let table = case.line("get service web")?;
        ensure!(!name.is_empty() && table.contains(&name), "{name} is not in {table}");
        Ok(())
    })?;
    case.until_is("service web", "/status/conditions/0/status", "True").map(drop)
}

fn targets_are_the_pods(case: &Case, moto: &Moto) -> Result<()> {
    case.line("rollout status deployment/web --timeout=120s")?;
    case.until("the pods to be the targets", || {
        let pods = case.list("pods -l app=web")?;
        let running = pods.iter().filter(|pod| pod.pointer("/metadata/deletionTimestamp").is_none());
        let mut addresses: Vec<String> = running.map(|pod| text(pod, "/status/podIP")).collect();
        addresses.sort();
        let targets = moto.targets()?;
        ensure!(targets == addresses, "{targets:?} are not {addresses:?}");
        Ok(())
    })
}

/// A Service that is for some clients only is not opened to all.
fn what_can_not_be_had_is_said(case: &Case, moto: &Moto) -> Result<()> {
    let closed =
        with(with(service(), "/metadata/name", "closed"), "/spec/loadBalancerSourceRanges", json!(["192.0.2.0/24"]));
    case.apply(&closed)?;
    case.until_is("service closed", "/status/conditions/0/reason", "Unsupported")?;
    ensure!(case.until_event("closed", "Unsupported")?.contains("192.0.2.0/24"));
    ensure!(moto.balancers()?.len() == 1, "it was made all the same: {:?}", moto.balancers()?);
    case.line("delete service closed")?;
    case.until_gone("frontend elb-closed")
}

fn a_classic_one_leads_to_nodes(case: &Case, moto: &Moto) -> Result<()> {
    let made = moto.aws("ec2 run-instances --image-id ami-12c6146b --count 1")?;
    let instance = text(&made, "/Instances/0/InstanceId");
    let node = case.names("nodes")?.into_iter().next().context("no node")?;
    let provider = json!({"spec": {"providerID": format!("aws:///eu-west-1a/{instance}")}});
    case.run(&["patch", "node", &node, "--type=merge", "-p", &provider.to_string()])?;
    case.apply(&with(service(), "/metadata/annotations", json!({"elb.gantry.dev/type": "classic"})))?;
    let one = case.until("a Classic load balancer in its place", || {
        let (classic, others) = (moto.classic()?, moto.balancers()?);
        ensure!(classic.len() == 1 && others.is_empty(), "{classic:?} {others:?}");
        ensure!(classic[0]["Instances"][0]["InstanceId"] == instance.as_str(), "{classic:?}");
        Ok(classic[0].clone())
    })?;
    let port = case.get("service web")?["spec"]["ports"][0]["nodePort"].clone();
    let listener = &one["ListenerDescriptions"][0]["Listener"];
    ensure!(listener["LoadBalancerPort"] == 80 && listener["InstancePort"] == port, "{listener} {port}");
    case.until("its name in the Service", || {
        let name = hostname(case)?;
        ensure!(name == text(&one, "/DNSName"), "{name}");
        Ok(())
    })
}

fn what_is_deleted_goes(case: &Case, moto: &Moto) -> Result<()> {
    case.line("delete service web --timeout=60s")?;
    case.until("nothing to be left in AWS", || {
        let groups = moto.list("elbv2 describe-target-groups", "TargetGroups")?;
        let left = [moto.balancers()?, moto.classic()?, groups].concat();
        match left.is_empty() {
            true => Ok(()),
            false => bail!("there is {left:?}"),
        }
    })?;
    case.until_gone("frontend elb-web")
}
