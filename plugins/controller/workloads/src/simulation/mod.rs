//! The controller on a host in memory, with a kubelet that starts pods: what users see.

mod crash;
mod large;
mod properties;
mod replicaset;
mod rollout;

use std::time::Duration;

use gantry_sdk::api::{Condition, Pod, Time};
use gantry_sdk::testing::{Driver, Host};
use gantry_sdk::{Value, json, merge, serde_json};

use crate::controller::Workloads;
use crate::deployment::Deployment;
use crate::deployment::plan::samples::template;
use crate::object::condition;
use crate::replicaset::ReplicaSet;

/// A namespace `default` with a Deployment `web`, the controller and a kubelet.
pub struct Cluster {
    pub host: Host,
    driver: Option<Driver<Workloads>>,
}

impl Cluster {
    /// Nothing but the namespace.
    pub fn empty() -> Self {
        let host = Host::new();
        host.add_json(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}));
        let driver = Some(Driver::new(&host));
        Self { host, driver }
    }

    /// With a Deployment of the image `v1` and what `spec` says beyond that; nothing has run yet.
    pub fn new(spec: Value) -> Self {
        let cluster = Self::empty();
        let mut deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
            "spec": {
                "replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template("v1"),
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
                "progressDeadlineSeconds": 600, "revisionHistoryLimit": 10,
            },
        });
        merge::apply(&mut deployment["spec"], &spec);
        cluster.host.add_json(deployment);
        cluster
    }

    /// Like `new`, and rolled out.
    pub fn running(spec: Value) -> Self {
        let mut cluster = Self::new(spec);
        cluster.settle();
        cluster.host.take_writes();
        cluster
    }

    pub fn deployment(&self) -> Deployment {
        self.host.get("default", "web").expect("the Deployment")
    }

    pub fn sets(&self) -> Vec<ReplicaSet> {
        self.host.all()
    }

    /// The set of an image.
    pub fn set(&self, image: &str) -> Option<ReplicaSet> {
        let of = |set: &ReplicaSet| set.spec.template.pointer("/spec/containers/0/image").cloned();
        self.sets().into_iter().find(|set| of(set) == Some(json!(image)))
    }

    /// Pods wanted of an image.
    pub fn size(&self, image: &str) -> i64 {
        self.set(image).map_or(0, |set| set.replicas())
    }

    /// Pods that neither ended nor are going.
    pub fn pods(&self) -> Vec<Pod> {
        let all = self.host.all::<Pod>().into_iter();
        all.filter(|pod| !pod.metadata.is_deleting() && !matches!(pod.status.phase.as_str(), "Failed" | "Succeeded"))
            .collect()
    }

    pub fn images(&self) -> Vec<String> {
        self.pods().iter().map(image).collect()
    }

    /// Changes the spec by a merge patch, as a user.
    pub fn patch(&self, patch: Value) {
        self.host.edit::<Deployment>("default", "web", |deployment| {
            let mut spec = serde_json::to_value(&deployment.spec).unwrap();
            merge::apply(&mut spec, &patch);
            deployment.spec = serde_json::from_value(spec).unwrap();
            deployment.metadata.generation += 1;
        });
    }

    /// `kubectl set image`
    pub fn set_image(&self, image: &str) {
        self.patch(json!({"template": template(image)}));
    }

    /// One round of the controller.
    pub fn round(&mut self) -> usize {
        self.driver().round().len()
    }

    pub fn driver(&mut self) -> &mut Driver<Workloads> {
        self.driver.as_mut().expect("a driver")
    }

    /// A new instance of the plugin.
    pub fn restart(&mut self) {
        self.driver = self.driver.take().map(Driver::restart);
    }

    /// Controller and kubelet in turn until neither has anything to do.
    pub fn settle(&mut self) {
        for _ in 0..200 {
            self.driver().settle();
            if !self.kubelet(usize::MAX) {
                // Requeues of 0 ms are timers of the driver.
                self.driver().advance(Duration::from_millis(1));
                if !self.kubelet(usize::MAX) {
                    return;
                }
            }
        }
        panic!("does not come to rest");
    }

    /// Time passes, everybody works.
    pub fn advance(&mut self, seconds: u64) {
        self.host.advance(Duration::from_secs(seconds));
        self.settle();
    }

    /// Starts at most so many pods, and ends those that are going. Images that begin with `bad` do not become ready.
    pub fn kubelet(&self, most: usize) -> bool {
        let going = self.host.all::<Pod>().iter().any(|pod| pod.metadata.is_deleting());
        self.host.finish_deletions();
        let waiting: Vec<Pod> = self.pods().into_iter().filter(startable).take(most).collect();
        waiting.iter().for_each(|pod| self.set_ready(pod, !image(pod).starts_with("bad")));
        going || !waiting.is_empty()
    }

    pub fn set_ready(&self, pod: &Pod, ready: bool) {
        let now = self.host.now();
        self.host.edit::<Pod>("default", &pod.metadata.name, |pod| {
            pod.spec.node_name = "n1".into();
            pod.status.phase = "Running".into();
            Condition::set(&mut pod.status.conditions, Condition::new("Ready", ready, "", "", now));
        });
    }

    pub fn condition(&self, kind: &str) -> (String, String) {
        let status = self.deployment().status;
        let found = condition::find(&status.conditions, kind);
        found.map(|c| (c.status.clone(), c.reason.clone())).unwrap_or_default()
    }

    pub fn revision(&self) -> String {
        let annotations = self.deployment().metadata.annotations;
        annotations.get("deployment.kubernetes.io/revision").cloned().unwrap_or_default()
    }

    /// Reasons and messages of events, without repetitions.
    pub fn events(&self, kind: &str) -> Vec<String> {
        let of = self.host.events().into_iter().filter(|event| event.regarding.kind.kind == kind);
        of.map(|event| format!("{}: {}", event.reason, event.message)).collect()
    }

    /// Everything runs as wanted, and another pass over everything writes nothing.
    pub fn assert_done(&mut self) {
        let deployment = self.deployment();
        assert!(deployment.complete(&deployment.status), "{:?}", deployment.status);
        let wanted = deployment.spec.template.pointer("/spec/containers/0/image").and_then(Value::as_str).unwrap();
        let images = self.images();
        assert_eq!(i64::try_from(images.len()).unwrap(), deployment.replicas());
        assert!(images.iter().all(|image| image == wanted), "{images:?}");
        assert_eq!(self.condition("Available").0, "True");
        self.assert_idle();
    }

    /// Another pass over everything writes nothing.
    pub fn assert_idle(&mut self) {
        self.host.take_writes();
        self.restart();
        self.driver().settle();
        assert_eq!(self.host.take_writes(), [], "a second pass has nothing to do");
    }
}

fn startable(pod: &Pod) -> bool {
    pod.status.phase == "Pending" || (pod.status.phase.is_empty() && !pod.is_ready())
}

pub fn image(pod: &Pod) -> String {
    pod.spec.containers.first().map(|container| container.image.clone()).unwrap_or_default()
}

/// Available pods, as the planner counts them.
pub fn available(pods: &[Pod], min_ready: Duration, now: Time) -> usize {
    pods.iter().filter(|pod| pod.is_available(min_ready, now)).count()
}
