//! Rules by definition: whatever kind refers to a definition is held to them.

use serde_json::Value;

use super::{config, meta, node, pod, probe, reference, resources, scheduling, selector, volume};
use crate::crd;
use crate::path::Path;
use crate::status::Cause;

/// Checks a value of a definition.
pub(crate) type Rule = fn(&Path<'_>, &Value, &mut Vec<Cause>);

/// The rule of a definition.
pub(crate) fn of(definition: &str) -> Option<Rule> {
    if let Some(name) = definition.strip_prefix("io.k8s.api.core.v1.") {
        return core(name);
    }
    Some(match definition {
        "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" => meta::object_meta,
        "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector" => selector::labels,
        "io.k8s.apimachinery.pkg.api.resource.Quantity" => resources::quantity,
        "io.k8s.api.coordination.v1.LeaseSpec" => node::lease,
        "io.k8s.api.scheduling.v1.PriorityClass" => scheduling::priority_class,
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition" => crd::rule,
        _ => return None,
    })
}

fn core(name: &str) -> Option<Rule> {
    Some(match name {
        "Pod" => pod::pod,
        "PodTemplateSpec" => pod::holder,
        "PodSpec" => pod::spec,
        "ObjectFieldSelector" => reference::field,
        "ResourceFieldSelector" => reference::resource,
        "SeccompProfile" => reference::seccomp,
        "Sysctl" => reference::sysctl,
        "Event" => config::event,
        "Volume" => volume::volume,
        "Probe" => probe::probe,
        "LifecycleHandler" => probe::handler,
        "ResourceRequirements" | "VolumeResourceRequirements" => resources::requirements,
        "SecurityContext" | "PodSecurityContext" => pod::security,
        "NodeSelector" => selector::node,
        "NodeSelectorTerm" => selector::node_term,
        "PreferredSchedulingTerm" | "WeightedPodAffinityTerm" => scheduling::weight,
        "PodAffinityTerm" => scheduling::pod_affinity_term,
        "Toleration" => scheduling::toleration,
        "TopologySpreadConstraint" => scheduling::spread,
        "NodeSpec" => node::spec,
        "NamespaceSpec" => config::namespace,
        "ConfigMap" => config::config_map,
        "Secret" => config::secret,
        _ => return None,
    })
}
