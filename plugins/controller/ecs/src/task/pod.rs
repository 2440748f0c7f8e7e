//! The pod that a task is.

use std::collections::BTreeMap;

use std::net::SocketAddrV4;

use ecs_common::capacity::GROUP;
use ecs_common::containers::name_in_pod;
use ecs_common::metadata;
use ecs_common::placement::{ANNOTATION, Placement, SCHEDULER};
use gantry_sdk::api::Resource;
use gantry_sdk::{Value, json};

use super::definition::{Capabilities, ContainerDefinition, DefinitionSpec, Platform, PortMapping, Secret, Ulimit};
use super::elsewhere::Source;
use super::{elsewhere, health, naming, order, ports, storage};
use crate::object::{ChosenPort, ContainerOverride, Task};

/// Keeps a pod until the task has its exit codes.
pub const FINALIZER: &str = "ecs.gantry.dev/task";
/// `dockerLabels` of each container, in JSON: a pod's own labels are not any text, and not of one container.
const LABELS: &str = "ecs.gantry.dev/docker-labels";
/// The variable that says where a container asks about its task.
const METADATA: &str = "ECS_CONTAINER_METADATA_URI_V4";
/// The node's word for limits of processes, by container.
const ULIMITS: &str = "gantry.dev/ulimits";
/// Seconds to stop in when no container says how many; as the agent of ECS has it.
const STOP: u32 = 30;
/// CPU units of a CPU.
const UNITS: u64 = 1024;

/// The whole object. `asked` is where its containers ask about it.
pub fn pod(task: &Task, definition: &DefinitionSpec, asked: Option<SocketAddrV4>) -> Value {
    // Pods on the node's own network can't be told apart there.
    let asked = asked.filter(|_| definition.network_mode != "host");
    let containers: Vec<Value> =
        (0..).zip(&definition.container_definitions).map(|(i, c)| container(task, definition, i, c, asked)).collect();
    let grace = definition.container_definitions.iter().filter_map(|c| c.stop_timeout).max().unwrap_or(STOP);
    let mut spec = json!({
        "restartPolicy": "Never",
        "schedulerName": SCHEDULER,
        "hostNetwork": definition.network_mode == "host",
        "terminationGracePeriodSeconds": grace,
        "nodeSelector": machines(&definition.runtime_platform, &task.spec.auto_scaling_group),
        "affinity": only(&task.spec.node),
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "containers": containers,
        "volumes": storage::volumes(definition),
    });
    naming::add(definition, &mut spec);
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": task.metadata.name,
            "namespace": task.metadata.namespace,
            // No label that only this task has: pods that are alike in labels are placed as one class.
            "annotations": annotations(task, definition),
            "ownerReferences": [task.controller_reference()],
            "finalizers": [FINALIZER],
        },
        "spec": spec,
    })
}

fn annotations(task: &Task, definition: &DefinitionSpec) -> Value {
    let mut all = json!({"ecs.gantry.dev/cluster": task.spec.cluster, ANNOTATION: placement(task).to_string()});
    let labelled = definition.container_definitions.iter().filter(|c| !c.docker_labels.is_empty());
    let labels: BTreeMap<&str, &BTreeMap<String, String>> =
        labelled.map(|c| (c.name.as_str(), &c.docker_labels)).collect();
    set(&mut all, order::ANNOTATION, order::annotation(definition).map(|order| json!(order)));
    set(&mut all, ULIMITS, ulimits(definition).map(|limits| json!(limits.to_string())));
    set(&mut all, LABELS, (!labels.is_empty()).then(|| json!(json!(labels).to_string())));
    all
}

/// What processes of containers may have; none when nobody says.
fn ulimits(definition: &DefinitionSpec) -> Option<Value> {
    let named = definition.container_definitions.iter().enumerate().filter(|(_, c)| !c.ulimits.is_empty());
    let limits = |container: &ContainerDefinition| -> BTreeMap<String, Value> {
        let one = |limit: &Ulimit| (limit.name.clone(), json!({"soft": limit.soft_limit, "hard": limit.hard_limit}));
        container.ulimits.iter().map(one).collect()
    };
    let all: BTreeMap<String, _> =
        named.map(|(index, container)| (name_in_pod(index, &container.name), limits(container))).collect();
    (!all.is_empty()).then(|| json!(all))
}

