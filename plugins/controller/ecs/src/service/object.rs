//! The kind Service, as far as it is read and written here. Words and shapes in specs are those of ECS's API.

use std::collections::BTreeMap;
use std::time::Duration;

use ecs_common::capacity::Share;
use gantry_sdk::Value;
use gantry_sdk::api::{ObjectMeta, Time, or_default};
use serde::{Deserialize, Serialize};

/// A service.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Its name is made of the cluster's and its own.
    pub metadata: ObjectMeta,
    /// What is wanted.
    pub spec: ServiceSpec,
    /// What is.
    pub status: ServiceStatus,
}

/// `spec` of a Service
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// Its name in ECS.
    #[serde(deserialize_with = "or_default")]
    pub service_name: String,
    /// Tasks; nothing for DAEMON.
    #[serde(deserialize_with = "or_default")]
    pub desired_count: u32,
    /// `REPLICA` (also when empty) or `DAEMON`.
    #[serde(deserialize_with = "or_default")]
    pub scheduling_strategy: String,
    /// How one deployment takes over from another.
    #[serde(deserialize_with = "or_default")]
    pub deployment_configuration: Configuration,
    /// How its tasks are shared among capacity providers; nothing: they go to any node.
    #[serde(deserialize_with = "or_default")]
    pub capacity_providers: Vec<Share>,
    /// Which deployment is wanted: one that was not seen before begins.
    #[serde(deserialize_with = "or_default")]
    pub deployment: Wanted,
    /// What its tasks are made from.
    #[serde(deserialize_with = "or_default")]
    pub template: Template,
    /// Since when it is to go.
    pub deleted_at: Option<Time>,
    /// `ECS` (also when empty) or `EXTERNAL`: who makes its deployments.
    #[serde(deserialize_with = "or_default")]
    pub deployment_controller: String,
    /// Of EXTERNAL, what somebody else has made.
    #[serde(deserialize_with = "or_default")]
    pub task_sets: Vec<TaskSet>,
    /// Which of them leads.
    #[serde(deserialize_with = "or_default")]
    pub primary_task_set: String,
    /// Which deployment is to be given up, whatever becomes of its tasks.
    #[serde(deserialize_with = "or_default")]
    pub stop: Stop,
    /// Seconds after a task's start in which its service looks over failed health checks; 0 when absent.
    pub health_check_grace_period_seconds: Option<u32>,
    /// Its tags, which its tasks get when they are made with `propagateTags` SERVICE.
    #[serde(deserialize_with = "or_default")]
    pub tags: Vec<Value>,
}

/// `spec.deployment`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Wanted {
    /// `ecs-svc/` and digits.
    #[serde(deserialize_with = "or_default")]
    pub id: String,
    /// When it was asked for.
    pub created_at: Option<Time>,
}

/// `spec.stop`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Stop {
    /// The deployment's id. One that is over stays as it is.
    #[serde(deserialize_with = "or_default")]
    pub deployment: String,
    /// Whether what was there before comes back.
    #[serde(deserialize_with = "or_default")]
    pub rollback: bool,
}

/// `spec.taskSets[]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TaskSet {
    /// `ecs-svc/` and digits.
    #[serde(deserialize_with = "or_default")]
    pub id: String,
    /// What its tasks are made from.
    #[serde(deserialize_with = "or_default")]
    pub template: Template,
    /// How its tasks are shared among capacity providers.
    #[serde(deserialize_with = "or_default")]
    pub capacity_providers: Vec<Share>,
    /// Its part of the service's count.
    #[serde(deserialize_with = "or_default")]
    pub scale: Scale,
    /// When it was asked for.
    pub created_at: Option<Time>,
    /// Since when it is to go.
    pub deleted_at: Option<Time>,
}

/// `spec.taskSets[].scale`
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Scale {
    /// Percent, from 0 to 100.
    #[serde(deserialize_with = "or_default")]
    pub value: f64,
}

