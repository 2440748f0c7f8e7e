//! From a container's resources and security context to what the runtime applies.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSecurityContext, PodSpec, SecurityContext};

use super::quantity::{amount, div_up, whole};
use crate::runtime::{Image, Limits, Security};

/// The kernel's smallest and largest weight, and the weight of a whole core.
const SHARES: (i128, i128) = (2, 262_144);
const SHARES_PER_CORE: i128 = 1024;
const PERIOD_MICROS: u64 = 100_000;
/// The kernel refuses smaller quotas.
const SMALLEST_QUOTA: i128 = 1000;

/// A pod's class of service, as the kubelet defines it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// Every container has equal requests and limits of CPU and memory.
    Guaranteed,
    /// Some container asks for something.
    Burstable,
    /// Nothing is asked for.
    BestEffort,
}

/// Of a pod.
pub fn quality(spec: &PodSpec) -> Quality {
    let containers = || spec.init_containers.iter().flatten().chain(&spec.containers);
    let mut asked = false;
    let mut guaranteed = true;
    for container in containers() {
        for name in ["cpu", "memory"] {
            let (request, limit) = (request(container, name), limit(container, name));
            asked |= request.unwrap_or_default() > 0 || limit.unwrap_or_default() > 0;
            guaranteed &= limit.is_some_and(|limit| limit > 0 && request == Some(limit));
        }
    }
    match (asked, guaranteed) {
        (true, true) => Quality::Guaranteed,
        (true, false) => Quality::Burstable,
        (false, _) => Quality::BestEffort,
    }
}

/// What a container asks for, in thousandths: its limit where it names no request.
pub fn request(container: &Container, name: &str) -> Option<i128> {
    let resources = container.resources.as_ref()?;
    amount(resources.requests.as_ref(), name).or_else(|| amount(resources.limits.as_ref(), name))
}

/// What a container may use at most, in thousandths.
pub fn limit(container: &Container, name: &str) -> Option<i128> {
    amount(container.resources.as_ref()?.limits.as_ref(), name)
}

/// cgroup limits. `node_memory` is all that the node has, in bytes.
pub fn limits(spec: &PodSpec, container: &Container, node_memory: u64) -> Limits {
    let quota = limit(container, "cpu").filter(|cpu| *cpu > 0).and_then(quota);
    let memory = container.resources.as_ref().and_then(|resources| whole(resources.limits.as_ref(), "memory"));
    Limits {
        cpu_shares: shares(request(container, "cpu").unwrap_or_default()),
        cpu_quota: quota,
        cpu_period: quota.map(|_| PERIOD_MICROS),
        memory: memory.filter(|memory| *memory > 0),
        pids: None,
        oom_score_adj: Some(oom_score(spec, container, node_memory)),
    }
}

/// cgroup limits of a whole pod, as the kubelet has them: the weight is what it asks for, and a limit is there where every
/// container has one.
pub fn pod_limits(spec: &PodSpec) -> Limits {
    let all = || spec.init_containers.iter().flatten().chain(&spec.containers);
    let limited = |name: &str| {
        let every = all().all(|container| limit(container, name).is_some_and(|limit| limit > 0));
        every.then(|| at_most(spec, name, |container| limit(container, name).unwrap_or_default()))
    };
    let cpu = at_most(spec, "cpu", |container| request(container, "cpu").unwrap_or_default());
    let quota = limited("cpu").and_then(quota);
    Limits {
        cpu_shares: shares(cpu),
        cpu_quota: quota,
        cpu_period: quota.map(|_| PERIOD_MICROS),
        memory: limited("memory").and_then(|memory| i64::try_from(div_up(memory, 1000)).ok()),
        pids: None,
        oom_score_adj: None,
    }
}

/// What a pod has at its hungriest: its containers and sidecars together, or an init container with the sidecars that
/// started before it. In thousandths, as what `of` says of a container.
pub fn at_most(spec: &PodSpec, name: &str, of: impl Fn(&Container) -> i128) -> i128 {
    let (mut sidecars, mut peak) = (0, 0);
    for container in spec.init_containers.iter().flatten() {
        if container.restart_policy.as_deref() == Some("Always") {
            sidecars += of(container);
            peak = peak.max(sidecars);
        } else {
            peak = peak.max(sidecars + of(container));
        }
    }
    let together = sidecars + spec.containers.iter().map(of).sum::<i128>();
    peak.max(together) + amount(spec.overhead.as_ref(), name).unwrap_or_default()
}