/// A node by its name, of a daemon or named by who started the task. Its scheduler still looks whether there is room.
fn only(node: &str) -> Value {
    if node.is_empty() {
        return json!({});
    }
    let here = json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]});
    json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [here]}}})
}

/// What it wants of its place.
fn placement(task: &Task) -> Value {
    let placement = Placement {
        cluster: task.spec.cluster.clone(),
        group: task.spec.group.clone(),
        constraints: task.spec.placement_constraints.clone(),
        strategy: task.spec.placement_strategy.clone(),
    };
    json!(placement)
}

/// Labels of the nodes that it may go to.
fn machines(platform: &Platform, group: &str) -> Value {
    let mut labels = json!({});
    set(&mut labels, GROUP, (!group.is_empty()).then(|| json!(group)));
    let architecture = match platform.cpu_architecture.as_str() {
        "X86_64" => Some("amd64"),
        "ARM64" => Some("arm64"),
        _ => None,
    };
    set(&mut labels, "kubernetes.io/arch", architecture.map(|arch| json!(arch)));
    let system = match platform.operating_system_family.as_str() {
        "" => None,
        "LINUX" => Some("linux"),
        _ => Some("windows"),
    };
    set(&mut labels, "kubernetes.io/os", system.map(|system| json!(system)));
    labels
}

fn container(
    task: &Task,
    definition: &DefinitionSpec,
    index: usize,
    container: &ContainerDefinition,
    asked: Option<SocketAddrV4>,
) -> Value {
    let none = ContainerOverride::default();
    let overrides = &task.spec.overrides.container_overrides;
    let own = overrides.iter().find(|o| o.name == container.name).unwrap_or(&none);
    let mut object = json!({
        "name": name_in_pod(index, &container.name),
        "image": container.image,
        "resources": resources(task, definition, index, own),
        "ports": ports(&definition.network_mode, container, &task.status.ports),
        "env": environment(task, index, container, own, asked),
        "securityContext": security(container),
        "volumeMounts": storage::mounts(definition, index),
        "tty": container.pseudo_terminal.unwrap_or(false),
        "stdin": container.interactive.unwrap_or(false),
    });
    set(&mut object, "readinessProbe", container.health_check.as_ref().map(health::probe));
    let files = json!([{"secretRef": {"name": elsewhere::files(&task.metadata.name, index)}}]);
    set(&mut object, "envFrom", (!container.environment_files.is_empty()).then_some(files));
    set(&mut object, "command", container.entry_point.as_ref().map(|all| json!(all)));
    set(&mut object, "args", own.command.as_ref().or(container.command.as_ref()).map(|all| json!(all)));
    set(&mut object, "workingDir", container.working_directory.as_ref().map(|dir| json!(dir)));
    object
}

/// Sets a member that there is.
pub(super) fn set(object: &mut Value, key: &str, value: Option<Value>) {
    if let (Some(map), Some(value)) = (object.as_object_mut(), value) {
        map.insert(key.to_owned(), value);
    }
}

/// `$(NAME)` means nothing to ECS and something to a pod.
fn environment(
    task: &Task,
    index: usize,
    container: &ContainerDefinition,
    own: &ContainerOverride,
    asked: Option<SocketAddrV4>,
) -> Vec<Value> {
    let name = &task.metadata.name;
    let taken = |variable: &str| asked.is_some() && variable == METADATA;
    let replaced = |variable: &str| own.environment.iter().any(|pair| pair.name == variable) || taken(variable);
    let kept = container.environment.iter().filter(|pair| !replaced(&pair.name));
    let own = own.environment.iter().filter(|pair| !taken(&pair.name));
    let given = kept.chain(own).map(|p| json!({"name": p.name, "value": p.value.replace("$(", "$$(")}));
    let secrets = container.secrets.iter().enumerate().filter(|(_, secret)| !replaced(&secret.name));
    let secrets = secrets.map(|(at, of)| secret(name, index, at, of));
    let ours = asked.map(|asked| json!({"name": METADATA, "value": uri(asked, name, index)}));
    secrets.chain(given).chain(ours).collect()
}