/// What a task is made from: the same for all of a deployment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Template {
    /// Labels of the Task object.
    #[serde(deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// What the service's caller asked for of it; nobody here looks at it.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub asked: Value,
    /// Where its tasks take requests.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<Target>,
    /// Its spec, as far as all have it in common.
    pub spec: Value,
}

/// `template.targets[]`: a port of each task that belongs to a target group or a registry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Target {
    /// The target group's name: a label of EndpointSlices, which a Frontend selects.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The name of a Service whose EndpointSlices they are, in the place of a target group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub registry: String,
    /// Its ARN.
    pub arn: String,
    /// What a registry is called that is the service's own, and made with it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// In which namespace of names it is; empty: the registry is somebody else's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The port of the container; 0: none in particular.
    pub port: u16,
}

/// `deploymentConfiguration`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Configuration {
    /// Of the desired count, what must run. 100; for DAEMON 0.
    pub minimum_healthy_percent: Option<u32>,
    /// Of the desired count, what may be there. 200; for DAEMON always 100.
    pub maximum_percent: Option<u32>,
    /// Ends deployments whose tasks fail.
    #[serde(deserialize_with = "or_default")]
    pub deployment_circuit_breaker: Breaker,
    /// Ends deployments during which something is wrong elsewhere.
    #[serde(deserialize_with = "or_default")]
    pub alarms: DeploymentAlarms,
}

/// `deploymentConfiguration.alarms`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentAlarms {
    /// Alarms of CloudWatch.
    #[serde(deserialize_with = "or_default")]
    pub alarm_names: Vec<String>,
    /// Whether they do anything.
    #[serde(deserialize_with = "or_default")]
    pub enable: bool,
    /// Whether what was there before comes back.
    #[serde(deserialize_with = "or_default")]
    pub rollback: bool,
}

/// `deploymentConfiguration.deploymentCircuitBreaker`
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Breaker {
    /// Whether it does anything.
    #[serde(deserialize_with = "or_default")]
    pub enable: bool,
    /// Whether what was there before comes back.
    #[serde(deserialize_with = "or_default")]
    pub rollback: bool,
}

/// `status` of a Service
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceStatus {
    /// `ACTIVE`, `DRAINING` or `INACTIVE`; empty before the first pass.
    pub status: String,
    /// Tasks that are to be there.
    pub desired_count: u32,
    /// Tasks that run, and are to.
    pub running_count: u32,
    /// Tasks that will.
    pub pending_count: u32,
    /// The newest first.
    pub deployments: Vec<Deployment>,
    /// The newest first, at most a hundred.
    pub events: Vec<ServiceEvent>,
    /// Events that there ever were: makes their ids.
    pub event_count: u64,
    /// The last of `spec.deployment.id` that has begun.
    pub seen: String,
    /// The last deployment that was completed: what comes back when the next one fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub good: Option<Good>,
    /// Tasks that load balancers have been given, by their ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub registered: Vec<String>,
    /// What became of deployments: the newest first, at most twenty.
    pub history: Vec<Record>,
    /// Nothing is left to do: said once.
    pub steady: bool,
    /// Percentages leave no room to do anything: said once.
    pub stuck: bool,
    /// When the last task of a deleted service had stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inactive_at: Option<Time>,
}

/// `status.good`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Good {
    /// Its id.
    pub id: String,
    /// What its tasks were made from.
    pub template: Template,
    /// When it had begun.
    pub created_at: Option<Time>,
    /// How its tasks were shared among capacity providers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capacity_providers: Vec<Share>,
}

