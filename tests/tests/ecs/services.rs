//! Services with the real `aws` and real containers: count, rollout, rollback, a daemon, and the end.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, ensure};
use gantry_tests::Case;
use gantry_tests::case::text;
use gantry_tests::manifests::IMAGE;
use gantry_tests::traffic::who;
use serde_json::{Value, json};

use super::aws::{Aws, apply};

/// Where the balanced service answers.
const SHOP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 96, 7, 7)), 80);

/// Names of tasks.
pub const NAMES: &str = r#"
[[plugin]]
name = "discovery-cloudmap"
grants = "asked"
[plugin.config]
namespaces = [{ name = "corp.local" }]
"#;

/// What the whole of a service's life looks like from outside.
pub fn live(case: &Case, aws: &Aws) -> Result<()> {
    register(aws, IMAGE, "1000")?;
    comes_up(case, aws)?;
    follows_its_count(case, aws)?;
    moves_on(case, aws)?;
    comes_back(case, aws)?;
    is_called_back(case, aws)?;
    goes(aws)
}

fn register(aws: &Aws, image: &str, seconds: &str) -> Result<Value> {
    let container =
        json!({"name": "web", "image": image, "memory": 32, "command": ["sleep", seconds], "stopTimeout": 1});
    let input = json!({"family": "serves", "containerDefinitions": [container]});
    aws.ok(&format!("register-task-definition --cli-input-json {input}"))
}

fn service(aws: &Aws, name: &str) -> Result<Value> {
    Ok(aws.ok(&format!("describe-services --cluster blue --services {name}"))?["services"][0].clone())
}

fn tasks(aws: &Aws, name: &str) -> Result<Vec<String>> {
    let listed = aws.ok(&format!("list-tasks --cluster blue --service-name {name}"))?;
    let arns = listed["taskArns"].as_array().context("no list")?.iter();
    Ok(arns.filter_map(|arn| Some(arn.as_str()?.to_owned())).collect())
}

fn said(service: &Value, what: &str) -> bool {
    service["events"].as_array().into_iter().flatten().any(|event| text(event, "/message").contains(what))
}

/// How many targets its events say were registered, or deregistered.
fn moved(service: &Value, how: &str) -> u32 {
    let events = service["events"].as_array().into_iter().flatten();
    let number = |event: &Value| {
        let message = text(event, "/message");
        let (_, after) = message.split_once(&format!(") {how} "))?;
        after.split_once(" targets in (target-group")?.0.parse::<u32>().ok()
    };
    events.filter_map(number).sum()
}

fn until(case: &Case, aws: &Aws, what: &str, good: impl Fn(&Value) -> bool) -> Result<Value> {
    case.until(what, || {
        let service = service(aws, "web")?;
        ensure!(good(&service), "{service}");
        Ok(service)
    })
}

/// One deployment, completed, with all of its tasks.
fn is_done(service: &Value) -> bool {
    service["deployments"].as_array().is_some_and(|all| all.len() == 1)
        && service["deployments"][0]["rolloutState"] == "COMPLETED"
        && service["runningCount"] == service["desiredCount"]
}

