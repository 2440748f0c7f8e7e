//! Ingresses of `networking.k8s.io/v1`: HTTP by host and path, TLS by name, through a proxy on every node.
//!
//! Two halves, which share nothing but Frontends:
//! - the controller makes a Frontend of each Ingress (`controller`, `pass`, `rules`, `backends`) and says in the Ingress
//!   where it is reached (`addresses`); `class` keeps an IngressClass, `admission` reviews what users write.
//! - the load balancer (`balancer`) puts Frontends of the class `ingress` together: one table for each port (`listeners`),
//!   in the order that Kubernetes documents (`order`), and a pool for each backend.

mod addresses;
pub mod admission;
mod backends;
mod balancer;
mod class;
pub mod controller;
mod frontend;
mod listeners;
mod object;
mod options;
mod order;
mod pass;
mod rules;
#[cfg(test)]
mod simulation;

pub use balancer::Balancer;

gantry_sdk::plugin!(
    manifest: "manifest.toml",
    admission: admission::Review,
    controller: controller::Ingresses,
    load_balancer: Balancer,
);
