//! Placement, with the real `aws` over hollow nodes on which Kubernetes and ECS are both at home: strategies, constraints,
//! attributes, tasks on named instances, instances that are drained, and room that is given away once.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use gantry_tests::case::text;
use gantry_tests::{Case, Suite};
use serde_json::{Value, json};

use crate::aws::{self, Aws};

/// Each with 32 CPUs and 128 GiB.
const NODES: [(&str, &str); 4] = [("hollow-0", "a"), ("hollow-1", "a"), ("hollow-2", "b"), ("hollow-3", "c")];

#[test]
fn aws_places_tasks_beside_pods() -> Result<()> {
    let mut suite = Suite::start_with("both", |options| {
        aws::bundle_named(options, "both.toml")?;
        options.images.clear();
        options.args.extend(["--no-node", "--hollow-nodes", "4"].map(Into::into));
        Ok(())
    })?;
    let case = suite.case("both")?;
    let aws = Aws::new(&case)?;
    let world = World::new(&case, &aws)?;
    world.strategies()?;
    world.constraints()?;
    world.attributes()?;
    world.named_instances()?;
    world.drained_instances()?;
    world.stopped_tasks_have_exit_codes()?;
    world.room_is_given_away_once()?;
    world.tells_what_is_wrong()?;
    suite.stop()
}

struct World<'a> {
    case: &'a Case,
    aws: &'a Aws,
    /// ARNs of instances, by their nodes.
    arns: BTreeMap<String, String>,
}

impl<'a> World<'a> {
    fn new(case: &'a Case, aws: &'a Aws) -> Result<Self> {
        case.until("all nodes to be there", || {
            ensure!(case.names("nodes")?.len() == NODES.len());
            Ok(())
        })?;
        for (node, zone) in NODES {
            case.line(&format!("label node {node} topology.kubernetes.io/zone={zone}"))?;
        }
        aws.ok("create-cluster --cluster-name blue")?;
        let arns = aws.ok("list-container-instances --cluster blue")?;
        let mut names = BTreeMap::new();
        for arn in arns["containerInstanceArns"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let seen = aws.ok(&format!("describe-container-instances --cluster blue --container-instances {arn}"))?;
            names.insert(text(&seen, "/containerInstances/0/ec2InstanceId"), arn.to_owned());
        }
        ensure!(names.len() == NODES.len(), "{names:?}");
        for (family, cpu) in [("small", 128), ("wide", 20 * 1024)] {
            let container = json!({"name": "main", "image": "gantry.local/web:1", "memory": 256, "cpu": cpu});
            let input = json!({"family": family, "containerDefinitions": [container]});
            aws.ok(&format!("register-task-definition --cli-input-json {input}"))?;
        }
        Ok(Self { case, aws, arns: names })
    }

    /// Starts tasks; their ARNs.
    fn run(&self, count: usize, family: &str, group: &str, more: Value) -> Result<Vec<String>> {
        let mut input = json!({"cluster": "blue", "taskDefinition": family, "count": count, "group": group});
        for (key, value) in more.as_object().into_iter().flatten() {
            input[key] = value.clone();
        }
        let made = self.aws.ok(&format!("run-task --cli-input-json {input}"))?;
        ensure!(made["failures"] == json!([]), "{made}");
        let tasks = made["tasks"].as_array().cloned().unwrap_or_default();
        Ok(tasks.iter().map(|task| text(task, "/taskArn")).collect())
    }

    fn wait(&self, tasks: &[String]) -> Result<()> {
        self.aws.ok(&format!("wait tasks-running --cluster blue --tasks {}", tasks.join(" "))).map(drop)
    }

    /// How many of these tasks are on each node.
    fn on(&self, tasks: &[String]) -> Result<[usize; 4]> {
        let seen = self.aws.ok(&format!("describe-tasks --cluster blue --tasks {}", tasks.join(" ")))?;
        let arns: Vec<String> =
            seen["tasks"].as_array().into_iter().flatten().map(|task| text(task, "/containerInstanceArn")).collect();
        let of = |node: &str| arns.iter().filter(|arn| self.arns.get(node) == Some(arn)).count();
        Ok(NODES.map(|(node, _)| of(node)))
    }

