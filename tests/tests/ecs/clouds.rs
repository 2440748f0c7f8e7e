//! What AWS keeps, with a `moto_server` in its place: secrets and files with variables, which containers have and nobody else
//! sees, and alarms, which end deployments.

use std::fs;

use anyhow::{Result, ensure};
use gantry_tests::case::text;
use gantry_tests::manifests::IMAGE;
use gantry_tests::stack::Options;
use gantry_tests::{Case, Moto};
use serde_json::{Value, json};

use super::aws::{self, Aws};
use super::containers::{container, inside, run, stop, task, until_task};

const REGION: &str = "us-east-1";
/// Options of endpoints, with the names of services in signatures. Each has a loopback address of its own, by its last number,
/// since each is signed for in another way.
const SERVICES: [(&str, &str, u8); 4] =
    [("cloudwatch", "monitoring", 1), ("s3", "s3", 2), ("secretsmanager", "secretsmanager", 3), ("ssm", "ssm", 4)];

/// Starts it, and gives the bundle for ECS, whose controller may ask it.
pub fn start(options: &mut Options) -> Result<Moto> {
    let moto = Moto::start(REGION)?;
    let endpoint = |last: u8| moto.endpoint_at([127, 0, 0, last].into());
    let http = SERVICES.map(|(_, _, last)| endpoint(last));
    let endpoints = SERVICES.map(|(option, _, last)| format!("{option} = {:?}\n", endpoint(last))).concat();
    let sign = SERVICES.map(|(_, service, last)| {
        format!(
            "[[plugin.http.sign]]\nendpoint = {:?}\nservice = {service:?}\nregion = {REGION:?}\ncredentials-file = {:?}\n",
            endpoint(last),
            moto.keys()
        )
    });
    let own = format!(
        "name = \"controller-ecs\"\ngrants = {{ asked = true, http = {http:?} }}\n[plugin.config]\nhealthy-after-seconds = 3\n\
         [plugin.config.endpoints]\n{endpoints}{}",
        sign.concat()
    );
    aws::bundle_from(options, "ecs.toml", &own, "")?;
    Ok(moto)
}

/// All of it.
pub fn ask(case: &Case, aws: &Aws, moto: &Moto) -> Result<()> {
    values_come_to_containers(case, aws, moto)?;
    what_is_not_there_stops_the_task(case, aws)?;
    an_alarm_brings_the_last_good_one_back(case, aws, moto)
}

