//! Services.
//!
//! A pass over a Service does four things, in this order, each of which may be repeated after a crash:
//! 1. `allocate`: takes a virtual address and node ports. Each is an object named by the address or the number, whose
//!    creation fails if somebody has it; only then does the Service get to name it.
//! 2. `endpoints`: lists the pods that serve it in EndpointSlices, and in an Endpoints object for old clients.
//! 3. `frontend`: says to load balancers what leads where.
//! 4. Lets go of addresses and ports that nothing names any more.
//!
//! Nothing is remembered from one pass to the next.

pub mod admission;
pub mod allocate;
pub mod controller;
pub mod endpoints;
pub mod frontend;
pub mod kubernetes;
pub mod object;
pub mod options;
pub mod pass;

#[cfg(test)]
mod simulation;

gantry_sdk::plugin!(manifest: "manifest.toml", controller: controller::Services, admission: admission::Review);