fn comes_up(case: &Case, aws: &Aws) -> Result<()> {
    let made = aws.ok("create-service --cluster blue --service-name web --task-definition serves --desired-count 2 --tags key=a,value=b --propagate-tags SERVICE")?;
    ensure!(
        made["service"]["status"] == "ACTIVE" && made["service"]["deployments"][0]["status"] == "PRIMARY",
        "{made}"
    );
    aws.ok("wait services-stable --cluster blue --services web")?;
    let seen = until(case, aws, "the service to be complete", is_done)?;
    ensure!(
        said(&seen, "(service web) has started 2 tasks: (task ") && said(&seen, "has reached a steady state."),
        "{seen}"
    );
    let all = tasks(aws, "web")?;
    let task =
        aws.ok(&format!("describe-tasks --cluster blue --include TAGS --tasks {}", all.join(" ")))?["tasks"][0].clone();
    ensure!(task["group"] == "service:web" && task["startedBy"] == seen["deployments"][0]["id"], "{task}");
    ensure!(task["lastStatus"] == "RUNNING" && task["tags"][0]["key"] == "a", "{task}");
    ensure!(aws.fail("delete-cluster --cluster blue")?.contains("ClusterContainsServicesException"));
    for (operation, input) in [
        ("DescribeServices", json!({"cluster": "blue", "services": ["web"], "include": ["TAGS"]})),
        ("ListServices", json!({"cluster": "blue"})),
        ("UpdateService", json!({"cluster": "blue", "service": "web", "desiredCount": 2})),
        ("DescribeClusters", json!({"clusters": ["blue"]})),
    ] {
        aws.strictly(operation, &input)?;
    }
    Ok(())
}

fn follows_its_count(case: &Case, aws: &Aws) -> Result<()> {
    aws.ok("update-service --cluster blue --service web --desired-count 3")?;
    until(case, aws, "three tasks", |service| service["runningCount"] == 3)?;
    aws.ok("update-service --cluster blue --service web --desired-count 2")?;
    let seen = until(case, aws, "two tasks", |service| service["runningCount"] == 2)?;
    ensure!(said(&seen, "has stopped 1 running tasks: (task "), "{seen}");
    // What is stopped is replaced.
    let before = tasks(aws, "web")?;
    let victim = before.first().context("no task")?;
    aws.ok(&format!("stop-task --cluster blue --task {victim}"))?;
    case.until("another task in the place of the stopped one", || {
        let now = tasks(aws, "web")?;
        ensure!(now.len() == 2 && !now.contains(victim) && service(aws, "web")?["runningCount"] == 2, "{now:?}");
        Ok(())
    })
}

fn moves_on(case: &Case, aws: &Aws) -> Result<()> {
    let second = register(aws, IMAGE, "2000")?["taskDefinition"]["taskDefinitionArn"].clone();
    let before = tasks(aws, "web")?;
    let moved = aws.ok("update-service --cluster blue --service web --task-definition serves")?;
    ensure!(moved["service"]["deployments"].as_array().is_some_and(|all| all.len() == 2), "{moved}");
    aws.ok("wait services-stable --cluster blue --services web")?;
    let seen = until(case, aws, "the rollout to be complete", is_done)?;
    ensure!(seen["taskDefinition"] == second && said(&seen, "deployment completed."), "{seen}");
    let after = tasks(aws, "web")?;
    ensure!(after.len() == 2 && after.iter().all(|task| !before.contains(task)), "{before:?} {after:?}");
    Ok(())
}

/// An image that is not there: the circuit breaker gives it up, and what ran goes on.
fn comes_back(case: &Case, aws: &Aws) -> Result<()> {
    let (before, good) = (tasks(aws, "web")?, service(aws, "web")?["deployments"][0]["id"].clone());
    register(aws, "gantry.local/none:1", "1")?;
    aws.ok("update-service --cluster blue --service web --task-definition serves --deployment-configuration deploymentCircuitBreaker={enable=true,rollback=true}")?;
    let seen =
        until(case, aws, "the rollback", |service| is_done(service) && said(service, "rolling back to deployment"))?;
    ensure!(said(&seen, "deployment failed: tasks failed to start."), "{seen}");
    ensure!(seen["deployments"][0]["id"] == good && text(&seen, "/taskDefinition").ends_with("serves:2"), "{seen}");
    ensure!(tasks(aws, "web")? == before, "the good tasks were left alone");
    let history = aws.strictly("ListServiceDeployments", &json!({"cluster": "blue", "service": "web"}))?;
    let states: Vec<String> = (0..3).map(|n| text(&history, &format!("/serviceDeployments/{n}/status"))).collect();
    ensure!(states == ["ROLLBACK_SUCCESSFUL", "SUCCESSFUL", "SUCCESSFUL"], "{history}");
    let arn = text(&history, "/serviceDeployments/0/serviceDeploymentArn");
    aws.strictly("DescribeServiceDeployments", &json!({"serviceDeploymentArns": [arn]}))?;
    Ok(())
}