/// `status.deployments[]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Deployment {
    /// `ecs-svc/` and digits.
    pub id: String,
    /// `PRIMARY`, or `ACTIVE` for one whose tasks are being replaced. A task set may also be `DRAINING`.
    pub status: String,
    /// What its tasks are made from.
    pub template: Template,
    /// How its tasks are shared among capacity providers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capacity_providers: Vec<Share>,
    /// When it was asked for.
    pub created_at: Option<Time>,
    /// When its state last changed.
    pub updated_at: Option<Time>,
    /// Since when its failures count.
    pub watched_since: Option<Time>,
    /// Tasks that it is to have.
    pub desired_count: u32,
    /// Those that run.
    pub running_count: u32,
    /// Those that will.
    pub pending_count: u32,
    /// Those that ended before they were well, since the last one that was.
    pub failed_tasks: u32,
    /// Tasks that it ever had: makes their ids.
    pub started: u64,
    /// `IN_PROGRESS`, `COMPLETED` or `FAILED`.
    pub rollout_state: String,
    /// The same for people.
    pub rollout_state_reason: String,
    /// Of a task set, `STEADY_STATE` or `STABILIZING`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stability: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stability_at: Option<Time>,
    /// Whether it came back because another failed.
    pub rollback: bool,
    /// Some of its tasks fit nowhere: said once.
    pub unplaced: bool,
    /// Its tasks fail so often that it waits between them: said once.
    pub struggling: bool,
    /// What is known of its alarms, once somebody has asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarms: Option<Watched>,
}

/// `status.deployments[].alarms`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Watched {
    /// When they were last asked for.
    pub asked_at: Option<Time>,
    /// When there last was an answer.
    pub seen_at: Option<Time>,
    /// Some were raised at the beginning: nobody looks any more.
    pub ignored: bool,
    /// There was no answer: said once.
    pub silent: bool,
    /// Those that are not there: said once.
    pub missing: Vec<String>,
    /// How long they are watched once all tasks are well.
    pub bake_seconds: u64,
    /// Since when all tasks are well.
    pub well_since: Option<Time>,
}

/// `status.history[]`: a deployment from its beginning to its end, as ServiceDeployment has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Record {
    /// The deployment's id.
    pub id: String,
    /// What its tasks are made from, as far as it can be asked for later; nobody here looks at it.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub revision: Value,
    /// `IN_PROGRESS`, `SUCCESSFUL`, `STOPPED`, `ROLLBACK_IN_PROGRESS` or `ROLLBACK_SUCCESSFUL`.
    pub status: String,
    /// The same for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// When it was asked for.
    pub created_at: Option<Time>,
    /// When it had begun.
    pub started_at: Option<Time>,
    /// When it came to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// When somebody wanted it to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<Time>,
    /// The deployment that was completed before it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The deployment that came back when it failed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub back: String,
    /// When that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub back_at: Option<Time>,
    /// Tasks that had failed when it was given up.
    pub failures: u32,
    /// Alarms for which it was given up.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<String>,
    /// Its alarms were raised when it began, and so not looked at.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unwatched: bool,
}

/// `status.events[]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceEvent {
    /// In the form of a UUID.
    pub id: String,
    /// When.
    pub created_at: Option<Time>,
    /// In ECS's words.
    pub message: String,
}

impl ServiceSpec {
    /// Whether it has one task on each node.
    pub fn is_daemon(&self) -> bool {
        self.scheduling_strategy == "DAEMON"
    }

    /// How long after a task's start its failed health checks are looked over.
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.health_check_grace_period_seconds.unwrap_or(0).into())
    }

    /// Whether somebody else makes its deployments.
    pub fn is_external(&self) -> bool {
        self.deployment_controller == "EXTERNAL"
    }
}

impl Deployment {
    /// Whether the others make way for it.
    pub fn is_primary(&self) -> bool {
        self.status == "PRIMARY"
    }

    /// Whether it is under way and can be given up for one before it.
    pub fn is_open(&self) -> bool {
        self.is_primary() && !self.rollback && self.rollout_state == "IN_PROGRESS"
    }

    /// Whether it was given up.
    pub fn is_failed(&self) -> bool {
        self.rollout_state == "FAILED"
    }
}

gantry_sdk::resource!(Service, "ecs.gantry.dev", "v1", "Service");
