//! Frontends of the class `elb` through the API of AWS's Elastic Load Balancing: what a Service of the type LoadBalancer or
//! rules for HTTP come to outside of the cluster.
//!
//! - `controller`: what wakes a Frontend or a Service. `service`: from a Service to its Frontend, and back its host name.
//! - `wanted`: what a Frontend comes to: a load balancer, its listeners and rules, target groups and targets. Pure.
//! - `found`: what there is of that in AWS, by its tags. `apply`: the requests that bring the one to the other.
//! - `aws`: the API's words: its query protocol, its XML, its errors.
//! - `classic`: the same for Classic load balancers.
//! - `pass`: one pass over a Frontend. `reached`: what came of it. `tell`: what is said of that.
//!
//! Everything that is made has a name that follows from the cluster and the Frontend, and carries both as tags; what does
//! not carry them is never touched. So a crash between any two requests costs nothing but the next pass.

pub mod controller;

mod apply;
mod aws;
mod classic;
mod found;
mod names;
mod object;
mod options;
mod pass;
mod reached;
mod service;
mod settings;
mod tell;
mod wanted;

gantry_sdk::plugin!(manifest: "manifest.toml", controller: controller::Frontends);
