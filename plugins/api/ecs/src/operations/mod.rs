//! What each operation does.

mod clusters;
mod definitions;
mod describe;
mod instances;
mod refused;
mod run;
mod tags;
mod tasks;

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
    ("CreateCluster", clusters::create),
    ("DeleteCluster", clusters::delete),
    ("DeregisterTaskDefinition", definitions::deregister),
    ("DescribeClusters", clusters::describe),
    ("DescribeContainerInstances", instances::describe),
    ("DescribeTaskDefinition", definitions::describe),
    ("DescribeTasks", tasks::describe),
    ("ListClusters", clusters::list),
    ("ListContainerInstances", instances::list),
    ("ListTagsForResource", tags::list),
    ("ListTaskDefinitionFamilies", definitions::families),
    ("ListTaskDefinitions", definitions::list),
    ("ListTasks", tasks::list),
    ("RegisterTaskDefinition", definitions::register),
    ("RunTask", run::run),
    ("StopTask", tasks::stop),
    ("TagResource", tags::add),
    ("UntagResource", tags::remove),
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
