//! What containers of a task definition can have: what is taken and shown again, and what is refused, with which words.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

mod support;

use api_ecs::object::Task;
use gantry_sdk::{Value, json};
use support::{Caller, container, granted, with};

/// Registers containers, and more of the definition.
fn register(members: Value) -> Value {
    let mut input = json!({"family": "x", "containerDefinitions": [container("a")]});
    input.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    input
}

fn refused(caller: &mut Caller, table: &[(Value, &str)]) {
    for (members, want) in table {
        let said = caller.fault("RegisterTaskDefinition", register(members.clone()));
        assert!(said.starts_with(&format!("ClientException: {want}")), "{members}: {said}");
    }
}

fn one(members: Value) -> Value {
    json!({"containerDefinitions": [with(members)]})
}

#[test]
fn volumes_are_shown_again() {
    let mut caller = Caller::new();
    let point = json!({"sourceVolume": "data_1", "containerPath": "/data", "readOnly": true});
    let input = register(json!({
        "volumes": [{"name": "data_1"}, {"name": "logs", "host": {"sourcePath": "/var/log"}, "configuredAtLaunch": false}],
        "containerDefinitions": [
            with(json!({"mountPoints": [point]})),
            {"name": "b", "image": "i", "memory": 6, "volumesFrom": [{"sourceContainer": "a"}]},
        ],
    }));
    let made = caller.ok("RegisterTaskDefinition", input);
    let seen = caller.ok("DescribeTaskDefinition", json!({"taskDefinition": "x"}));
    for shown in [&made["taskDefinition"], &seen["taskDefinition"]] {
        let volumes = json!([{"name": "data_1", "host": {}}, {"name": "logs", "host": {"sourcePath": "/var/log"}}]);
        assert_eq!(shown["volumes"], volumes);
        assert_eq!(shown["containerDefinitions"][0]["mountPoints"], json!([point]));
        assert_eq!(shown["containerDefinitions"][1]["volumesFrom"], json!([{"sourceContainer": "a"}]));
    }
}

#[test]
fn volumes_that_can_not_be_are_refused() {
    let volumes = |volume: Value| json!({"volumes": [volume]});
    let point = |volume: &str, path: &str| {
        let point = json!({"sourceVolume": volume, "containerPath": path});
        json!({"volumes": [{"name": "v"}], "containerDefinitions": [with(json!({"mountPoints": [point]}))]})
    };
    let from = |name: &str| json!([{"sourceContainer": name}]);
    refused(
        &mut Caller::new(),
        &[
            (
                volumes(json!({"name": "v", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}})),
                "volumes[v].efsVolumeConfiguration is not supported: it needs a storage plugin for EFS",
            ),
            (
                volumes(json!({"name": "v", "dockerVolumeConfiguration": {"driver": "rexray"}})),
                "volumes[v].dockerVolumeConfiguration is not supported: it needs a storage plugin for volume drivers",
            ),
            (
                volumes(json!({"name": "v", "configuredAtLaunch": true})),
                "volumes[v].configuredAtLaunch is not supported: it needs a storage plugin for EBS",
            ),
            (volumes(json!({"name": "v", "host": {"sourcePath": ""}})), "host.sourcePath should not be blank."),
            (volumes(json!({"name": "v", "host": {"sourcePath": "a"}})), "Invalid value \"a\" for volumes[v].host"),
            (volumes(json!({"name": "v", "host": {"sourcePath": "/a/../b"}})), "Invalid value"),
            (point("w", "/a"), "Unknown volume 'w'."),
            (point("v", ""), "containerDefinitions[a].mountPoints.containerPath should not be null or empty."),
            (point("v", "a"), "Invalid value \"a\" for containerDefinitions[a].mountPoints.containerPath"),
            (
                json!({"volumes": [{"name": "v"}], "containerDefinitions": [with(json!({"mountPoints": [
                    {"sourceVolume": "v", "containerPath": "/a"}, {"sourceVolume": "v", "containerPath": "/a/"}]}))]}),
                "containerDefinitions[a].mountPoints: there are two at /a.",
            ),
            (one(json!({"volumesFrom": from("b")})), "containerDefinitions[a].volumesFrom: Unknown container 'b'."),
            (one(json!({"volumesFrom": from("a")})), "There is a cycle in the dependencies of the containers a."),
            (
                json!({"containerDefinitions": [with(json!({"volumesFrom": from("b")})), with(json!({"name": "b", "volumesFrom": from("a")}))]}),
                "There is a cycle in the dependencies of the containers a, b.",
            ),
        ],
    );
    let said = Caller::new().fault("RegisterTaskDefinition", register(volumes(json!({"name": "a b"}))));
    assert!(said.starts_with("InvalidParameterException"), "{said}");
}