fn shares(cpu: i128) -> u64 {
    u64::try_from((cpu * SHARES_PER_CORE / 1000).clamp(SHARES.0, SHARES.1)).unwrap_or_default()
}

fn quota(cpu: i128) -> Option<i64> {
    i64::try_from(div_up(cpu * i128::from(PERIOD_MICROS), 1000).max(SMALLEST_QUOTA)).ok()
}

/// The kubelet's figures: who asked for more of the node's memory is killed later.
fn oom_score(spec: &PodSpec, container: &Container, node_memory: u64) -> i32 {
    const CRITICAL: i32 = 2_000_000_000;
    if spec.priority.unwrap_or_default() >= CRITICAL {
        return -997;
    }
    match quality(spec) {
        Quality::Guaranteed => -997,
        Quality::BestEffort => 1000,
        Quality::Burstable => {
            let asked = request(container, "memory").unwrap_or_default() / 1000;
            let share = (1000 * asked).checked_div(i128::from(node_memory)).unwrap_or_default();
            i32::try_from((1000 - share).clamp(3, 999)).unwrap_or(999)
        }
    }
}

/// Who a container runs as and what it may. `Err`: the kubelet's words for why it may not run.
pub fn security(spec: &PodSpec, container: &Container, image: &Image) -> Result<Security, String> {
    let pod = spec.security_context.clone().unwrap_or_default();
    let own = container.security_context.clone().unwrap_or_default();
    let privileged = own.privileged.unwrap_or(false);
    let run_as_non_root = own.run_as_non_root.or(pod.run_as_non_root).unwrap_or(false);
    let run_as_user = own.run_as_user.or(pod.run_as_user);
    if run_as_non_root {
        check_non_root(run_as_user, &image.user)?;
    }
    let (add, drop) = capabilities(&own);
    let sys_admin = add.iter().any(|name| name == "SYS_ADMIN");
    Ok(Security {
        run_as_user,
        run_as_group: own.run_as_group.or(pod.run_as_group),
        run_as_non_root,
        supplemental_groups: supplemental_groups(&pod),
        privileged,
        allow_privilege_escalation: own.allow_privilege_escalation.unwrap_or(true) || privileged || sys_admin,
        read_only_root: own.read_only_root_filesystem.unwrap_or(false),
        add_capabilities: add,
        drop_capabilities: drop,
        sysctls: sysctls(&pod),
    })
}

fn check_non_root(user: Option<i64>, image_user: &str) -> Result<(), String> {
    match user {
        Some(0) => return Err("container's runAsUser breaks non-root policy".to_owned()),
        Some(_) => return Ok(()),
        None => {}
    }
    let name = image_user.split(':').next().unwrap_or_default();
    match (name, name.parse::<i64>()) {
        ("", _) | (_, Ok(0)) => Err("container has runAsNonRoot and image will run as root".to_owned()),
        (_, Ok(_)) => Ok(()),
        (name, Err(_)) => Err(format!(
            "container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root"
        )),
    }
}

fn supplemental_groups(pod: &PodSecurityContext) -> Vec<i64> {
    let mut groups = pod.supplemental_groups.clone().unwrap_or_default();
    groups.extend(pod.fs_group.filter(|group| !groups.contains(group)));
    groups
}

fn sysctls(pod: &PodSecurityContext) -> BTreeMap<String, String> {
    pod.sysctls.iter().flatten().map(|sysctl| (sysctl.name.clone(), sysctl.value.clone())).collect()
}

