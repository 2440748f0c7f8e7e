//! Ports of the node for containers that do not say which: `hostPort` 0, or none, under `bridge`. Each task has others than
//! all others, wherever they are, so that any node can take it.

use std::collections::HashSet;

use ecs_common::ids::digest;
use gantry_sdk::Result;
use gantry_sdk::objects::{self, Query};

use super::definition::{DefinitionSpec, PortMapping};
use crate::object::{ChosenPort, Task};

/// Where Linux, and so ECS, has them by default.
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_PortMapping.html>
const FIRST: u16 = 32768;
const LAST: u16 = 60999;

/// A task's ports; none when it needs none, or has chosen them before.
pub fn choose(task: &Task, definition: &DefinitionSpec) -> Result<Option<Vec<ChosenPort>>> {
    let wanted = wanted(definition);
    if wanted.is_empty() || !task.status.ports.is_empty() {
        return Ok(None);
    }
    let rows: Vec<(Option<String>, Option<Vec<ChosenPort>>)> =
        objects::rows(&Query::of::<Task>(), ["/status/lastStatus", "/status/ports"])?;
    let live = rows.into_iter().filter(|(last, _)| last.as_deref() != Some("STOPPED"));
    let taken = live.filter_map(|(_, ports)| ports).flatten().map(|port| port.host_port).collect();
    Ok(Some(free(&task.metadata.name, wanted, taken)))
}

/// What asks for one, in the definition's order.
fn wanted(definition: &DefinitionSpec) -> Vec<ChosenPort> {
    if !matches!(definition.network_mode.as_str(), "" | "bridge") {
        return Vec::new();
    }
    let of = definition.container_definitions.iter().flat_map(|container| {
        let open = container.port_mappings.iter().filter(|mapping| is_open(mapping));
        open.map(|mapping| ChosenPort {
            container: container.name.clone(),
            container_port: mapping.container_port,
            protocol: mapping.protocol().to_owned(),
            host_port: 0,
        })
    });
    of.collect()
}

/// The first ones that nobody has, from where the task's id says, so that two tasks that choose at once seldom meet. A node
/// takes only one of those that do.
fn free(id: &str, mut wanted: Vec<ChosenPort>, mut taken: HashSet<u16>) -> Vec<ChosenPort> {
    let count = u32::from(LAST - FIRST) + 1;
    let start = u32::from_str_radix(&digest(id, 8), 16).unwrap_or_default() % count;
    let mut all = (0..count).filter_map(|step| u16::try_from(u32::from(FIRST) + (start + step) % count).ok());
    for port in &mut wanted {
        // Where all are taken it is one that somebody has: the task waits for it.
        port.host_port = all.find(|number| taken.insert(*number)).unwrap_or(FIRST);
    }
    wanted
}

/// What was chosen for one of a container's mappings. Several may be for the same port: each has its own.
pub fn of(chosen: &[ChosenPort], container: &str, mappings: &[PortMapping], at: usize) -> Option<u16> {
    let mapping = mappings.get(at)?;
    let alike = |other: &&PortMapping| {
        is_open(other) && other.container_port == mapping.container_port && other.protocol() == mapping.protocol()
    };
    let same = |port: &&ChosenPort| {
        port.container == container
            && port.container_port == mapping.container_port
            && port.protocol == mapping.protocol()
    };
    let before = mappings.iter().take(at).filter(alike).count();
    chosen.iter().filter(same).nth(before).map(|port| port.host_port)
}

fn is_open(mapping: &PortMapping) -> bool {
    mapping.host_port.unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use gantry_sdk::json;
    use gantry_sdk::serde_json::from_value;

    use super::*;

    #[test]
    fn only_bridged_ports_without_a_number_are_chosen() {
        for (mode, want) in [("", 2), ("bridge", 2), ("awsvpc", 0), ("host", 0)] {
            let ports = json!([{"containerPort": 80}, {"containerPort": 53, "hostPort": 0, "protocol": "udp"}, {"containerPort": 1, "hostPort": 1}]);
            let definition =
                json!({"networkMode": mode, "containerDefinitions": [{"name": "a", "portMappings": ports}]});
            assert_eq!(wanted(&from_value(definition).unwrap()).len(), want, "{mode}");
        }
    }

    #[test]
    fn each_mapping_of_one_port_has_its_own() {
        let ports = json!([{"containerPort": 80}, {"containerPort": 80, "hostPort": 7}, {"containerPort": 80}, {"containerPort": 81}]);
        let definition = json!({"containerDefinitions": [{"name": "a", "portMappings": ports}]});
        let definition: DefinitionSpec = from_value(definition).unwrap();
        let chosen = free("t", wanted(&definition), HashSet::new());
        let mappings = &definition.container_definitions[0].port_mappings;
        let got: Vec<_> = [0, 2, 3].iter().map(|at| of(&chosen, "a", mappings, *at).unwrap()).collect();
        assert_eq!(got, chosen.iter().map(|port| port.host_port).collect::<Vec<_>>());
        assert_eq!(got.iter().collect::<HashSet<_>>().len(), 3, "{got:?}");
        assert_eq!((of(&chosen, "b", mappings, 0), of(&chosen, "a", mappings, 9)), (None, None));
    }

    #[test]
    fn nobody_gets_what_another_has() {
        let ask = |count: u16| -> Vec<ChosenPort> {
            (0..count).map(|port| ChosenPort { container_port: port, ..ChosenPort::default() }).collect()
        };
        let numbers = |ports: Vec<ChosenPort>| ports.into_iter().map(|port| port.host_port).collect::<Vec<u16>>();
        let first = numbers(free("t", ask(3), HashSet::new()));
        assert_eq!(first, numbers(free("t", ask(3), HashSet::new())), "the same task chooses the same");
        let second = numbers(free("t", ask(3), first.iter().copied().collect()));
        assert!(
            second.iter().all(|port| !first.contains(port) && (FIRST..=LAST).contains(port)),
            "{first:?} {second:?}"
        );
        let last: HashSet<u16> = (FIRST..LAST).collect();
        assert_eq!(numbers(free("t", ask(2), last)), [LAST, FIRST], "the last one, and then there is none");
    }
}