#[test]
fn what_only_linux_has() {
    let linux = |members: Value| one(json!({"linuxParameters": members}));
    let mut caller = Caller::new();
    let given = json!({"capabilities": {"add": ["SYS_PTRACE"], "drop": ["ALL"]}, "sharedMemorySize": 64,
        "tmpfs": [{"containerPath": "/t", "size": 8, "mountOptions": ["rw"]}], "initProcessEnabled": false, "devices": []});
    let made = caller.ok("RegisterTaskDefinition", register(linux(given.clone())));
    assert_eq!(made["taskDefinition"]["containerDefinitions"][0]["linuxParameters"], given);
    let path = "containerDefinitions[a].linuxParameters.";
    let tmpfs = |tmpfs: Value| linux(json!({"tmpfs": [tmpfs]}));
    for (members, want) in [
        (linux(json!({"initProcessEnabled": true})), "initProcessEnabled is not supported"),
        (linux(json!({"devices": [{"hostPath": "/dev/x"}]})), "devices is not supported"),
        (linux(json!({"swappiness": 0})), "swappiness is not supported"),
        (linux(json!({"maxSwap": 0})), "maxSwap is not supported"),
        (linux(json!({"capabilities": {"add": ["FLY"]}})), "capabilities: Unknown capability \"FLY\"."),
        (tmpfs(json!({"containerPath": "/t", "size": 0})), "tmpfs.size: give at least 1."),
        (tmpfs(json!({"containerPath": "t", "size": 1})), "tmpfs.containerPath: give an absolute path"),
        (
            tmpfs(json!({"containerPath": "/t", "size": 1, "mountOptions": ["noexec"]})),
            "tmpfs.mountOptions noexec is not supported",
        ),
        (linux(json!({"sharedMemorySize": 0})), "sharedMemorySize: give at least 1."),
        (linux(json!({"sharedMemorySize": -1})), "sharedMemorySize: give one from 0"),
    ] {
        let said = caller.fault("RegisterTaskDefinition", register(members));
        assert!(said.starts_with("ClientException: ") && said.contains(&format!("{path}{want}")), "{said}");
    }
    let twice = linux(json!({"sharedMemorySize": 1, "tmpfs": [{"containerPath": "/dev/shm", "size": 1}]}));
    refused(&mut caller, &[(twice, "containerDefinitions[a].mountPoints: there are two at /dev/shm.")]);
}

#[test]
fn names_are_those_of_all_containers() {
    let mut caller = Caller::new();
    let names = json!({"hostname": "h", "dnsServers": ["192.0.2.1"], "dnsSearchDomains": ["example.com"],
        "extraHosts": [{"hostname": "db", "ipAddress": "192.0.2.2"}], "dockerLabels": {"com.example/a b": "c"},
        "interactive": true, "pseudoTerminal": true});
    let made = caller.ok("RegisterTaskDefinition", register(one(names.clone())));
    let shown = &made["taskDefinition"]["containerDefinitions"][0];
    assert!(names.as_object().unwrap().iter().all(|(name, value)| shown[name] == *value), "{shown}");
    let two = |first: Value, second: Value| {
        let mut second = second;
        second["name"] = json!("b");
        json!({"containerDefinitions": [with(first), with(second)]})
    };
    let host = |ip: &str| json!({"extraHosts": [{"hostname": "db", "ipAddress": ip}]});
    caller.ok("RegisterTaskDefinition", register(two(json!({"hostname": "h"}), json!({"hostname": "h"}))));
    let mode = |mode: &str, members: Value| json!({"networkMode": mode, "containerDefinitions": [with(members)]});
    refused(
        &mut caller,
        &[
            (
                two(json!({"hostname": "h"}), json!({"hostname": "i"})),
                "Containers of a task share one network here, and can't have different values of hostname.",
            ),
            (
                two(host("192.0.2.1"), host("192.0.2.2")),
                "Containers of a task share one network here, and extraHosts and links give db two addresses.",
            ),
            (mode("awsvpc", host("192.0.2.1")), "extraHosts is not supported on container when networkMode=awsvpc."),
            (mode("host", json!({"hostname": "h"})), "hostname is not supported on container when networkMode=host."),
            (one(json!({"hostname": "H_1"})), "Invalid value \"H_1\" for containerDefinitions[a].hostname"),
            (one(json!({"dnsServers": ["x"]})), "Invalid value \"x\" for containerDefinitions[a].dnsServers"),
            (one(json!({"dnsSearchDomains": ["a b"]})), "Invalid value \"a b\""),
            (one(host("db")), "Invalid value \"db\" for containerDefinitions[a].extraHosts.ipAddress"),
        ],
    );
}