fn values_come_to_containers(case: &Case, aws: &Aws, moto: &Moto) -> Result<()> {
    moto.aws(&["ssm", "put-parameter", "--name", "/shop/db", "--type", "SecureString", "--value", "open sesame"])?;
    let secret =
        moto.aws(&["secretsmanager", "create-secret", "--name", "db", "--secret-string", r#"{"user": "ali"}"#])?;
    fs::write(moto.folder().join("shop.env"), "# The shop's\nCOLOUR=blue\nGIVEN=no\n")?;
    moto.aws(&["s3api", "create-bucket", "--bucket", "shop"])?;
    moto.aws(&["s3api", "put-object", "--bucket", "shop", "--key", "a/shop.env", "--body", "shop.env"])?;
    let secrets = json!([
        {"name": "PASSWORD", "valueFrom": "/shop/db"},
        {"name": "DB_USER", "valueFrom": format!("{}:user::", text(&secret, "/ARN"))},
    ]);
    let more = json!({
        "secrets": secrets, "environmentFiles": [{"type": "s3", "value": "arn:aws:s3:::shop/a/shop.env"}],
        "environment": [{"name": "GIVEN", "value": "yes"}], "links": ["side:db"],
        "ulimits": [{"name": "nofile", "softLimit": 123, "hardLimit": 456}],
    });
    let containers = [container("main", "sleep 1000", more), container("side", "sleep 1000", json!({}))];
    let arn = run(aws, &json!({"family": "kept", "containerDefinitions": containers}))?;
    aws.ok(&format!("wait tasks-running --cluster blue --tasks {arn}"))?;
    let environment = case.line(&inside(&arn, "main", "env"))?;
    for want in ["PASSWORD=open sesame", "DB_USER=ali", "COLOUR=blue", "GIVEN=yes"] {
        ensure!(environment.lines().any(|line| line == want), "no {want} in {environment}");
    }
    let limits = case.line(&inside(&arn, "main", "cat /proc/1/limits"))?;
    let open = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    ensure!(open.split_whitespace().skip(3).take(2).eq(["123", "456"]), "{limits}");
    let hosts = case.line(&inside(&arn, "main", "cat /etc/hosts"))?;
    ensure!(hosts.lines().any(|line| line.split_whitespace().eq(["127.0.0.1", "db"])), "{hosts}");
    let id = arn.rsplit('/').next().unwrap_or_default();
    for shown in [
        case.line(&format!("-n ecs get pod {id} -o json"))?,
        case.line(&format!("-n ecs get tasks.ecs.gantry.dev {id} -o json"))?,
        task(aws, &arn)?.to_string(),
    ] {
        ensure!(!shown.contains("sesame") && !shown.contains("COLOUR"), "{shown}");
    }
    let secrets = || case.line("-n ecs get secrets -o name");
    ensure!(secrets()?.contains(&format!("secret/task-{id}")), "{}", secrets()?);
    stop(aws, &arn)?;
    case.until("its secrets to go", || {
        let left = secrets()?;
        ensure!(!left.contains(&format!("secret/task-{id}")), "{left}");
        Ok(())
    })
}

fn what_is_not_there_stops_the_task(case: &Case, aws: &Aws) -> Result<()> {
    let secrets = json!({"secrets": [{"name": "PASSWORD", "valueFrom": "/shop/none"}]});
    let arn =
        run(aws, &json!({"family": "lacks", "containerDefinitions": [container("main", "sleep 1000", secrets)]}))?;
    let seen = until_task(case, aws, &arn, "the task to stop", |seen| seen["lastStatus"] == "STOPPED")?;
    let reason = text(&seen, "/stoppedReason");
    let want = "ResourceInitializationError: unable to pull secrets or registry auth";
    ensure!(reason.starts_with(want) && reason.ends_with("invalid parameters: /shop/none"), "{reason}");
    ensure!(seen["stopCode"] == "TaskFailedToStart", "{seen}");
    Ok(())
}

fn an_alarm_brings_the_last_good_one_back(case: &Case, aws: &Aws, moto: &Moto) -> Result<()> {
    let alarm = "cloudwatch put-metric-alarm --alarm-name errors --namespace n --metric-name m --period 10 \
                 --evaluation-periods 1 --statistic Sum --threshold 1 --comparison-operator GreaterThanThreshold";
    moto.aws(&alarm.split_whitespace().collect::<Vec<_>>())?;
    let state = |word: &str| {
        let line = format!("cloudwatch set-alarm-state --alarm-name errors --state-value {word} --state-reason test");
        moto.aws(&line.split_whitespace().collect::<Vec<_>>())
    };
    state("OK")?;
    let sleeps = json!({"name": "main", "image": IMAGE, "memory": 32, "command": ["sleep", "1000"], "stopTimeout": 1});
    aws.strictly("RegisterTaskDefinition", &json!({"family": "watched", "containerDefinitions": [sleeps]}))?;
    let alarms = json!({"alarmNames": ["errors"], "enable": true, "rollback": true});
    aws.strictly(
        "CreateService",
        &json!({"cluster": "blue", "serviceName": "watched", "taskDefinition": "watched", "desiredCount": 1,
            "deploymentConfiguration": {"alarms": alarms}, "healthCheckGracePeriodSeconds": 30}),
    )?;
    let seen = || -> Result<Value> {
        Ok(aws.strictly("DescribeServices", &json!({"cluster": "blue", "services": ["watched"]}))?["services"][0]
            .clone())
    };
    case.until("the first deployment to be completed", || {
        let seen = seen()?;
        ensure!(seen["deployments"][0]["rolloutState"] == "COMPLETED", "{seen}");
        Ok(())
    })?;
    let first = seen()?["deployments"][0]["id"].clone();
    aws.ok("update-service --cluster blue --service watched --force-new-deployment")?;
    let deployments = || -> Result<Value> {
        let listed = aws.ok("list-service-deployments --cluster blue --service watched")?;
        let arn = listed["serviceDeployments"][0]["serviceDeploymentArn"].clone();
        let seen = aws.strictly("DescribeServiceDeployments", &json!({"serviceDeploymentArns": [arn]}))?;
        Ok(seen["serviceDeployments"][0].clone())
    };
    case.until("the second one to begin", || {
        let seen = deployments()?;
        ensure!(seen["status"] == "IN_PROGRESS" && seen["alarms"]["status"] == "MONITORING", "{seen}");
        Ok(())
    })?;
    state("ALARM")?;
    case.until("the first one to come back", || {
        let seen = deployments()?;
        ensure!(seen["status"] == "ROLLBACK_SUCCESSFUL", "{seen}");
        Ok(())
    })?;
    let (deployment, service) = (deployments()?, seen()?);
    ensure!(deployment["alarms"]["triggeredAlarmNames"] == json!(["errors"]), "{deployment}");
    ensure!(service["deployments"][0]["id"] == first, "{service}");
    aws.ok("delete-service --cluster blue --service watched --force")?;
    case.until("its tasks to stop", || {
        let left = aws.ok("list-tasks --cluster blue")?;
        ensure!(left["taskArns"] == json!([]), "{left}");
        Ok(())
    })
}