    fn placed(&self, count: usize, family: &str, group: &str, more: Value) -> Result<[usize; 4]> {
        let tasks = self.run(count, family, group, more)?;
        self.wait(&tasks)?;
        self.on(&tasks)
    }

    fn strategies(&self) -> Result<()> {
        let zones = json!({"type": "spread", "field": "attribute:ecs.availability-zone"});
        let instances = json!({"type": "spread", "field": "instanceId"});
        let pack = json!({"type": "binpack", "field": "memory"});
        let on = self.placed(8, "small", "even", json!({"placementStrategy": [instances]}))?;
        ensure!(on == [2, 2, 2, 2], "{on:?}");
        let mut on = self.placed(9, "small", "zones", json!({"placementStrategy": [zones, instances]}))?;
        on[..2].sort_unstable();
        ensure!(on == [1, 2, 3, 3], "{on:?}");
        let on = self.placed(6, "small", "packed", json!({"placementStrategy": [pack]}))?;
        ensure!(on.contains(&6), "{on:?}");
        let on = self.placed(10, "small", "anywhere", json!({}))?;
        ensure!(on.iter().sum::<usize>() == 10 && on.iter().filter(|tasks| **tasks > 0).count() > 1, "{on:?}");
        Ok(())
    }

    fn constraints(&self) -> Result<()> {
        let distinct = json!({"placementConstraints": [{"type": "distinctInstance"}]});
        let tasks = self.run(5, "small", "apart", distinct)?;
        self.case.until("four tasks to be placed", || {
            let on = self.on(&tasks)?;
            ensure!(on == [1, 1, 1, 1], "{on:?}");
            Ok(())
        })?;
        let why = self.case.until("the fifth to be told why it waits", || {
            let events = self.case.line("-n ecs get events -o jsonpath={.items[*].message}")?;
            ensure!(events.contains("distinctInstance"), "{events}");
            Ok(events)
        })?;
        ensure!(
            why.contains(
                "0/4 nodes are available: 4 node(s) didn't satisfy the placement constraint distinctInstance."
            ),
            "{why}"
        );
        let near = |expression: &str| json!({"placementConstraints": [{"type": "memberOf", "expression": expression}]});
        let on = self.placed(3, "small", "zone", near("attribute:ecs.availability-zone in [b]"))?;
        ensure!(on == [0, 0, 3, 0], "{on:?}");
        let on = self.placed(3, "small", "near", near("task:group == zone"))?;
        ensure!(on == [0, 0, 3, 0], "{on:?}");
        let on = self.placed(
            4,
            "small",
            "far",
            near("not(task:group == zone) and attribute:ecs.availability-zone =~ [bc]"),
        )?;
        ensure!(on == [0, 0, 0, 4], "{on:?}");
        Ok(())
    }

    fn attributes(&self) -> Result<()> {
        let target = &self.arns["hollow-1"];
        let put = self
            .aws
            .ok(&format!("put-attributes --cluster blue --attributes name=stack,value=prod,targetId={target}"))?;
        ensure!(put["attributes"][0]["name"] == "stack", "{put}");
        let label = self.case.line("get node hollow-1 -o jsonpath={.metadata.labels.stack}")?;
        ensure!(label == "prod", "an attribute is a label: {label}");
        let listed =
            self.aws.ok("list-attributes --cluster blue --target-type container-instance --attribute-name stack")?;
        ensure!(listed["attributes"] == json!([{"name": "stack", "value": "prod", "targetId": target}]), "{listed}");
        let member = json!({"placementConstraints": [{"type": "memberOf", "expression": "attribute:stack == prod"}]});
        let tasks = self.run(2, "small", "prod", member)?;
        self.wait(&tasks)?;
        ensure!(self.on(&tasks)? == [0, 2, 0, 0]);
        for (filter, expected) in [
            ("attribute:stack==prod", vec![target]),
            ("task:group==prod", vec![target]),
            ("ec2InstanceId==hollow-2", vec![&self.arns["hollow-2"]]),
            ("registeredAt<2001-01-01", vec![]),
        ] {
            let found = self.aws.ok(&format!("list-container-instances --cluster blue --filter {filter}"))?;
            ensure!(found["containerInstanceArns"] == json!(expected), "{filter}: {found}");
        }
        self.aws.ok(&format!("delete-attributes --cluster blue --attributes name=stack,targetId={target}"))?;
        let listed =
            self.aws.ok("list-attributes --cluster blue --target-type container-instance --attribute-name stack")?;
        ensure!(listed["attributes"] == json!([]), "{listed}");
        Ok(())
    }

