//! What each operation does.

mod agents;
mod attributes;
mod capacity;
mod clusters;
mod definitions;
mod describe;
mod endpoints;
mod files;
mod health;
mod instances;
mod linux;
mod naming;
mod numbers;
mod order;
mod placement;
mod refused;
mod removal;
pub(crate) mod run;
mod secrets;
mod services;
mod settings;
mod tags;
pub(crate) mod tasks;
mod ulimits;
mod volumes;

pub use clusters::is_leaving;
use gantry_sdk::Value;
use gantry_sdk::dialect::Call;

use crate::fault::{Fault, Result};
use crate::options::Options;

/// What a request comes with.
pub struct Context<'a> {
    /// As the operator has it.
    pub options: &'a Options,
    /// Its time and id.
    pub call: &'a Call,
    /// The ARN of whoever signed it.
    pub caller: String,
}

/// An operation.
type Operation = fn(&Context<'_>, &Value) -> Result<Value>;

/// Those that are served. All others of ECS are answered with `UnsupportedFeatureException`.
pub const SERVED: &[(&str, Operation)] = &[
    ("CreateCapacityProvider", capacity::create),
    ("CreateCluster", clusters::create),
    ("CreateService", services::create),
    ("CreateTaskSet", services::create_task_set),
    ("DeleteAccountSetting", settings::delete),
    ("DeleteAttributes", attributes::delete),
    ("DeleteCapacityProvider", capacity::delete),
    ("DeleteCluster", clusters::delete),
    ("DeleteService", services::delete),
    ("DeleteTaskDefinitions", removal::delete),
    ("DeleteTaskSet", services::delete_task_set),
    ("DeregisterContainerInstance", agents::deregister),
    ("DeregisterTaskDefinition", definitions::deregister),
    ("DescribeCapacityProviders", capacity::describe),
    ("DescribeClusters", clusters::describe),
    ("DescribeContainerInstances", instances::describe),
    ("DescribeServiceDeployments", services::describe_deployments),
    ("DescribeServiceRevisions", services::describe_revisions),
    ("DescribeServices", services::describe),
    ("DescribeTaskDefinition", definitions::describe),
    ("DescribeTaskSets", services::describe_task_sets),
    ("DescribeTasks", tasks::describe),
    ("DiscoverPollEndpoint", |context, _| Err(agents::denied(context, "DiscoverPollEndpoint"))),
    ("ListAccountSettings", settings::list),
    ("ListAttributes", attributes::list),
    ("ListClusters", clusters::list),
    ("ListContainerInstances", instances::list),
    ("ListServiceDeployments", services::list_deployments),
    ("ListServices", services::list),
    ("ListServicesByNamespace", services::list_by_namespace),
    ("ListTagsForResource", tags::list),
    ("ListTaskDefinitionFamilies", definitions::families),
    ("ListTaskDefinitions", definitions::list),
    ("ListTasks", tasks::list),
    ("PutAccountSetting", settings::put),
    ("PutAccountSettingDefault", settings::put_default),
    ("PutAttributes", attributes::put),
    ("PutClusterCapacityProviders", capacity::put),
    ("RegisterContainerInstance", |context, _| Err(agents::denied(context, "RegisterContainerInstance"))),
    ("RegisterTaskDefinition", definitions::register),
    ("RunTask", run::run),
    ("StartTask", run::start),
    ("StopServiceDeployment", services::stop_deployment),
    ("StopTask", tasks::stop),
    ("SubmitAttachmentStateChanges", |context, _| Err(agents::denied(context, "SubmitAttachmentStateChanges"))),
    ("SubmitContainerStateChange", |context, _| Err(agents::denied(context, "SubmitContainerStateChange"))),
    ("SubmitTaskStateChange", |context, _| Err(agents::denied(context, "SubmitTaskStateChange"))),
    ("TagResource", tags::add),
    ("UntagResource", tags::remove),
    ("UpdateCapacityProvider", capacity::update),
    ("UpdateCluster", clusters::update),
    ("UpdateClusterSettings", clusters::update),
    ("UpdateContainerAgent", agents::update),
    ("UpdateContainerInstancesState", instances::update),
    ("UpdateService", services::update),
    ("UpdateServicePrimaryTaskSet", services::update_primary_task_set),
    ("UpdateTaskSet", services::update_task_set),
];

/// Answers a request of the right shape.
pub fn run(name: &str, context: &Context<'_>, request: &Value) -> Result<Value> {
    match SERVED.iter().find(|(served, _)| *served == name) {
        Some((_, operation)) => operation(context, request),
        None => Err(Fault::unsupported(&format!("The operation {name}"))),
    }
}

impl Context<'_> {
    /// Who changed what, in the host's log. What only reads is not told.
    pub fn audit(&self, operation: &str, fault: Option<&Fault>) {
        if operation.starts_with("List") || operation.starts_with("Describe") {
            return;
        }
        let outcome = fault.map_or("ok", |fault| &fault.code);
        gantry_sdk::info!("audit: {operation} by {}, request {}: {outcome}", self.caller, self.call.id);
    }
}
