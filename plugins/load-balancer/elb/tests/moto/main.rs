//! `load-balancer-elb` end to end with AWS's API as `moto` has it: the component in the real engine makes signed requests to a
//! `moto_server` on loopback, and `aws elbv2` of the AWS CLI says what is there. Objects are those of `testing::Host`.
//!
//! Not tried here, since moto does not do it: health of targets (all are healthy at once), draining, quotas, throttling, and a
//! load balancer that takes minutes to be made. The simulation in the plugin's own tests has the refusals among these.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure here is a panic"
)]

mod application;
mod classic;
mod moto;
mod network;
mod world;

use gantry_contract::{Given, Stage, run};
use gantry_sdk::testing::{Fault, Verb, suite};
use gantry_sdk::{Config, json};
use load_balancer_elb::controller::Frontends;

use moto::{Moto, component};
use world::{World, config, namespace, ports, slice, target};

/// What every controller must do. In the engine over a Service, so that it writes, fails at each write in turn and heals, while
/// `moto` keeps what was made in between; natively without, since there is nobody to ask.
#[test]
fn keeps_the_rules_of_its_family() {
    let moto = Moto::start();
    let config = config(&moto);
    suite::controller::<Frontends>(&Config::from(config.clone()), &[]);
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default", "uid": "u-1"},
        "spec": {"type": "LoadBalancer", "loadBalancerClass": "gantry.dev/elb",
                 "ports": [{"name": "http", "port": 80, "nodePort": 30_080}]},
    });
    let objects = vec![namespace(), service, slice(&["172.31.0.1"])];
    run(component(&moto), &Given { config, objects }).unwrap();
    assert_eq!(moto.list("describe-load-balancers", "LoadBalancers", &[]).len(), 1);
    assert_eq!(moto.list("describe-target-groups", "TargetGroups", &[]).len(), 1);
}

/// The host dies after AWS did what it was asked for and before anything of that is written down.
#[test]
fn a_host_killed_in_between_doubles_nothing() {
    let moto = Moto::start();
    let _stage = Stage::set(component(&moto)).unwrap();
    let mut world = World::new(&moto);
    world.slice(&["172.31.0.1"]);
    // The finalizer is written, the status is not.
    world.host.fail(Fault::on(Verb::Patch).skip(1));
    world.put("Frontend", "web", ports(&[80]));
    world.driver.as_mut().unwrap().round();
    let once = moto.list("describe-load-balancers", "LoadBalancers", &[]);
    assert_eq!(once.len(), 1);
    world.restart();
    let changes = moto.changes(|| world.settle());
    assert_eq!(changes, Vec::<String>::new());
    assert_eq!(moto.list("describe-load-balancers", "LoadBalancers", &[]), once);
    let frontend = world.host.get_json(&target("Frontend", "web")).unwrap();
    assert_eq!(frontend["metadata"]["annotations"]["gantry.dev/hostname"], once[0]["DNSName"]);
}