    fn named_instances(&self) -> Result<()> {
        let (first, last) = (&self.arns["hollow-0"], &self.arns["hollow-3"]);
        let nobody = "00000000000000000000000000000000";
        let line =
            format!("start-task --cluster blue --task-definition small --container-instances {first} {last} {nobody}");
        let made = self.aws.ok(&line)?;
        ensure!(
            text(&made, "/failures/0/reason") == "MISSING" && text(&made, "/failures/0/arn").ends_with(nobody),
            "{made}"
        );
        let tasks: Vec<String> =
            made["tasks"].as_array().into_iter().flatten().map(|task| text(task, "/taskArn")).collect();
        self.wait(&tasks)?;
        ensure!(self.on(&tasks)? == [1, 0, 0, 1]);
        Ok(())
    }

    fn drained_instances(&self) -> Result<()> {
        let target = &self.arns["hollow-2"];
        let state = |state: &str| {
            self.aws.ok(&format!(
                "update-container-instances-state --cluster blue --container-instances {target} --status {state}"
            ))
        };
        let drained = state("DRAINING")?;
        ensure!(drained["containerInstances"][0]["status"] == "DRAINING", "{drained}");
        let made = self
            .aws
            .ok(&format!("start-task --cluster blue --task-definition small --container-instances {target}"))?;
        ensure!(made["tasks"] == json!([]) && made["failures"][0]["reason"] == "INACTIVE", "{made}");
        let spread = json!({"placementStrategy": [{"type": "spread", "field": "instanceId"}]});
        let on = self.placed(6, "small", "drained", spread.clone())?;
        ensure!(on == [2, 2, 0, 2], "{on:?}");
        state("ACTIVE")?;
        let on = self.placed(2, "small", "drained", spread)?;
        ensure!(on == [0, 0, 2, 0], "{on:?}");
        Ok(())
    }

    /// A node says how containers ended before their pod goes, a hollow one too.
    fn stopped_tasks_have_exit_codes(&self) -> Result<()> {
        let tasks = self.run(2, "small", "stops", json!({}))?;
        self.wait(&tasks)?;
        for task in &tasks {
            self.aws.ok(&format!("stop-task --cluster blue --task {task}"))?;
        }
        let tasks = tasks.join(" ");
        self.aws.ok(&format!("wait tasks-stopped --cluster blue --tasks {tasks}"))?;
        let seen = self.aws.ok(&format!("describe-tasks --cluster blue --tasks {tasks}"))?;
        for task in 0..2 {
            ensure!(seen["tasks"][task]["containers"][0]["exitCode"] == 143, "{seen}");
        }
        Ok(())
    }

