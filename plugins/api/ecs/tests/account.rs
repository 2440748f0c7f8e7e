//! Operations beside tasks and services: account settings, settings of clusters, what only agents ask, and definitions that
//! are deleted.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

mod support;

use api_ecs::object::Definition;
use gantry_sdk::{Value, json};
use support::{Caller, container, prepared};

const ME: &str = "arn:aws:iam::000000000000:user/AKIATEST";
const ROOT: &str = "arn:aws:iam::000000000000:root";

fn settings(caller: &mut Caller, request: Value) -> Vec<(String, String, String)> {
    let listed = caller.ok("ListAccountSettings", request)["settings"].clone();
    let text = |of: &Value, key: &str| of[key].as_str().unwrap().to_owned();
    let one = |of: &Value| (text(of, "name"), text(of, "value"), text(of, "principalArn"));
    listed.as_array().unwrap().iter().map(one).collect()
}

#[test]
fn settings_are_kept_for_whom_they_are() {
    let mut caller = Caller::new();
    assert!(settings(&mut caller, json!({})).is_empty());
    let long = json!({"name": "taskLongArnFormat", "value": "enabled"});
    for _ in 0..2 {
        let put = caller.ok("PutAccountSetting", long.clone());
        let want = json!({"name": "taskLongArnFormat", "value": "enabled", "principalArn": ME, "type": "user"});
        assert_eq!(put["setting"], want);
    }
    let put = caller.ok("PutAccountSettingDefault", json!({"name": "containerInsights", "value": "disabled"}));
    assert_eq!(put["setting"]["principalArn"], ROOT);
    let entry = |name: &str, value: &str, who: &str| (name.to_owned(), value.to_owned(), who.to_owned());
    assert_eq!(settings(&mut caller, json!({})), [entry("taskLongArnFormat", "enabled", ME)]);
    let theirs = settings(&mut caller, json!({"principalArn": ROOT}));
    assert_eq!(theirs, [entry("containerInsights", "disabled", ROOT)]);
    let named = json!({"name": "containerInsights", "effectiveSettings": true});
    assert_eq!(settings(&mut caller, named), [entry("containerInsights", "disabled", ROOT)]);
    let managed = json!({"name": "guardDutyActivate", "value": "off", "effectiveSettings": true});
    let managed = caller.ok("ListAccountSettings", managed)["settings"].clone();
    assert_eq!(managed[0]["type"], "aws_managed");
    let pages = caller.ok("ListAccountSettings", json!({"effectiveSettings": true, "maxResults": 4}));
    assert!(pages["settings"].as_array().unwrap().len() == 4 && pages["nextToken"].is_string());
    let gone = caller.ok("DeleteAccountSetting", json!({"name": "taskLongArnFormat"}));
    assert_eq!(gone["setting"]["value"], "enabled");
    assert!(settings(&mut caller, json!({})).is_empty());
    caller.ok("DeleteAccountSetting", json!({"name": "taskLongArnFormat"}));
}

#[test]
fn a_setting_says_what_is_so_here_or_nothing() {
    let mut caller = Caller::new();
    for (change, want) in [
        (
            json!({"name": "taskLongArnFormat", "value": "disabled"}),
            "ClientException: The setting taskLongArnFormat can't be disabled",
        ),
        (json!({"name": "awsvpcTrunking", "value": "enabled"}), "ClientException: The setting awsvpcTrunking"),
        (json!({"name": "containerInsights", "value": "enhanced"}), "ClientException: The setting containerInsights"),
        (json!({"name": "fargateTaskRetirementWaitPeriod", "value": "7"}), "ClientException: The setting fargateTask"),
        (
            json!({"name": "taskLongArnFormat", "value": "on"}),
            "InvalidParameterException: The value \"on\" is not valid",
        ),
        (
            json!({"name": "guardDutyActivate", "value": "on"}),
            "InvalidParameterException: The setting guardDutyActivate is managed",
        ),
        (json!({"name": "nothing", "value": "on"}), "InvalidParameterException: 1 validation error detected"),
        (
            json!({"name": "taskLongArnFormat", "value": "enabled", "principalArn": "arn:aws:iam::1:root"}),
            "InvalidParameterException: Invalid principalArn",
        ),
        (
            json!({"name": "taskLongArnFormat", "value": "enabled", "principalArn": "arn:aws:iam::000000000000:user/"}),
            "InvalidParameterException: Invalid principalArn",
        ),
    ] {
        let said = caller.fault("PutAccountSetting", change.clone());
        assert!(said.starts_with(want), "{change}: {said}");
    }
    for (request, want) in [
        (json!({"value": "enabled"}), "InvalidParameterException: A setting's value can only be given with its name."),
        (json!({"maxResults": 11}), "InvalidParameterException: maxResults must be between 1 and 10."),
    ] {
        assert_eq!(caller.fault("ListAccountSettings", request), want);
    }
}