/// Where a container asks about its task.
fn uri(asked: SocketAddrV4, task: &str, index: usize) -> String {
    let id = metadata::id(task, index);
    match asked.port() {
        80 => format!("http://{}/v4/{id}", asked.ip()),
        _ => format!("http://{asked}/v4/{id}"),
    }
}

/// A variable whose value a Secret has.
fn secret(task: &str, container: usize, at: usize, secret: &Secret) -> Value {
    let (name, key) = match Source::of(&secret.value_from) {
        Source::Kept(name, key) => (name, key),
        _ => (elsewhere::secrets(task), elsewhere::key(container, at)),
    };
    json!({"name": secret.name, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}})
}

fn ports(mode: &str, container: &ContainerDefinition, chosen: &[ChosenPort]) -> Vec<Value> {
    let port = |(at, mapping): (usize, &PortMapping)| {
        let protocol = mapping.protocol().to_ascii_uppercase();
        let mut port = json!({"containerPort": mapping.container_port, "protocol": protocol});
        let host = match mode {
            // The node's ports are its own ports.
            "host" => Some(mapping.container_port),
            "awsvpc" => None,
            _ => mapping
                .host_port
                .filter(|port| *port != 0)
                .or_else(|| ports::of(chosen, &container.name, &container.port_mappings, at)),
        };
        set(&mut port, "hostPort", host.map(|host| json!(host)));
        port
    };
    container.port_mappings.iter().enumerate().map(port).collect()
}

/// CPU units of a container are a share, memory is a limit and memoryReservation what must be there. What the task has
/// beyond its containers is the first one's to ask for, and bounds all of them.
fn resources(task: &Task, definition: &DefinitionSpec, index: usize, own: &ContainerOverride) -> Value {
    let number = |text: &Option<String>| text.as_deref().and_then(|text| text.trim().parse::<u64>().ok());
    let task_cpu = number(&task.spec.overrides.cpu).or(number(&definition.cpu));
    let task_memory = number(&task.spec.overrides.memory).or(number(&definition.memory));
    let all = &definition.container_definitions;
    let Some(container) = all.get(index) else { return json!({}) };
    let reserved = |c: &ContainerDefinition| c.memory_reservation.or(c.memory).unwrap_or(0);
    let rest = |whole: Option<u64>, parts: u64| match index {
        0 => whole.unwrap_or(0).saturating_sub(parts),
        _ => 0,
    };
    let sum = |of: &dyn Fn(&ContainerDefinition) -> u64| all.iter().map(of).fold(0, u64::saturating_add);
    let cpu = own.cpu.unwrap_or(container.cpu).saturating_add(rest(task_cpu, sum(&|c| c.cpu)));
    let limit = own.memory.or(container.memory).or(task_memory);
    let memory = own.memory_reservation.unwrap_or(reserved(container));
    let memory = memory.saturating_add(rest(task_memory, sum(&reserved)));
    let mut requests = json!({});
    set(&mut requests, "cpu", (cpu > 0).then(|| json!(format!("{}m", millis(cpu)))));
    let memory = limit.map_or(memory, |limit| memory.min(limit));
    set(&mut requests, "memory", (memory > 0).then(|| json!(format!("{memory}Mi"))));
    let mut limits = json!({});
    set(&mut limits, "cpu", task_cpu.map(|cpu| json!(format!("{}m", millis(cpu)))));
    set(&mut limits, "memory", limit.map(|limit| json!(format!("{limit}Mi"))));
    json!({"requests": requests, "limits": limits})
}

fn millis(units: u64) -> u64 {
    (units.saturating_mul(1000)).div_ceil(UNITS)
}

fn security(container: &ContainerDefinition) -> Value {
    let mut context = json!({});
    set(&mut context, "privileged", container.privileged.map(|yes| json!(yes)));
    set(&mut context, "readOnlyRootFilesystem", container.readonly_root_filesystem.map(|yes| json!(yes)));
    let (user, group) = container.user.as_deref().map_or((None, None), |user| match user.split_once(':') {
        Some((user, group)) => (user.parse::<i64>().ok(), group.parse::<i64>().ok()),
        None => (user.parse::<i64>().ok(), None),
    });
    let Capabilities { add, drop } = &container.linux_parameters.capabilities;
    let some = !add.is_empty() || !drop.is_empty();
    set(&mut context, "capabilities", some.then(|| json!({"add": add, "drop": drop})));
    set(&mut context, "runAsUser", user.map(|id| json!(id)));
    set(&mut context, "runAsGroup", group.map(|id| json!(id)));
    context
}

