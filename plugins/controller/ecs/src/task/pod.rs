//! The pod that a task is.

use gantry_sdk::api::Resource;
use gantry_sdk::{Value, json};

use crate::object::{ContainerDefinition, ContainerOverride, DefinitionSpec, Platform, PortMapping, Task};

/// Keeps a pod until the task has its exit codes.
pub const FINALIZER: &str = "ecs.gantry.dev/task";
/// Seconds to stop in when no container says how many; as the agent of ECS has it.
const STOP: u32 = 30;
/// CPU units of a CPU.
const UNITS: u64 = 1024;

/// The whole object.
pub fn pod(task: &Task, definition: &DefinitionSpec) -> Value {
    let containers: Vec<Value> =
        (0..).zip(&definition.container_definitions).map(|(i, c)| container(task, definition, i, c)).collect();
    let grace = definition.container_definitions.iter().filter_map(|c| c.stop_timeout).max().unwrap_or(STOP);
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": task.metadata.name,
            "namespace": task.metadata.namespace,
            "labels": {"ecs.gantry.dev/task": task.metadata.name},
            "annotations": {"ecs.gantry.dev/cluster": task.spec.cluster},
            "ownerReferences": [task.controller_reference()],
            "finalizers": [FINALIZER],
        },
        "spec": {
            "restartPolicy": "Never",
            "hostNetwork": definition.network_mode == "host",
            "terminationGracePeriodSeconds": grace,
            "nodeSelector": machines(&definition.runtime_platform),
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "containers": containers,
        },
    })
}

/// Labels of the nodes that it may go to.
fn machines(platform: &Platform) -> Value {
    let mut labels = json!({});
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

/// The name of a container in the pod: its own where that is a DNS label.
pub fn container_name(index: usize, name: &str) -> String {
    let label = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let fits = !name.is_empty() && name.len() <= 63 && name.bytes().all(label);
    match fits && !name.starts_with('-') && !name.ends_with('-') {
        true => name.to_owned(),
        // No label of ECS's has a dot, so none of its own names is meant.
        false => format!("container-{index}"),
    }
}

fn container(task: &Task, definition: &DefinitionSpec, index: usize, container: &ContainerDefinition) -> Value {
    let none = ContainerOverride::default();
    let overrides = &task.spec.overrides.container_overrides;
    let own = overrides.iter().find(|o| o.name == container.name).unwrap_or(&none);
    let mut object = json!({
        "name": container_name(index, &container.name),
        "image": container.image,
        "resources": resources(task, definition, index, own),
        "ports": ports(&definition.network_mode, &container.port_mappings),
        "env": environment(container, own),
        "securityContext": security(container),
    });
    set(&mut object, "command", container.entry_point.as_ref().map(|all| json!(all)));
    set(&mut object, "args", own.command.as_ref().or(container.command.as_ref()).map(|all| json!(all)));
    set(&mut object, "workingDir", container.working_directory.as_ref().map(|dir| json!(dir)));
    object
}

fn set(object: &mut Value, key: &str, value: Option<Value>) {
    if let (Some(map), Some(value)) = (object.as_object_mut(), value) {
        map.insert(key.to_owned(), value);
    }
}

/// `$(NAME)` means nothing to ECS and something to a pod.
fn environment(container: &ContainerDefinition, own: &ContainerOverride) -> Vec<Value> {
    let replaced = |name: &str| own.environment.iter().any(|pair| pair.name == name);
    let kept = container.environment.iter().filter(|pair| !replaced(&pair.name));
    kept.chain(&own.environment).map(|p| json!({"name": p.name, "value": p.value.replace("$(", "$$(")})).collect()
}

fn ports(mode: &str, mappings: &[PortMapping]) -> Vec<Value> {
    let port = |mapping: &PortMapping| {
        let protocol = mapping.protocol.as_deref().unwrap_or("tcp").to_ascii_uppercase();
        let mut port = json!({"containerPort": mapping.container_port, "protocol": protocol});
        let host = match mode {
            // The node's ports are its own ports.
            "host" => Some(mapping.container_port),
            "awsvpc" => None,
            _ => mapping.host_port.filter(|port| *port != 0),
        };
        set(&mut port, "hostPort", host.map(|host| json!(host)));
        port
    };
    mappings.iter().map(port).collect()
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
    let cpu = own.cpu.unwrap_or(container.cpu) + rest(task_cpu, all.iter().map(|c| c.cpu).sum());
    let limit = own.memory.or(container.memory).or(task_memory);
    let memory =
        own.memory_reservation.unwrap_or(reserved(container)) + rest(task_memory, all.iter().map(reserved).sum());
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
    set(&mut context, "runAsUser", user.map(|id| json!(id)));
    set(&mut context, "runAsGroup", group.map(|id| json!(id)));
    context
}