#[test]
fn what_a_cluster_may_be_set_to_it_is() {
    let mut caller = prepared();
    let off = json!([{"name": "containerInsights", "value": "disabled"}]);
    let updated = caller.ok("UpdateCluster", json!({"cluster": "default", "settings": off}))["cluster"].clone();
    assert_eq!((&updated["clusterName"], &updated["settings"]), (&json!("default"), &off));
    caller.ok("UpdateClusterSettings", json!({"cluster": "default", "settings": off}));
    let on = json!([{"name": "containerInsights", "value": "enabled"}]);
    let log = json!({"executeCommandConfiguration": {"logging": "DEFAULT"}});
    for (operation, request, want) in [
        (
            "UpdateClusterSettings",
            json!({"cluster": "default", "settings": on}),
            "ClientException: The setting containerInsights can only be disabled",
        ),
        (
            "UpdateCluster",
            json!({"cluster": "default", "configuration": log}),
            "ClientException: configuration is not supported",
        ),
        (
            "UpdateCluster",
            json!({"cluster": "default", "serviceConnectDefaults": {"namespace": "a b"}}),
            "InvalidParameterException: The Service Connect namespace \"a b\" is not a domain name",
        ),
        ("UpdateCluster", json!({"cluster": "none"}), "ClusterNotFoundException"),
        (
            "UpdateClusterSettings",
            json!({"cluster": "default"}),
            "InvalidParameterException: settings can not be blank.",
        ),
    ] {
        let said = caller.fault(operation, request);
        assert!(said.starts_with(want), "{operation}: {said}");
    }
}

#[test]
fn what_only_agents_do_is_denied() {
    let mut caller = prepared();
    for operation in
        ["RegisterContainerInstance", "DiscoverPollEndpoint", "SubmitTaskStateChange", "SubmitContainerStateChange"]
    {
        let said = caller.fault(operation, json!({}));
        assert!(
            said.starts_with(&format!(
                "AccessDeniedException: User: {ME} is not authorized to perform: ecs:{operation}"
            )),
            "{said}"
        );
    }
    let attachments = json!({"attachments": [{"attachmentArn": "a", "status": "ATTACHED"}]});
    assert!(caller.fault("SubmitAttachmentStateChanges", attachments).starts_with("AccessDeniedException"));
    let node = json!({"containerInstance": "012"});
    assert!(caller.fault("UpdateContainerAgent", node.clone()).starts_with("NoUpdateAvailableException"));
    assert!(
        caller
            .fault("DeregisterContainerInstance", node.clone())
            .starts_with("ClientException: The container instance can't be deregistered")
    );
    caller.ok("RunTask", json!({"taskDefinition": "web"}));
    let name = caller.host.all::<api_ecs::object::Task>().remove(0).metadata.name;
    caller.host.edit::<api_ecs::object::Task>("ecs", &name, |task| {
        task.status = json!({"node": "n1", "lastStatus": "RUNNING"})
    });
    let said = caller.fault("DeregisterContainerInstance", node);
    assert_eq!(said, "InvalidParameterException: Found running tasks on the instance.");
    let forced = caller.fault("DeregisterContainerInstance", json!({"containerInstance": "012", "force": true}));
    assert!(forced.starts_with("ClientException: The container instance can't be deregistered"));
    for operation in ["DeregisterContainerInstance", "UpdateContainerAgent"] {
        let said = caller.fault(operation, json!({"containerInstance": "999"}));
        assert_eq!(said, "InvalidParameterException: The referenced container instance was not found.");
    }
}

#[test]
fn a_definition_is_deregistered_before_it_is_deleted() {
    let mut caller = prepared();
    caller.ok("RegisterTaskDefinition", json!({"family": "web", "containerDefinitions": [container("a")]}));
    let arn = |n: u64| format!("arn:aws:ecs:us-east-1:000000000000:task-definition/web:{n}");
    let both = json!({"taskDefinitions": ["web:1", arn(7)]});
    let active = caller.ok("DeleteTaskDefinitions", both.clone());
    assert!(active["failures"][0]["reason"].as_str().unwrap().contains("still in ACTIVE status"), "{active}");
    assert_eq!(active["failures"][1], json!({"arn": arn(7), "reason": "MISSING"}));
    caller.ok("DeregisterTaskDefinition", json!({"taskDefinition": "web:1"}));
    for _ in 0..2 {
        let gone = caller.ok("DeleteTaskDefinitions", both.clone());
        assert_eq!(gone["taskDefinitions"][0]["status"], "DELETE_IN_PROGRESS");
        assert_eq!(gone["failures"].as_array().unwrap().len(), 1);
    }
    let stored = caller.host.get::<Definition>("ecs", "web.r1").unwrap();
    assert_eq!(stored.spec["deleteRequestedAt"], "2026-01-01T00:00:00Z");
    for (status, want) in [("ACTIVE", vec![arn(2)]), ("INACTIVE", vec![]), ("DELETE_IN_PROGRESS", vec![arn(1)])] {
        assert_eq!(
            caller.ok("ListTaskDefinitions", json!({"status": status}))["taskDefinitionArns"],
            json!(want),
            "{status}"
        );
    }
    assert_eq!(
        caller.ok("DescribeTaskDefinition", json!({"taskDefinition": "web:1"}))["taskDefinition"]["status"],
        "DELETE_IN_PROGRESS"
    );
    let again = caller.ok("DeregisterTaskDefinition", json!({"taskDefinition": "web:1"}));
    assert_eq!(again["taskDefinition"]["status"], "DELETE_IN_PROGRESS");
    assert_eq!(
        caller.fault("RunTask", json!({"taskDefinition": "web:1"})),
        "ClientException: TaskDefinition is inactive"
    );
    for (given, want) in [
        (json!([]), "InvalidParameterException: taskDefinitions must have between 1 and 10 elements."),
        (json!(vec!["web:1"; 11]), "InvalidParameterException: taskDefinitions must have between 1 and 10 elements."),
        (json!(["web"]), "ClientException: Task definition should be in the format family:revision"),
        (json!(["web:0"]), "ClientException: Invalid revision number"),
    ] {
        let said = caller.fault("DeleteTaskDefinitions", json!({"taskDefinitions": given}));
        assert!(said.starts_with(want), "{said}");
    }
}
