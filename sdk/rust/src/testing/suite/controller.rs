use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::misspelt;
use crate::api::Time;
use crate::testing::{Driver, Fault, Host, Verb};
use crate::{Config, Controller, KindRef, ObjectRef, controller};

/// More writes than a suite's objects should need.
const MOST: u32 = 200;

/// Controllers: a steady description; nothing to do for an object that is gone; and over `objects`, which somebody made:
/// the controller comes to rest, a new instance then writes nothing, and a write that fails, or whose answer is lost,
/// changes nothing in the end. No objects are fine; those that make the controller write are better.
pub fn controller<C: Controller>(config: &Config, objects: &[Value]) {
    assert!(C::default().configure(misspelt(config)).is_err(), "an unknown key of the configuration is refused");
    described::<C>(config);
    let rested = rested::<C>(config, objects);
    for verb in [Verb::Create, Verb::Update, Verb::Patch, Verb::Delete] {
        for made in [false, true] {
            heals::<C>(config, objects, &rested, verb, made);
        }
    }
}

fn described<C: Controller>(config: &Config) {
    let _host = hosted(config, &[]);
    let mut plugin = C::default();
    plugin.configure(config.clone()).expect("takes its configuration");
    let watches = plugin.watches();
    assert!(!watches.is_empty(), "a controller watches something");
    assert_eq!(watches, plugin.watches(), "the description stays the same");
    for watch in &watches {
        let key = |name: &str| ObjectRef { kind: watch.target.clone(), namespace: "default".into(), name: name.into() };
        let keys = [key("gone"), key("gone too")];
        let outcomes = plugin.reconcile_batch(Time::from_millis(1), &keys);
        assert_eq!(outcomes, [controller::Outcome::Done, controller::Outcome::Done], "nothing to do for what is gone");
    }
    assert!(plugin.reconcile_batch(Time::from_millis(1), &[]).is_empty(), "no keys, no outcomes");
}

/// What is there when the controller has come to rest.
fn rested<C: Controller>(config: &Config, objects: &[Value]) -> BTreeMap<KindRef, usize> {
    let host = hosted(config, objects);
    let mut driver = Driver::<C>::new(&host);
    driver.settle();
    assert_eq!(driver.take_errors(), [], "no pass over these objects fails");
    let rested = host.counts();
    host.take_writes();
    driver.restart().settle();
    assert_eq!(host.take_writes(), [], "a new instance finds nothing left to do");
    assert_eq!(host.counts(), rested);
    rested
}

/// Every write of this kind fails once, each on a host of its own.
fn heals<C: Controller>(config: &Config, objects: &[Value], rested: &BTreeMap<KindRef, usize>, verb: Verb, made: bool) {
    for skip in 0..MOST {
        let host = hosted(config, objects);
        let fault = Fault::on(verb).skip(skip);
        host.fail(if made { fault.but_made() } else { fault });
        let mut driver = Driver::<C>::new(&host);
        driver.settle();
        if host.faults_left() {
            return;
        }
        let mut driver = driver.restart();
        driver.settle();
        driver.advance(Duration::from_secs(60));
        assert_eq!(host.counts(), *rested, "heals when {verb:?} number {skip} fails (made all the same: {made})");
    }
    panic!("more than {MOST} writes of the kind {verb:?}: give the suite smaller objects");
}

fn hosted(config: &Config, objects: &[Value]) -> Host {
    let host = Host::new();
    host.set_config(config.parse().expect("a configuration is JSON"));
    for object in objects {
        host.add_json(object.clone());
    }
    host
}