/// A rollout that would go on for ever, until somebody stops it: what ran before goes on.
fn is_called_back(case: &Case, aws: &Aws) -> Result<()> {
    let before = tasks(aws, "web")?;
    aws.ok("update-service --cluster blue --service web --task-definition serves:3 --deployment-configuration deploymentCircuitBreaker={enable=false,rollback=false}")?;
    let listed = aws.strictly("ListServiceDeployments", &json!({"cluster": "blue", "service": "web"}))?;
    let arn = text(&listed, "/serviceDeployments/0/serviceDeploymentArn");
    ensure!(text(&service(aws, "web")?, "/currentServiceDeployment") == arn, "{listed}");
    until(case, aws, "the rollout to begin", |service| service["pendingCount"] == 2)?;
    aws.strictly("StopServiceDeployment", &json!({"serviceDeploymentArn": arn, "stopType": "ROLLBACK"}))?;
    let seen =
        until(case, aws, "the way back", |service| is_done(service) && said(service, "by a request to stop it"))?;
    ensure!(text(&seen, "/taskDefinition").ends_with("serves:2") && tasks(aws, "web")? == before, "{seen}");
    let record = aws.strictly("DescribeServiceDeployments", &json!({"serviceDeploymentArns": [arn]}))?;
    ensure!(text(&record, "/serviceDeployments/0/status") == "ROLLBACK_SUCCESSFUL", "{record}");
    let said = aws.fail(&format!("stop-service-deployment --service-deployment-arn {arn}"))?;
    ensure!(said.contains("ConflictException"), "{said}");
    let revision = text(&record, "/serviceDeployments/0/targetServiceRevision/arn");
    let seen = aws.strictly("DescribeServiceRevisions", &json!({"serviceRevisionArns": [revision]}))?;
    ensure!(text(&seen, "/serviceRevisions/0/containerImages/0/image") == "gantry.local/none:1", "{seen}");
    Ok(())
}

/// DAEMON, on the one node that there is.
pub fn on_each_node(_case: &Case, aws: &Aws) -> Result<()> {
    register(aws, IMAGE, "1000")?;
    aws.ok(
        "create-service --cluster blue --service-name each --task-definition serves:1 --scheduling-strategy DAEMON",
    )?;
    aws.ok("wait services-stable --cluster blue --services each")?;
    let seen = service(aws, "each")?;
    ensure!(seen["desiredCount"] == 1 && seen["runningCount"] == 1, "{seen}");
    aws.strictly("DeleteService", &json!({"cluster": "blue", "service": "each", "force": true}))?;
    aws.ok("wait services-inactive --cluster blue --services each").map(drop)
}