#[test]
fn health_checks_are_completed() {
    let mut caller = Caller::new();
    let check = |check: Value| one(json!({"healthCheck": check}));
    let made =
        caller.ok("RegisterTaskDefinition", register(check(json!({"command": ["CMD-SHELL", "true"], "retries": 1}))));
    assert_eq!(
        made["taskDefinition"]["containerDefinitions"][0]["healthCheck"],
        json!({"command": ["CMD-SHELL", "true"], "interval": 30, "timeout": 5, "retries": 1})
    );
    let path = "containerDefinitions[a].healthCheck.";
    for (given, want) in [
        (json!({"command": []}), "command: give CMD and the words"),
        (json!({"command": ["CMD"]}), "command: give CMD and the words"),
        (json!({"command": ["/web", "x"]}), "command: give CMD and the words"),
        (json!({"command": ["CMD-SHELL", "a", "b"]}), "command: give CMD-SHELL and one text"),
        (json!({"command": ["CMD", "a"], "interval": 4}), "interval: give a number from 5 to 300"),
        (json!({"command": ["CMD", "a"], "timeout": 61}), "timeout: give a number from 2 to 60"),
        (json!({"command": ["CMD", "a"], "retries": 0}), "retries: give a number from 1 to 10"),
        (json!({"command": ["CMD", "a"], "startPeriod": 301}), "startPeriod: give a number from 0 to 300"),
    ] {
        refused(&mut caller, &[(check(given), &format!("Invalid value for {path}{want}"))]);
    }
}

#[test]
fn containers_have_an_order() {
    let mut caller = Caller::new();
    let two = |condition: &str, before: Value| {
        let first = with(json!({"dependsOn": [{"containerName": "b", "condition": condition}]}));
        let mut before = with(before);
        before["name"] = json!("b");
        json!({"containerDefinitions": [first, before]})
    };
    let check = json!({"healthCheck": {"command": ["CMD", "x"]}, "startTimeout": 10});
    let made = caller.ok("RegisterTaskDefinition", register(two("HEALTHY", check)));
    let shown = &made["taskDefinition"]["containerDefinitions"];
    assert_eq!(shown[0]["dependsOn"], json!([{"containerName": "b", "condition": "HEALTHY"}]));
    assert_eq!(shown[1]["startTimeout"], 10);
    caller.ok("RegisterTaskDefinition", register(two("SUCCESS", json!({"essential": false}))));
    let essential = "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container";
    let back = json!({"dependsOn": [{"containerName": "a", "condition": "START"}]});
    let unknown = json!({"dependsOn": [{"containerName": "z", "condition": "START"}]});
    let mut twice = two("START", json!({}));
    let also = twice["containerDefinitions"][0]["dependsOn"][0].clone();
    twice["containerDefinitions"][0]["dependsOn"].as_array_mut().unwrap().push(also);
    let many: Vec<Value> = (0..11).map(|n| with(json!({"name": format!("c{n}")}))).collect();
    refused(
        &mut caller,
        &[
            (two("COMPLETE", json!({})), essential),
            (two("SUCCESS", json!({})), essential),
            (two("HEALTHY", json!({})), "containerDefinitions[a].dependsOn: The container 'b' has no healthCheck"),
            (two("START", back), "There is a cycle in the dependencies of the containers a, b."),
            (one(unknown), "containerDefinitions[a].dependsOn: Unknown container 'z'."),
            (twice, "containerDefinitions[a].dependsOn: The container 'b' is named twice."),
            (json!({"containerDefinitions": many}), "A task definition can have 10 containers at most."),
        ],
    );
    let said = caller.fault("RegisterTaskDefinition", register(two("LATER", json!({}))));
    assert!(
        said.starts_with("InvalidParameterException") && said.contains("START, COMPLETE, SUCCESS, HEALTHY"),
        "{said}"
    );
}

#[test]
fn health_is_shown() {
    let mut caller = support::prepared();
    let arn = caller.ok("RunTask", json!({"taskDefinition": "web"}))["tasks"][0]["taskArn"].clone();
    let seen = caller.ok("DescribeTasks", json!({"tasks": [arn]}))["tasks"][0].clone();
    assert_eq!((&seen["healthStatus"], &seen["containers"][0]["healthStatus"]), (&json!("UNKNOWN"), &json!("UNKNOWN")));
    let id = arn.as_str().unwrap().rsplit('/').next().unwrap();
    caller.host.edit::<Task>("ecs", id, |task| {
        task.status = json!({"healthStatus": "UNHEALTHY", "containers": [{"name": "a", "healthStatus": "HEALTHY"}]});
    });
    let seen = caller.ok("DescribeTasks", json!({"tasks": [arn]}))["tasks"][0].clone();
    assert_eq!(
        (&seen["healthStatus"], &seen["containers"][0]["healthStatus"]),
        (&json!("UNHEALTHY"), &json!("HEALTHY"))
    );
}

