//! Where this node is, as its Node says.

use crate::cluster::PodEvent;

const LABEL: &str = "topology.kubernetes.io/zone";

/// Takes in what happened to Nodes. A Node that is not there (yet, or any more) says nothing: what was known stays.
pub(super) fn take(own: &str, zone: &mut String, events: &[PodEvent]) {
    let mut records = events.iter().flat_map(|event| match event {
        PodEvent::Snapshot(records) => records.as_slice(),
        PodEvent::Applied(record) => std::slice::from_ref(record),
        PodEvent::Gone(_) => &[],
    });
    if let Some(node) = records.rfind(|record| record.meta.name == own) {
        *zone = node.meta.labels.get(LABEL).cloned().unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use gantry_model::key::Resource;
    use gantry_model::record::Draft;
    use gantry_model::{Key, Record};
    use serde_json::json;

    fn node(name: &str, zone: Option<&str>) -> Arc<Record> {
        let labels = zone.map(|zone| json!({ LABEL: zone })).unwrap_or_else(|| json!({}));
        let object = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}});
        Arc::new(Draft::new(Key::new(Resource::new("", "nodes"), "", name), object, &[]).commit(1))
    }

    #[test]
    fn the_last_word_about_this_node_counts() {
        let mut zone = String::new();
        let mut see = |events: &[PodEvent]| {
            take("n1", &mut zone, events);
            zone.clone()
        };
        assert_eq!(see(&[PodEvent::Snapshot(vec![node("n2", Some("b"))])]), "");
        assert_eq!(see(&[PodEvent::Snapshot(vec![node("n1", Some("a")), node("n2", Some("b"))])]), "a");
        assert_eq!(see(&[PodEvent::Applied(node("n2", Some("c"))), PodEvent::Gone(node("n1", Some("d")))]), "a");
        assert_eq!(see(&[PodEvent::Applied(node("n1", Some("e"))), PodEvent::Applied(node("n1", None))]), "");
    }
}