    /// What one scheduler has placed, the other counts: 20 of a node's 32 CPUs leave no room for 20 more.
    fn room_is_given_away_once(&self) -> Result<()> {
        let pod = |name: &str| {
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [
                {"name": "c", "image": "gantry.local/web:1", "resources": {"requests": {"cpu": "20"}}}]}})
        };
        for name in ["one", "two", "three"] {
            self.case.apply(&pod(name))?;
        }
        self.case.until("the pods to be placed", || {
            let nodes = self.case.line("get pods -o jsonpath={.items[*].spec.nodeName}")?;
            ensure!(nodes.split_whitespace().count() == 3, "{nodes}");
            Ok(())
        })?;
        let tasks = self.run(2, "wide", "wide", json!({}))?;
        let placed = || Ok::<_, anyhow::Error>(self.on(&tasks)?.iter().sum::<usize>());
        self.case.until("one task to find the last room", || {
            ensure!(placed()? == 1);
            Ok(())
        })?;
        self.case.apply(&pod("four"))?;
        let why = self.case.until_event("four", "FailedScheduling")?;
        ensure!(why.contains("4 Insufficient cpu"), "{why}");
        ensure!(placed()? == 1, "no room was given away twice");
        // A pod that goes makes room for the task, or the pod, that waits.
        self.case.line("delete pod one two --grace-period=0 --force")?;
        self.case.until("both that waited to be placed", || {
            let node = self.case.line("get pod four -o jsonpath={.spec.nodeName}")?;
            ensure!(placed()? == 2 && !node.is_empty());
            Ok(())
        })?;
        self.a_named_instance_must_have_room()
    }

    /// Every node has given 20 of its CPUs away.
    fn a_named_instance_must_have_room(&self) -> Result<()> {
        let target = &self.arns["hollow-0"];
        let made =
            self.aws.ok(&format!("start-task --cluster blue --task-definition wide --container-instances {target}"))?;
        let arn = text(&made, "/tasks/0/taskArn");
        let id = arn.rsplit('/').next().unwrap_or_default();
        let events =
            format!("-n ecs get events --field-selector involvedObject.name={id} -o jsonpath={{.items[*].message}}");
        self.case.until("the task to be told why it waits", || {
            let why = self.case.line(&events)?;
            ensure!(why.contains("1 Insufficient cpu"), "{why}");
            Ok(())
        })?;
        self.aws.ok(&format!("stop-task --cluster blue --task {arn}")).map(drop)
    }

    fn tells_what_is_wrong(&self) -> Result<()> {
        let member = |expression: &str| json!([{"type": "memberOf", "expression": expression}]);
        for (more, want) in [
            (
                json!({"placementConstraints": member("attribute:stack = prod")}),
                "an operator is expected, not \"=\" at position 16",
            ),
            (
                json!({"placementConstraints": [{"type": "distinctInstance", "expression": "x"}]}),
                "distinctInstance expression should not be specified",
            ),
            (
                json!({"placementConstraints": vec![json!({"type": "distinctInstance"}); 11]}),
                "cannot have more than 10",
            ),
            (
                json!({"placementStrategy": [{"type": "spread", "field": "cpu"}]}),
                "not valid for the placement strategy spread",
            ),
            (json!({"placementStrategy": vec![json!({"type": "random"}); 6]}), "cannot have more than 5"),
        ] {
            let mut input = json!({"cluster": "blue", "taskDefinition": "small"});
            more.as_object().into_iter().flatten().for_each(|(key, value)| input[key] = value.clone());
            let said = self.aws.fail(&format!("run-task --cli-input-json {input}"))?;
            ensure!(said.contains("InvalidParameterException") && said.contains(want), "{said}");
        }
        let said = self.aws.fail("list-container-instances --cluster blue --filter stack")?;
        ensure!(said.contains("unknown subject \"stack\" at position 0"), "{said}");
        let nobody = "name=a,value=b,targetId=00000000000000000000000000000000";
        let said = self.aws.fail(&format!("put-attributes --cluster blue --attributes {nobody}"))?;
        ensure!(said.contains("TargetNotFoundException"), "{said}");
        let reserved = format!("name=ecs.os-type,value=b,targetId={}", self.arns["hollow-0"]);
        let said = self.aws.fail(&format!("put-attributes --cluster blue --attributes {reserved}"))?;
        ensure!(said.contains("InvalidParameterException"), "{said}");
        Ok(())
    }
}