/// Task sets of a service whose deployments somebody else makes: one beside the other, then only the second.
pub fn in_sets(case: &Case, aws: &Aws) -> Result<()> {
    register(aws, IMAGE, "1000")?;
    let controller = json!({"type": "EXTERNAL"});
    let input =
        json!({"cluster": "blue", "serviceName": "sets", "desiredCount": 3, "deploymentController": controller});
    aws.strictly("CreateService", &input)?;
    let of = |more: Value| {
        let mut input = json!({"cluster": "blue", "service": "sets"});
        more.as_object().into_iter().flatten().for_each(|(key, value)| input[key] = value.clone());
        input
    };
    let percent = |value: u32| json!({"value": value, "unit": "PERCENT"});
    let create = |external: &str| -> Result<String> {
        let input = of(json!({"taskDefinition": "serves", "externalId": external, "scale": percent(50)}));
        Ok(text(&aws.strictly("CreateTaskSet", &input)?, "/taskSet/taskSetArn"))
    };
    let (first, second) = (create("one")?, create("two")?);
    aws.strictly("UpdateServicePrimaryTaskSet", &of(json!({"primaryTaskSet": first})))?;
    let steady = |set: &str, tasks: u32| {
        case.until("a task set to be steady", || {
            let seen = aws.strictly("DescribeTaskSets", &of(json!({"taskSets": [set], "include": ["TAGS"]})))?;
            let set = &seen["taskSets"][0];
            ensure!(set["stabilityStatus"] == "STEADY_STATE" && set["runningCount"] == tasks, "{set}");
            Ok(set.clone())
        })
    };
    // Half of three is two.
    ensure!(steady(&first, 2)?["status"] == "PRIMARY" && steady(&second, 2)?["status"] == "ACTIVE");
    ensure!(service(aws, "sets")?["runningCount"] == 4);
    aws.strictly("UpdateTaskSet", &of(json!({"taskSet": second, "scale": percent(100)})))?;
    steady(&second, 3)?;
    aws.strictly("UpdateServicePrimaryTaskSet", &of(json!({"primaryTaskSet": second})))?;
    let said = aws.fail(&format!("delete-task-set --cluster blue --service sets --task-set {first}"))?;
    ensure!(said.contains("scaled above 0"), "{said}");
    let gone = aws.strictly("DeleteTaskSet", &of(json!({"taskSet": first, "force": true})))?;
    ensure!(gone["taskSet"]["status"] == "DRAINING", "{gone}");
    case.until("the first set to be gone", || {
        let seen = aws.strictly("DescribeTaskSets", &of(json!({})))?;
        ensure!(seen["taskSets"].as_array().is_some_and(|all| all.len() == 1), "{seen}");
        Ok(())
    })?;
    let seen =
        aws.strictly("DescribeServices", &json!({"cluster": "blue", "services": ["sets"]}))?["services"][0].clone();
    ensure!(seen["runningCount"] == 3 && seen["taskSets"][0]["status"] == "PRIMARY", "{seen}");
    ensure!(text(&seen, "/taskDefinition").contains("serves:") && self::said(&seen, "taskSet ecs-svc/"), "{seen}");
    aws.ok("delete-service --cluster blue --service sets --force")?;
    aws.ok("wait services-inactive --cluster blue --services sets").map(drop)
}

/// Requests to a Frontend come to all tasks of the target group that it selects, and to those that replace them.
pub fn balanced(case: &Case, aws: &Aws) -> Result<()> {
    let arn = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/shop/0123456789abcdef";
    let selector = json!({"matchLabels": {"ecs.gantry.dev/target-group": "shop"}});
    let spec = json!({"class": "cluster", "addresses": [SHOP.ip().to_string()], "ports": [{"port": SHOP.port(), "protocol": "TCP"}], "backends": {"selector": selector}});
    let frontend =
        json!({"apiVersion": "gantry.dev/v1alpha1", "kind": "Frontend", "metadata": {"name": "shop"}, "spec": spec});
    apply(case, "ecs", &frontend)?;
    let port = json!({"containerPort": 8080});
    let network = json!({"awsvpcConfiguration": {"subnets": ["subnet-1"]}});
    let container = json!({"name": "shop", "image": IMAGE, "memory": 32, "portMappings": [port], "stopTimeout": 1});
    let definition = json!({"family": "shop", "networkMode": "awsvpc", "containerDefinitions": [container]});
    aws.ok(&format!("register-task-definition --cli-input-json {definition}"))?;
    let balancer = json!({"targetGroupArn": arn, "containerName": "shop", "containerPort": 8080});
    let input = json!({"cluster": "blue", "serviceName": "shop", "taskDefinition": "shop", "desiredCount": 2,
        "networkConfiguration": network, "loadBalancers": [balancer]});
    aws.strictly("CreateService", &input)?;
    answers(case, aws)?;
    aws.ok("update-service --cluster blue --service shop --force-new-deployment")?;
    aws.ok("wait services-stable --cluster blue --services shop")?;
    answers(case, aws)?;
    let seen =
        aws.strictly("DescribeServices", &json!({"cluster": "blue", "services": ["shop"]}))?["services"][0].clone();
    // Two, and the two that replaced them; together or one by one, as they came up.
    ensure!(moved(&seen, "registered") == 4 && moved(&seen, "deregistered") == 2, "{seen}");
    aws.ok("delete-service --cluster blue --service shop --force")?;
    aws.ok("wait services-inactive --cluster blue --services shop")?;
    ensure!(who(SHOP).is_err(), "nobody is left");
    case.line("-n ecs delete frontends.gantry.dev shop").map(drop)
}

