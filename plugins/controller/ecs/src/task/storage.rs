//! What containers of a task mount: its volumes, those of one another, and file systems in memory.

use std::collections::HashSet;

use gantry_sdk::{Value, json};

use super::definition::{ContainerDefinition, DefinitionSpec, Volume};

/// Where shared memory is.
pub const SHARED_MEMORY: &str = "/dev/shm";

/// `spec.volumes` of the pod. Names are of places in the definition: ECS's can be what no name in a pod can.
pub fn volumes(definition: &DefinitionSpec) -> Vec<Value> {
    let own = definition.volumes.iter().enumerate().map(|(index, volume)| {
        let path = volume.host.source_path.as_deref().filter(|path| !path.is_empty());
        match path {
            Some(path) => json!({"name": own(index), "hostPath": {"path": path}}),
            None => json!({"name": own(index), "emptyDir": {}}),
        }
    });
    let memory = definition.container_definitions.iter().enumerate().flat_map(|(index, container)| {
        let linux = &container.linux_parameters;
        let shared = linux.shared_memory_size.map(|size| in_memory(shared_memory(index), size));
        let others = (0..).zip(&linux.tmpfs).map(move |(number, one)| in_memory(tmpfs(index, number), one.size));
        shared.into_iter().chain(others)
    });
    own.chain(memory).collect()
}

fn in_memory(name: String, mebibytes: u64) -> Value {
    json!({"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": format!("{mebibytes}Mi")}})
}

fn own(index: usize) -> String {
    format!("volume-{index}")
}

fn shared_memory(container: usize) -> String {
    format!("shm-{container}")
}

fn tmpfs(container: usize, number: usize) -> String {
    format!("tmpfs-{container}-{number}")
}

struct Mount {
    volume: String,
    path: String,
    read_only: bool,
}

/// `volumeMounts` of a container. Where two are at one path, the container's own goes before what it has of others.
pub fn mounts(definition: &DefinitionSpec, index: usize) -> Vec<Value> {
    let Some(container) = definition.container_definitions.get(index) else { return Vec::new() };
    let mut all = private(index, container);
    let mut seen = HashSet::new();
    shared(definition, container, false, &mut seen, &mut all);
    let mut paths = HashSet::new();
    all.retain(|mount| paths.insert(mount.path.trim_end_matches('/').to_owned()));
    let shown = |m: &Mount| json!({"name": m.volume, "mountPath": m.path, "readOnly": m.read_only});
    all.iter().map(shown).collect()
}

/// What no other container has.
fn private(index: usize, container: &ContainerDefinition) -> Vec<Mount> {
    let linux = &container.linux_parameters;
    let memory = linux.shared_memory_size.map(|_| Mount {
        volume: shared_memory(index),
        path: SHARED_MEMORY.to_owned(),
        read_only: false,
    });
    let others = (0..).zip(&linux.tmpfs).map(|(number, one)| Mount {
        volume: tmpfs(index, number),
        path: one.container_path.clone(),
        read_only: one.mount_options.iter().any(|option| option == "ro"),
    });
    memory.into_iter().chain(others).collect()
}

/// Volumes of the task, and those that other containers have of it. A container that was seen has given all it has.
fn shared<'a>(
    definition: &'a DefinitionSpec,
    container: &'a ContainerDefinition,
    read_only: bool,
    seen: &mut HashSet<&'a str>,
    into: &mut Vec<Mount>,
) {
    if !seen.insert(&container.name) {
        return;
    }
    let place = |name: &str| definition.volumes.iter().position(|volume: &Volume| volume.name == name);
    into.extend(container.mount_points.iter().filter_map(|point| {
        let volume = own(place(&point.source_volume)?);
        let read_only = read_only || point.read_only == Some(true);
        Some(Mount { volume, path: point.container_path.clone(), read_only })
    }));
    for from in &container.volumes_from {
        let source = definition.container_definitions.iter().find(|other| other.name == from.source_container);
        if let Some(source) = source {
            shared(definition, source, read_only || from.read_only == Some(true), seen, into);
        }
    }
}

#[cfg(test)]
mod tests {
    use gantry_sdk::serde_json::from_value;

    use super::*;

    fn definition() -> DefinitionSpec {
        from_value(json!({
            "volumes": [{"name": "Data_1"}, {"name": "logs", "host": {"sourcePath": "/var/log"}}, {"name": "e", "host": {}}],
            "containerDefinitions": [
                {"name": "a", "mountPoints": [{"sourceVolume": "Data_1", "containerPath": "/data"}],
                    "linuxParameters": {"sharedMemorySize": 128, "tmpfs": [{"containerPath": "/t", "size": 1, "mountOptions": ["ro"]}]}},
                {"name": "b", "volumesFrom": [{"sourceContainer": "a", "readOnly": true}],
                    "mountPoints": [{"sourceVolume": "logs", "containerPath": "/logs", "readOnly": true}]},
                {"name": "c", "volumesFrom": [{"sourceContainer": "b"}], "mountPoints": [{"sourceVolume": "e", "containerPath": "/data/"}]},
            ],
        }))
        .unwrap()
    }

    #[test]
    fn volumes_are_folders_of_the_node_or_of_the_task() {
        assert_eq!(
            json!(volumes(&definition())),
            json!([
                {"name": "volume-0", "emptyDir": {}},
                {"name": "volume-1", "hostPath": {"path": "/var/log"}},
                {"name": "volume-2", "emptyDir": {}},
                {"name": "shm-0", "emptyDir": {"medium": "Memory", "sizeLimit": "128Mi"}},
                {"name": "tmpfs-0-0", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            ])
        );
    }

    #[test]
    fn containers_have_their_own_volumes_and_those_of_others() {
        let mount = |name: &str, path: &str, fixed: bool| json!({"name": name, "mountPath": path, "readOnly": fixed});
        let definition = definition();
        for (index, want) in [
            (
                0,
                json!([
                    mount("shm-0", "/dev/shm", false),
                    mount("tmpfs-0-0", "/t", true),
                    mount("volume-0", "/data", false)
                ]),
            ),
            (1, json!([mount("volume-1", "/logs", true), mount("volume-0", "/data", true)])),
            // What it has of its own at a path is not another's.
            (2, json!([mount("volume-2", "/data/", false), mount("volume-1", "/logs", true)])),
        ] {
            assert_eq!(json!(mounts(&definition, index)), want, "{index}");
        }
    }
}
