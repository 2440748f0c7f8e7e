//! Services of the type LoadBalancer as load balancers of AWS, with a whole control plane, kubectl and real pods: `moto_server`
//! on loopback stands for AWS, and the AWS CLI is the witness. Names reach `kubectl get service`, targets follow pods and
//! nodes, a killed host doubles nothing, what can't be had is said at the Service, and what is deleted goes from AWS.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use gantry_tests::case::text;
use gantry_tests::manifests::{deployment, with};
use gantry_tests::stack::Options;
use gantry_tests::{Case, Moto, Suite};
use serde_json::{Value, json};

const REGION: &str = "eu-west-1";

/// AWS, and what of it is looked at here.
struct Aws(Moto);

impl Aws {
    fn start() -> Result<Self> {
        Moto::start(REGION).map(Self)
    }

    fn ask(&self, line: &str) -> Result<Value> {
        self.0.aws(&line.split_whitespace().collect::<Vec<_>>())
    }

    fn list(&self, line: &str, field: &str) -> Result<Vec<Value>> {
        self.0.list(&line.split_whitespace().collect::<Vec<_>>(), field)
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
        let endpoint = self.0.endpoint();
        let entry = format!(
            "\n[[plugin]]\nname = \"load-balancer-elb\"\ngrants = {{ asked = true, http = [{endpoint:?}] }}\n\
             [plugin.config]\ncluster = \"test\"\nendpoint = {endpoint:?}\nvpc = {:?}\nsubnets = {ids:?}\nresync-seconds = 5\n\
             [[plugin.http.sign]]\nendpoint = {endpoint:?}\nservice = \"elasticloadbalancing\"\nregion = {REGION:?}\n\
             credentials-file = {:?}\n",
            text(subnets.first().context("no subnet")?, "/VpcId"),
            self.0.keys(),
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
    let mut aws = None;
    let mut suite = Suite::start_with("elb", |options| aws.insert(Aws::start()?).bundle(options))?;
    let aws = aws.context("no moto_server")?;
    let case = suite.case("elb")?;
    case.apply(&deployment("web", 2))?;
    case.apply(&service())?;
    has_its_name(&case, &aws)?;
    targets_are_the_pods(&case, &aws)?;
    // Killed, and back: nothing is made twice, and what changed meanwhile is followed.
    suite.stack()?.crash_gantry()?;
    suite.stack()?.start_gantry()?;
    case.line("scale deployment/web --replicas=3")?;
    targets_are_the_pods(&case, &aws)?;
    ensure!(aws.balancers()?.len() == 1, "{:?}", aws.balancers()?);
    what_can_not_be_had_is_said(&case, &aws)?;
    a_classic_one_leads_to_nodes(&case, &aws)?;
    what_is_deleted_goes(&case, &aws)?;
    suite.stop()
}

fn hostname(case: &Case) -> Result<String> {
    Ok(text(&case.get("service web")?, "/status/loadBalancer/ingress/0/hostname"))
}

fn has_its_name(case: &Case, aws: &Aws) -> Result<()> {
    case.until("the Service to have its name", || {
        let all = aws.balancers()?;
        let name = text(all.first().context("no load balancer")?, "/DNSName");
        let table = case.line("get service web")?;
        ensure!(!name.is_empty() && table.contains(&name), "{name} is not in {table}");
        Ok(())
    })?;
    case.until_is("service web", "/status/conditions/0/status", "True").map(drop)
}

fn targets_are_the_pods(case: &Case, aws: &Aws) -> Result<()> {
    case.line("rollout status deployment/web --timeout=120s")?;
    case.until("the pods to be the targets", || {
        let pods = case.list("pods -l app=web")?;
        let running = pods.iter().filter(|pod| pod.pointer("/metadata/deletionTimestamp").is_none());
        let mut addresses: Vec<String> = running.map(|pod| text(pod, "/status/podIP")).collect();
        addresses.sort();
        let targets = aws.targets()?;
        ensure!(targets == addresses, "{targets:?} are not {addresses:?}");
        Ok(())
    })
}

/// A Service that is for some clients only is not opened to all.
fn what_can_not_be_had_is_said(case: &Case, aws: &Aws) -> Result<()> {
    let closed =
        with(with(service(), "/metadata/name", "closed"), "/spec/loadBalancerSourceRanges", json!(["192.0.2.0/24"]));
    case.apply(&closed)?;
    case.until_is("service closed", "/status/conditions/0/reason", "Unsupported")?;
    ensure!(case.until_event("closed", "Unsupported")?.contains("192.0.2.0/24"));
    ensure!(aws.balancers()?.len() == 1, "it was made all the same: {:?}", aws.balancers()?);
    case.line("delete service closed")?;
    case.until_gone("frontend elb-closed")
}

fn a_classic_one_leads_to_nodes(case: &Case, aws: &Aws) -> Result<()> {
    let made = aws.ask("ec2 run-instances --image-id ami-12c6146b --count 1")?;
    let instance = text(&made, "/Instances/0/InstanceId");
    let node = case.names("nodes")?.into_iter().next().context("no node")?;
    let provider = json!({"spec": {"providerID": format!("aws:///eu-west-1a/{instance}")}});
    case.run(&["patch", "node", &node, "--type=merge", "-p", &provider.to_string()])?;
    case.apply(&with(service(), "/metadata/annotations", json!({"elb.gantry.dev/type": "classic"})))?;
    let one = case.until("a Classic load balancer in its place", || {
        let (classic, others) = (aws.classic()?, aws.balancers()?);
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

fn what_is_deleted_goes(case: &Case, aws: &Aws) -> Result<()> {
    case.line("delete service web --timeout=60s")?;
    case.until("nothing to be left in AWS", || {
        let groups = aws.list("elbv2 describe-target-groups", "TargetGroups")?;
        let left = [aws.balancers()?, aws.classic()?, groups].concat();
        match left.is_empty() {
            true => Ok(()),
            false => bail!("there is {left:?}"),
        }
    })?;
    case.until_gone("frontend elb-web")
}