/// The tasks of a service are found, by another task, under the name of the registry that the service has; then under one
/// of its own.
pub fn named(case: &Case, aws: &Aws) -> Result<()> {
    let metadata = json!({"name": "shop", "annotations": {"servicediscovery.gantry.dev/namespace": "corp.local"}});
    let registry = json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"clusterIP": "None", "ports": [{"port": 8080}]}});
    apply(case, "ecs", &registry)?;
    let network = json!({"awsvpcConfiguration": {"subnets": ["subnet-1"]}});
    let port = json!({"name": "http", "containerPort": 8080});
    let container = json!({"name": "main", "image": IMAGE, "memory": 32, "command": ["sleep", "1000"], "stopTimeout": 1, "portMappings": [port]});
    let input = json!({"family": "shop", "networkMode": "awsvpc", "containerDefinitions": [container]});
    aws.ok(&format!("register-task-definition --cli-input-json {input}"))?;
    let registries = json!([{"registryArn": "arn:aws:servicediscovery:us-east-1:000000000000:service/shop"}]);
    let input = json!({"cluster": "blue", "serviceName": "shop", "taskDefinition": "shop", "desiredCount": 2,
        "networkConfiguration": network, "serviceRegistries": registries});
    aws.strictly("CreateService", &input)?;
    aws.ok("wait services-stable --cluster blue --services shop")?;
    let client = json!({"cluster": "blue", "taskDefinition": "shop", "networkConfiguration": network});
    let client = text(&aws.strictly("RunTask", &client)?, "/tasks/0/taskArn");
    aws.ok(&format!("wait tasks-running --cluster blue --tasks {client}"))?;
    are_found(case, aws, &client, "shop.corp.local")?;
    let listed = aws.strictly("ListServicesByNamespace", &json!({"namespace": "corp.local"}))?;
    ensure!(text(&listed, "/serviceArns/0").ends_with("service/blue/shop"), "{listed}");
    ensure!(aws.fail("list-services-by-namespace --namespace none")?.contains("NamespaceNotFoundException"));
    aws.strictly("UpdateService", &json!({"cluster": "blue", "service": "shop", "serviceRegistries": []}))?;
    case.until("nobody to be found", || {
        let found = found(case, &client, "shop.corp.local");
        ensure!(found.is_empty(), "{found:?}");
        Ok(())
    })?;
    connected(case, aws, &client)?;
    aws.ok(&format!("stop-task --cluster blue --task {client}"))?;
    aws.ok(&format!("wait tasks-stopped --cluster blue --tasks {client}"))?;
    aws.ok("delete-service --cluster blue --service shop --force")?;
    aws.ok("wait services-inactive --cluster blue --services shop")?;
    case.until("only the registry to be left", || {
        let left = case.line("-n ecs get services -o name")?;
        ensure!(left.trim() == "service/shop", "{left}");
        Ok(())
    })?;
    case.line("-n ecs delete services shop").map(drop)
}