#[test]
fn secrets_are_those_of_the_namespace() {
    let mut caller = Caller::new();
    let secrets = json!([{"name": "A", "valueFrom": "db:password"}]);
    let made = caller.ok("RegisterTaskDefinition", register(one(json!({"secrets": secrets}))));
    assert_eq!(made["taskDefinition"]["containerDefinitions"][0]["secrets"], secrets);
    let from = |from: &str| one(json!({"secrets": [{"name": "A", "valueFrom": from}]}));
    let twice = "The secret name must be unique and not shared with any new or existing environment variables set on the \
                 container, such as 'A'.";
    let path = "containerDefinitions[a].secrets[A].valueFrom";
    let manager = "arn:aws:secretsmanager:us-east-1:000000000000:secret:db-AbCdEf";
    let parameter = "arn:aws:ssm:us-east-1:000000000000:parameter/db";
    for (members, want) in [
        (one(json!({"secrets": secrets, "environment": [{"name": "A", "value": "b"}]})), twice.to_owned()),
        (
            from(manager),
            format!("{path} {manager} is not supported: it needs controller-ecs with an endpoint of AWS Secrets"),
        ),
        (
            from(parameter),
            format!("{path} {parameter} is not supported: it needs controller-ecs with an endpoint of AWS Sys"),
        ),
        (
            from("db"),
            format!("{path} db is not supported: it needs controller-ecs with an endpoint of AWS Systems Manager"),
        ),
        (from("arn:aws:s3:::a/b"), format!("Invalid value \"arn:aws:s3:::a/b\" for {path}")),
        (from("arn:aws:ssm:us-east-1:000000000000:document/a"), "Invalid value".to_owned()),
        (from("arn:aws:secretsmanager:r:1:secret:a:k:s:v:w"), "Invalid value".to_owned()),
        (from("DB:a"), format!("Invalid value \"DB:a\" for {path}")),
        (from("db:"), format!("Invalid value \"db:\" for {path}")),
    ] {
        refused(&mut caller, &[(members, &want)]);
    }
}

#[test]
fn ports_that_were_chosen_are_shown() {
    let mut caller = Caller::new();
    caller.ok("CreateCluster", json!({}));
    let ports = json!([{"containerPort": 80}, {"containerPort": 81, "hostPort": 81}]);
    let made = caller.ok("RegisterTaskDefinition", register(one(json!({"portMappings": ports}))));
    let shown = &made["taskDefinition"]["containerDefinitions"][0]["portMappings"];
    assert_eq!((&shown[0]["hostPort"], &shown[1]["hostPort"]), (&json!(0), &json!(81)));
    let arn = caller.ok("RunTask", json!({"taskDefinition": "x"}))["tasks"][0]["taskArn"].clone();
    let id = arn.as_str().unwrap().rsplit('/').next().unwrap();
    caller.host.edit::<Task>("ecs", id, |task| {
        task.status = json!({"lastStatus": "RUNNING", "containers": [{"name": "a", "lastStatus": "RUNNING"}],
            "ports": [{"container": "a", "containerPort": 80, "protocol": "tcp", "hostPort": 40000}]});
    });
    let seen = caller.ok("DescribeTasks", json!({"tasks": [arn]}))["tasks"][0].clone();
    let binding = |inside: u16, outside: u16| json!({"bindIP": "0.0.0.0", "containerPort": inside, "hostPort": outside, "protocol": "tcp"});
    assert_eq!(seen["containers"][0]["networkBindings"], json!([binding(80, 40000), binding(81, 81)]));
}