#[cfg(test)]
mod tests {
    use gantry_sdk::serde_json::from_value;

    use super::*;

    fn made(definition: Value) -> Value {
        let definition: DefinitionSpec = from_value(definition).unwrap();
        pod(&Task::default(), &definition, None)
    }

    fn one(members: Value) -> Value {
        let mut container = json!({"name": "a", "image": "i"});
        container.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        made(json!({"containerDefinitions": [container]}))["spec"]["containers"][0].clone()
    }

    #[test]
    fn ports_of_the_node_depend_on_the_network_mode() {
        for (mode, given, want, network) in [
            ("", json!(8080), json!(8080), false),
            ("bridge", json!(8080), json!(8080), false),
            ("bridge", json!(0), Value::Null, false),
            ("bridge", Value::Null, Value::Null, false),
            ("awsvpc", json!(80), Value::Null, false),
            ("host", Value::Null, json!(80), true),
        ] {
            let port = json!({"containerPort": 80, "hostPort": given, "protocol": "udp"});
            let containers = json!([{"name": "a", "image": "i", "portMappings": [port]}]);
            let pod = made(json!({"networkMode": mode, "containerDefinitions": containers}));
            let port = &pod["spec"]["containers"][0]["ports"][0];
            assert_eq!((&port["hostPort"], &port["protocol"]), (&want, &json!("UDP")), "{mode:?} {given}");
            assert_eq!(pod["spec"]["hostNetwork"], network, "{mode:?}");
        }
        assert_eq!(one(json!({"portMappings": [{"containerPort": 53}]}))["ports"][0]["protocol"], "TCP");
    }

    #[test]
    fn users_and_rights() {
        for (given, want) in [
            (json!({}), json!({})),
            (json!({"user": "7"}), json!({"runAsUser": 7})),
            (json!({"user": "7:8"}), json!({"runAsUser": 7, "runAsGroup": 8})),
            (json!({"privileged": true}), json!({"privileged": true})),
            (
                json!({"linuxParameters": {"capabilities": {"add": ["SYS_PTRACE"], "drop": ["KILL"]}}}),
                json!({"capabilities": {"add": ["SYS_PTRACE"], "drop": ["KILL"]}}),
            ),
            (
                json!({"privileged": false, "readonlyRootFilesystem": true}),
                json!({"privileged": false, "readOnlyRootFilesystem": true}),
            ),
        ] {
            assert_eq!(one(given.clone())["securityContext"], want, "{given}");
        }
    }

    #[test]
    fn where_and_with_what_a_container_begins() {
        let container = one(json!({"workingDirectory": "/srv", "entryPoint": ["/e"], "command": ["c"]}));
        assert_eq!(
            (&container["workingDir"], &container["command"], &container["args"]),
            (&json!("/srv"), &json!(["/e"]), &json!(["c"]))
        );
        let container = one(json!({}));
        assert!(["workingDir", "command", "args"].iter().all(|key| container.get(key).is_none()), "the image's own");
    }

    #[test]
    fn containers_are_told_where_to_ask_about_their_task() {
        let own = json!([{"name": METADATA, "value": "mine"}, {"name": "A", "value": "a"}]);
        let containers = json!([{"name": "a", "image": "i"}, {"name": "B_1", "image": "i", "environment": own}]);
        let mut task = Task::default();
        task.metadata.name = "0123".to_owned();
        for (mode, asked, want) in [
            ("bridge", Some("169.254.170.2:80"), Some("http://169.254.170.2/v4/0123")),
            ("awsvpc", Some("169.254.1.1:8080"), Some("http://169.254.1.1:8080/v4/0123")),
            ("host", Some("169.254.170.2:80"), None),
            ("bridge", None, None),
        ] {
            let definition = json!({"networkMode": mode, "containerDefinitions": containers});
            let asked = asked.map(|asked| asked.parse().unwrap());
            let pod = pod(&task, &from_value(definition).unwrap(), asked);
            for (index, container) in (0..).zip(pod["spec"]["containers"].as_array().unwrap()) {
                let all = container["env"].as_array().unwrap().iter().filter(|pair| pair["name"] == METADATA);
                let values: Vec<&str> = all.map(|pair| pair["value"].as_str().unwrap()).collect();
                let want = want.map(|uri| format!("{uri}-{index}")).or((index == 1).then(|| "mine".to_owned()));
                assert_eq!(values, want.iter().map(String::as_str).collect::<Vec<_>>(), "{mode} {asked:?} {index}");
            }
        }
    }