/// Service Connect: a name that is made with the service.
fn connected(case: &Case, aws: &Aws, client: &str) -> Result<()> {
    let name = json!({"portName": "http", "discoveryName": "store", "clientAliases": [{"port": 8080}]});
    let usual = json!({"namespace": "corp.local"});
    let cluster = aws.strictly("UpdateCluster", &json!({"cluster": "blue", "serviceConnectDefaults": usual}))?;
    ensure!(cluster["cluster"]["serviceConnectDefaults"] == usual, "{cluster}");
    let connect = json!({"enabled": true, "services": [name]});
    let input = json!({"cluster": "blue", "service": "shop", "serviceConnectConfiguration": connect});
    let updated = aws.strictly("UpdateService", &input)?;
    let shown = text(&updated, "/service/deployments/0/serviceConnectResources/0/discoveryName");
    ensure!(shown == "store", "{updated}");
    aws.ok("wait services-stable --cluster blue --services shop")?;
    are_found(case, aws, client, "store.corp.local")?;
    let seen = aws.strictly("DescribeServices", &json!({"cluster": "blue", "services": ["shop"]}))?;
    let revision = text(&seen, "/services/0/currentServiceRevisions/0/arn");
    let seen = aws.strictly("DescribeServiceRevisions", &json!({"serviceRevisionArns": [revision]}))?;
    ensure!(seen["serviceRevisions"][0]["serviceConnectConfiguration"]["enabled"] == true, "{seen}");
    Ok(())
}

/// What a task's own resolver finds.
fn found(case: &Case, task: &str, name: &str) -> Vec<String> {
    let pod = task.rsplit('/').next().unwrap_or_default();
    let said = case.line(&format!("-n ecs exec {pod} -- /web resolve {name}")).unwrap_or_default();
    let mut all: Vec<String> = said.lines().map(str::to_owned).collect();
    all.sort();
    all
}

/// The two tasks of the service are what a name stands for.
fn are_found(case: &Case, aws: &Aws, client: &str, name: &str) -> Result<()> {
    case.until("both tasks to be found", || {
        let seen = json!({"cluster": "blue", "tasks": tasks(aws, "shop")?});
        let seen = aws.strictly("DescribeTasks", &seen)?;
        let all = seen["tasks"].as_array().into_iter().flatten();
        let mut wanted: Vec<String> =
            all.map(|task| text(task, "/containers/0/networkInterfaces/0/privateIpv4Address")).collect();
        wanted.sort();
        let found = found(case, client, name);
        ensure!(wanted.len() == 2 && found == wanted, "{found:?} of {wanted:?}");
        Ok(())
    })
}

/// Those that run, and nobody else.
fn answers(case: &Case, aws: &Aws) -> Result<()> {
    case.until("both tasks to answer", || {
        let tasks: Vec<String> =
            tasks(aws, "shop")?.iter().filter_map(|arn| Some(arn.rsplit('/').next()?.to_owned())).collect();
        let mut heard: Vec<String> = (0..30).map(|_| who(SHOP)).collect::<Result<_>>()?;
        heard.sort();
        heard.dedup();
        let mut wanted = tasks.clone();
        wanted.sort();
        ensure!(heard == wanted && wanted.len() == 2, "{heard:?} of {wanted:?}");
        Ok(())
    })
}

fn goes(aws: &Aws) -> Result<()> {
    ensure!(aws.fail("delete-service --cluster blue --service web")?.contains("scaled above 0"));
    let gone = aws.ok("delete-service --cluster blue --service web --force")?;
    ensure!(gone["service"]["status"] == "DRAINING", "{gone}");
    aws.ok("wait services-inactive --cluster blue --services web")?;
    ensure!(tasks(aws, "web")?.is_empty());
    ensure!(aws.ok("list-services --cluster blue")?["serviceArns"] == json!([]));
    // Its name is free.
    let input = json!({"cluster": "blue", "serviceName": "web", "taskDefinition": "serves:1", "desiredCount": 0});
    aws.strictly("CreateService", &input)?;
    aws.ok("delete-service --cluster blue --service web")?;
    aws.ok("wait services-inactive --cluster blue --services web").map(drop)
}
