//! What agents of container instances ask, and what is asked of them. Nodes join by Gantry's own agent, and say through it
//! how their tasks are; nobody else may.

use gantry_sdk::Value;

use super::{Context, instances};
use crate::fault::{Fault, Result};
use crate::object::{Task, text};

/// RegisterContainerInstance, DiscoverPollEndpoint and reports of states.
pub fn denied(context: &Context<'_>, operation: &str) -> Fault {
    let who = &context.caller;
    Fault::new(
        "AccessDeniedException",
        format!(
            "User: {who} is not authorized to perform: ecs:{operation}. Nodes join this control plane, and report to it, by \
             its own agent."
        ),
    )
}

/// DeregisterContainerInstance: a node is one of every cluster, and can't leave one of them.
pub fn deregister(context: &Context<'_>, request: &Value) -> Result<Value> {
    let (cluster, _) = context.cluster(request.get("cluster").and_then(Value::as_str))?;
    let node = instances::node(context, &cluster, text(request, "containerInstance"))?;
    let fields = ["/status/node", "/status/lastStatus"];
    let tasks: Vec<(Option<String>, Option<String>)> = context.rows_in::<Task, _>(&cluster, fields)?;
    let on = |of: &Option<String>, last: &Option<String>| {
        of.as_deref() == Some(node.as_str()) && last.as_deref() != Some("STOPPED")
    };
    let forced = request.get("force").and_then(Value::as_bool) == Some(true);
    if !forced && tasks.iter().any(|(of, last)| on(of, last)) {
        return Err(Fault::parameter("Found running tasks on the instance."));
    }
    Err(Fault::client(format!(
        "The container instance can't be deregistered: its node {node} is an instance of every cluster. DRAINING keeps tasks \
         away from it; whoever deletes the Node takes it out of all clusters."
    )))
}

/// UpdateContainerAgent: the agent is the host's program.
pub fn update(context: &Context<'_>, request: &Value) -> Result<Value> {
    let (cluster, _) = context.cluster(request.get("cluster").and_then(Value::as_str))?;
    let node = instances::node(context, &cluster, text(request, "containerInstance"))?;
    Err(Fault::new(
        "NoUpdateAvailableException",
        format!("There is no update available for the agent of {node}: it is updated with Gantry itself."),
    ))
}