fn capabilities(own: &SecurityContext) -> (Vec<String>, Vec<String>) {
    let plain = |names: &Option<Vec<String>>| {
        let names = names.iter().flatten().map(|name| name.to_uppercase());
        names.map(|name| name.strip_prefix("CAP_").map(str::to_owned).unwrap_or(name)).collect()
    };
    own.capabilities.as_ref().map(|c| (plain(&c.add), plain(&c.drop))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(resources: serde_json::Value) -> PodSpec {
        serde_json::from_value(json!({"containers": [{"name": "c", "resources": resources}]})).unwrap()
    }

    #[test]
    fn limits_follow_requests_and_limits() {
        const NODE: u64 = 8 << 30;
        for (resources, quality_want, shares, quota, memory, oom) in [
            (json!({}), Quality::BestEffort, 2, None, None, 1000),
            (json!({"requests": {"cpu": "250m"}}), Quality::Burstable, 256, None, None, 999),
            (json!({"requests": {"memory": "4Gi"}}), Quality::Burstable, 2, None, None, 500),
            (
                json!({"limits": {"cpu": "1500m", "memory": "1Gi"}}),
                Quality::Guaranteed,
                1536,
                Some(150_000),
                Some(1 << 30),
                -997,
            ),
            (json!({"limits": {"cpu": "1m"}}), Quality::Burstable, 2, Some(1000), None, 999),
        ] {
            let spec = spec(resources);
            let limits = limits(&spec, &spec.containers[0], NODE);
            assert_eq!(quality(&spec), quality_want, "{spec:?}");
            assert_eq!((limits.cpu_shares, limits.cpu_quota, limits.memory), (shares, quota, memory), "{spec:?}");
            assert_eq!(limits.oom_score_adj, Some(oom), "{spec:?}");
        }
    }

    #[test]
    fn a_pods_limits_are_those_of_its_containers_together() {
        let of = |cpu: &str, memory: &str| json!({"limits": {"cpu": cpu, "memory": memory}});
        for (init, containers, want) in [
            (vec![], vec![of("500m", "1Mi"), of("1", "2Mi")], (1536, Some(150_000), Some(3 << 20))),
            (vec![of("2", "1Mi")], vec![of("1", "2Mi")], (2048, Some(200_000), Some(2 << 20))),
            (vec![], vec![of("1", "1Mi"), json!({"requests": {"cpu": "1"}})], (2048, None, None)),
            (vec![json!({})], vec![of("1", "1Mi")], (1024, None, None)),
            (vec![], vec![json!({})], (2, None, None)),
        ] {
            let named = |all: Vec<serde_json::Value>| -> Vec<_> {
                all.into_iter().map(|resources| json!({"name": "c", "resources": resources})).collect()
            };
            let spec = json!({"initContainers": named(init), "containers": named(containers)});
            let limits = pod_limits(&serde_json::from_value(spec.clone()).unwrap());
            assert_eq!((limits.cpu_shares, limits.cpu_quota, limits.memory), want, "{spec}");
        }
    }

    #[test]
    fn root_is_refused_where_it_is_not_wanted() {
        let container = |user: Option<i64>| {
            let value = json!({"name": "c", "securityContext": {"runAsNonRoot": true, "runAsUser": user}});
            serde_json::from_value::<Container>(value).unwrap()
        };
        for (user, image_user, ok) in [
            (None, "", false),
            (None, "0:5", false),
            (None, "1000", true),
            (None, "app", false),
            (Some(0), "1000", false),
            (Some(7), "", true),
        ] {
            let image = Image { user: image_user.to_owned(), ..Image::default() };
            let result = security(&PodSpec::default(), &container(user), &image);
            assert_eq!(result.is_ok(), ok, "{user:?} {image_user}: {result:?}");
        }
    }

    #[test]
    fn the_container_overrides_the_pod() {
        let spec: PodSpec = serde_json::from_value(json!({
            "securityContext": {"runAsUser": 1, "runAsGroup": 2, "fsGroup": 3, "supplementalGroups": [4]},
            "containers": [{"name": "c", "securityContext": {
                "runAsUser": 9, "allowPrivilegeEscalation": false, "capabilities": {"add": ["CAP_NET_ADMIN"], "drop": ["all"]},
            }}],
        }))
        .unwrap();
        let security = security(&spec, &spec.containers[0], &Image::default()).unwrap();
        assert_eq!((security.run_as_user, security.run_as_group), (Some(9), Some(2)));
        assert_eq!(security.supplemental_groups, [4, 3]);
        assert_eq!(
            (security.add_capabilities, security.drop_capabilities),
            (vec!["NET_ADMIN".into()], vec!["ALL".into()])
        );
        assert!(!security.allow_privilege_escalation);
    }
}
