//! The Frontend of an Ingress.

use gantry_sdk::api::{ObjectMeta, Resource};
use gantry_sdk::objects::{self, Event, Write};
use gantry_sdk::{Error, ObjectRef, Result, Value, json, merge};

use crate::object::{Frontend, Ingress};

/// Ingresses share the kind with Services and other orchestrators' services.
fn reference(namespace: &str, ingress: &str) -> ObjectRef {
    ObjectRef::of::<Frontend>(namespace, format!("ingress-{ingress}"))
}

/// The Frontend of an Ingress, if it has one.
pub fn find(ingress: &Ingress) -> Result<Option<Frontend>> {
    let found = objects::get::<Frontend>(&reference(ingress.namespace(), ingress.name()))?;
    Ok(found.filter(|found| found.metadata.is_controlled_by(ingress.uid())))
}

/// Removes one.
pub fn delete(frontend: &Frontend) -> Result<()> {
    objects::settle(Write::delete(frontend.reference()).if_uid(frontend.uid()))
}

/// Makes it say this.
pub fn sync(ingress: &Ingress, spec: Value) -> Result<()> {
    let target = reference(ingress.namespace(), ingress.name());
    match objects::get::<Frontend>(&target)? {
        None => {
            let mut metadata = ObjectMeta::named(ingress.namespace(), target.name);
            metadata.owner_references = vec![ingress.controller_reference()];
            objects::apply_one(Write::create(&Frontend::new(metadata, spec))?).map(drop)
        }
        Some(found) if !found.metadata.is_controlled_by(ingress.uid()) => stranger(ingress, &found),
        Some(found) => match merge::diff(&found.spec, &spec) {
            Some(patch) => {
                objects::apply_one(Write::patch(target, &json!({ "spec": patch })).if_uid(found.uid())).map(drop)
            }
            None => Ok(()),
        },
    }
}

/// One of an Ingress of this name that was there before goes; anybody else's stays.
fn stranger(ingress: &Ingress, found: &Frontend) -> Result<()> {
    let of_namesake = |owner: &gantry_sdk::api::OwnerReference| {
        owner.kind == Ingress::KIND && owner.api_version == Ingress::api_version()
    };
    if found.metadata.controller().is_some_and(of_namesake) {
        delete(found)?;
        return Err(Error::conflict(format!("Frontend {} of an Ingress that is gone goes first", found.name())));
    }
    let message = format!("the name of Frontend {} is taken by one that is not of this Ingress", found.name());
    objects::record(&[Event::warning(ingress, "FrontendTaken", message.clone())]);
    Err(Error::conflict(message))
}
