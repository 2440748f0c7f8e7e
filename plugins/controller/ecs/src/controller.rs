//! What the host calls: which kinds are reconciled, what wakes them, and the passes.

use std::net::SocketAddrV4;

use ecs_common::endpoints::Endpoints;
use gantry_sdk::api::{Node, Pod, Time};
use gantry_sdk::controller::{Controller, Outcome, Watch};
use gantry_sdk::objects::{self, Query};
use gantry_sdk::{Config, Error, KindRef, ObjectRef, Result};
use serde::Deserialize;

use crate::aws;
use crate::object::Task;
use crate::service::{self, object::Service};
use crate::task::definition::TaskDefinition;
use crate::{definition, task};

/// `[plugin.config]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Options {
    /// Seconds that a task runs before it is taken to be well. ECS has 40 for tasks without a health check.
    pub healthy_after_seconds: u64,
    /// Where containers ask about their task: an address at which the bundle lets pods ask `api-ecs`. Without it, nowhere.
    pub metadata: Option<SocketAddrV4>,
    /// Services of AWS that may be asked. The bundle grants them too.
    pub endpoints: Endpoints,
}

impl Default for Options {
    fn default() -> Self {
        Self { healthy_after_seconds: 40, metadata: None, endpoints: Endpoints::default() }
    }
}

/// Tasks, services, and definitions that are to go.
#[derive(Default)]
pub struct Ecs {
    options: Options,
}

impl Controller for Ecs {
    fn configure(&mut self, config: Config) -> Result<()> {
        let options: Options = config.parse()?;
        options.endpoints.check().map_err(Error::invalid)?;
        self.options = options;
        Ok(())
    }

    fn watches(&self) -> Vec<Watch> {
        vec![
            Watch::itself::<Task>(),
            Watch::owned::<Pod, Task>(),
            Watch::itself::<Service>(),
            Watch::owned::<Task, Service>(),
            Watch::itself::<TaskDefinition>(),
            // Whether a node takes tasks.
            Watch::mapped::<Node, Service>().reading(["/spec/unschedulable", "/status/conditions"]),
        ]
    }

    /// A node that comes, goes or is cordoned concerns services with a task on each, and task sets that
    /// are steady or not.
    fn map(&mut self, kind: &KindRef, _object: &[u8]) -> Result<Vec<ObjectRef>> {
        if kind.kind != "Node" {
            return Ok(Vec::new());
        }
        let fields =
            ["/metadata/namespace", "/metadata/name", "/spec/schedulingStrategy", "/spec/deploymentController"];
        let rows: Vec<(String, String, Option<String>, Option<String>)> =
            objects::rows(&Query::of::<Service>(), fields)?;
        let look = rows.into_iter().filter(|(.., strategy, controller)| {
            strategy.as_deref() == Some("DAEMON") || controller.as_deref() == Some("EXTERNAL")
        });
        Ok(look.map(|(namespace, name, ..)| ObjectRef::of::<Service>(&namespace, &name)).collect())
    }

    fn reconcile(&mut self, now: Time, key: &ObjectRef) -> Result<Outcome> {
        aws::begin(now);
        match key.kind.kind.as_str() {
            "Task" => task::pass::reconcile(now, key, &self.options),
            "TaskDefinition" => definition::reconcile(now, key),
            "Service" => service::pass::reconcile(now, key, &self.options),
            _ => Err(Error::invalid(format!("{} is not reconciled here", key.kind))),
        }
    }
}