    #[test]
    fn secrets_are_variables_that_overrides_replace() {
        let secrets = json!([{"name": "A", "valueFrom": "db:password"}, {"name": "B", "valueFrom": "db:user"}]);
        let definition = json!({"containerDefinitions": [{"name": "a", "image": "i", "secrets": secrets, "environment": [{"name": "C", "value": "c"}]}]});
        let mut task = Task::default();
        task.spec.overrides =
            from_value(json!({"containerOverrides": [{"name": "a", "environment": [{"name": "B", "value": "b"}]}]}))
                .unwrap();
        let pod = pod(&task, &from_value(definition).unwrap(), None);
        let want = json!([
            {"name": "A", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
            {"name": "C", "value": "c"}, {"name": "B", "value": "b"},
        ]);
        assert_eq!(pod["spec"]["containers"][0]["env"], want);
    }

    #[test]
    fn what_a_task_has_beyond_its_containers_is_the_first_ones() {
        let containers = json!([
            {"name": "a", "image": "i", "cpu": 256, "memory": 100},
            {"name": "b", "image": "i", "memoryReservation": 50},
        ]);
        let pod = made(json!({"cpu": "1024", "memory": "512", "containerDefinitions": containers}));
        let resources = |index: usize| pod["spec"]["containers"][index]["resources"].clone();
        assert_eq!(
            resources(0),
            json!({"requests": {"cpu": "1000m", "memory": "100Mi"}, "limits": {"cpu": "1000m", "memory": "100Mi"}})
        );
        assert_eq!(
            resources(1),
            json!({"requests": {"memory": "50Mi"}, "limits": {"cpu": "1000m", "memory": "512Mi"}})
        );
    }

    #[test]
    fn platforms_pick_nodes_by_their_labels() {
        for (platform, want) in [
            (json!({}), json!({})),
            (
                json!({"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"}),
                json!({"kubernetes.io/arch": "arm64", "kubernetes.io/os": "linux"}),
            ),
            (json!({"cpuArchitecture": "X86_64"}), json!({"kubernetes.io/arch": "amd64"})),
            (json!({"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}), json!({"kubernetes.io/os": "windows"})),
        ] {
            let pod = made(json!({"runtimePlatform": platform, "containerDefinitions": [{"name": "a", "image": "i"}]}));
            assert_eq!(pod["spec"]["nodeSelector"], want);
        }
    }

    #[test]
    fn the_longest_wait_of_its_containers_is_the_pods() {
        let grace = |containers: Value| {
            made(json!({"containerDefinitions": containers}))["spec"]["terminationGracePeriodSeconds"].clone()
        };
        assert_eq!(grace(json!([{"stopTimeout": 5}, {"stopTimeout": 9}, {}])), 9);
        assert_eq!(grace(json!([{}])), 30);
    }

    #[test]
    fn limits_of_processes_are_told_to_the_node() {
        let limit = |name: &str, soft: i64, hard: i64| json!({"name": name, "softLimit": soft, "hardLimit": hard});
        let limits = json!([limit("nofile", 1024, 4096), limit("core", 0, -1)]);
        let pod = made(json!({"containerDefinitions": [{"name": "a"}, {"name": "B_1", "ulimits": limits}]}));
        let said = pod["metadata"]["annotations"]["gantry.dev/ulimits"].as_str().unwrap();
        let want = r#"{"container-1":{"core":{"hard":-1,"soft":0},"nofile":{"hard":4096,"soft":1024}}}"#;
        assert_eq!(said, want);
    }
}
