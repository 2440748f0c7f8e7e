//! The API of Amazon ECS.
//!
//! A request is looked at in this order: `signature` (who asks), `facts` (does it have the shape that the operation takes),
//! then its operation, which reads and writes objects of the group `ecs.gantry.dev`. What those objects lead to is
//! `controller-ecs`'s to do; nothing is answered here that it will not do.
//!
//! What containers ask at an address of their node is another protocol: `metadata`.

pub mod credentials;
pub mod dialect;
pub mod facts;
pub mod fault;
pub mod metadata;
pub mod names;
pub mod object;
pub mod operations;
pub mod options;
pub mod page;
pub mod signature;
pub mod store;

gantry_sdk::plugin!(manifest: "manifest.toml", api: dialect::Ecs);
