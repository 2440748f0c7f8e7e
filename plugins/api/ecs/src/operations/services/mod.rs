//! Services: so many tasks, or one on each node. What is wanted is written here; `controller-ecs` does it.

mod balancers;
mod change;
mod check;
mod connect;
mod create;
mod history;
mod list;
mod registries;
mod reserve;
mod revisions;
mod sets;
mod stop;
mod template;
mod view;

pub use change::{delete, update};
pub use connect::namespace;
pub use create::create;
pub use history::{describe as describe_deployments, list as list_deployments};
pub use list::{describe, list, names, unknown};
pub use registries::list as list_by_namespace;
pub use revisions::describe as describe_revisions;
pub use sets::{
    create as create_task_set, delete as delete_task_set, describe as describe_task_sets,
    lead as update_primary_task_set, update as update_task_set,
};
pub use stop::stop as stop_deployment;