#[test]
fn what_aws_keeps_is_taken_where_it_may_be_asked() {
    let mut caller = Caller::new();
    let file = json!([{"type": "s3", "value": "arn:aws:s3:::bucket/a/b.env"}]);
    let want = "containerDefinitions[a].environmentFiles is not supported: it needs controller-ecs with an endpoint of Amazon S3";
    refused(&mut caller, &[(one(json!({"environmentFiles": file})), want)]);
    let at = "https://aws.example";
    granted(&caller, json!({"s3": at, "ssm": at, "secretsmanager": at}), &[at]);
    for wrong in ["arn:aws:s3:::bucket/a.txt", "arn:aws:s3:::b/a.env", "arn:aws:s3:::bucket/../a.env", "a.env"] {
        let files = json!([{"type": "s3", "value": wrong}]);
        let want = format!("Invalid value {wrong:?} for containerDefinitions[a].environmentFiles.value");
        refused(&mut caller, &[(one(json!({"environmentFiles": files})), &want)]);
    }
    let many: Vec<Value> = (0..11).map(|_| file[0].clone()).collect();
    let want = "containerDefinitions[a].environmentFiles cannot have more than 10 elements.";
    refused(&mut caller, &[(one(json!({"environmentFiles": many})), want)]);
    let manager = "arn:aws:secretsmanager:us-east-1:000000000000:secret:db-AbCdEf";
    let from = [
        manager.to_owned(),
        format!("{manager}:user::"),
        format!("{manager}:user:AWSPREVIOUS:1-2"),
        "/shop/db".to_owned(),
        "arn:aws:ssm:us-east-1:000000000000:parameter/shop/db".to_owned(),
        "db:password".to_owned(),
    ];
    let secrets: Vec<Value> =
        from.iter().enumerate().map(|(n, from)| json!({"name": format!("V{n}"), "valueFrom": from})).collect();
    let asked = one(json!({"environmentFiles": file, "secrets": secrets}));
    let made =
        caller.ok("RegisterTaskDefinition", register(asked))["taskDefinition"]["containerDefinitions"][0].clone();
    assert_eq!((&made["environmentFiles"], &made["secrets"]), (&file, &json!(secrets)));
}

#[test]
fn links_are_names_for_the_same_place() {
    let mut caller = Caller::new();
    let linked = |links: Value, more: Value| {
        let mut a = with(json!({"links": links}));
        a.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"containerDefinitions": [a, container("b")]})
    };
    let made = caller.ok("RegisterTaskDefinition", register(linked(json!(["b:db", "b"]), json!({}))));
    assert_eq!(made["taskDefinition"]["containerDefinitions"][0]["links"], json!(["b:db", "b"]));
    let mut own_network = linked(json!(["b"]), json!({}));
    own_network["networkMode"] = json!("awsvpc");
    let hosts = json!({"extraHosts": [{"hostname": "db", "ipAddress": "192.0.2.1"}]});
    let circle = json!({"containerDefinitions": [with(json!({"links": ["b"]})), {"name": "b", "image": "i", "memory": 64, "links": ["a"]}]});
    refused(
        &mut caller,
        &[
            (own_network, "Links are not supported when networkMode=awsvpc."),
            (linked(json!(["c"]), json!({})), "containerDefinitions[a].links: Unknown container 'c'."),
            (linked(json!(["b:D_B"]), json!({})), "Invalid value \"b:D_B\" for containerDefinitions[a].links"),
            (
                linked(json!(["b:db"]), hosts),
                "Containers of a task share one network here, and extraHosts and links give db",
            ),
            (circle, "There is a cycle in the dependencies of the containers a, b."),
        ],
    );
}

#[test]
fn limits_of_processes_are_taken() {
    let mut caller = Caller::new();
    let limit = |name: &str, soft: i64, hard: i64| json!({"name": name, "softLimit": soft, "hardLimit": hard});
    let limits = json!([limit("nofile", 1024, 4096), limit("core", 0, -1)]);
    let made = caller.ok("RegisterTaskDefinition", register(one(json!({"ulimits": limits}))));
    assert_eq!(made["taskDefinition"]["containerDefinitions"][0]["ulimits"], limits);
    let path = "containerDefinitions[a].ulimits";
    for (limits, want) in [
        (
            json!([limit("nofile", 2, 1)]),
            format!("Invalid value for {path}[nofile].softLimit: give one that is not above"),
        ),
        (
            json!([limit("nofile", -1, 1)]),
            format!("Invalid value for {path}[nofile].softLimit: give one that is not above"),
        ),
        (json!([limit("cpu", -2, 1)]), format!("Invalid value for {path}[cpu].softLimit: give one from 0")),
        (json!([limit("cpu", 1, 1), limit("cpu", 1, 1)]), format!("{path}: there are two of cpu.")),
    ] {
        refused(&mut caller, &[(one(json!({"ulimits": limits})), &want)]);
    }
    let said = caller.fault("RegisterTaskDefinition", register(one(json!({"ulimits": [limit("files", 1, 1)]}))));
    assert!(said.starts_with("InvalidParameterException") || said.starts_with("ClientException"), "{said}");
}
