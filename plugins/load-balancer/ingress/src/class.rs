//! Which Ingresses are this plugin's, by their class, and the IngressClass that it keeps.

use gantry_sdk::api::{ObjectMeta, Resource};
use gantry_sdk::objects::{self, Query, Write};
use gantry_sdk::{ObjectRef, Result};

use crate::object::{Ingress, IngressClass};
use crate::options::Options;

/// What named the class before there were IngressClasses.
pub const OLD_ANNOTATION: &str = "kubernetes.io/ingress.class";
/// Says of a class that Ingresses without one get it.
pub const DEFAULT_ANNOTATION: &str = "ingressclass.kubernetes.io/is-default-class";
/// A namespace that is there before anything else: the class is made when it is seen.
pub const NAMESPACE: &str = "default";

/// The IngressClass that is kept.
pub fn reference(options: &Options) -> ObjectRef {
    ObjectRef::of::<IngressClass>("", &options.class)
}

/// Makes it if it is not there; whatever somebody has written into it stays.
pub fn ensure(options: &Options, key: &ObjectRef) -> Result<()> {
    if *key != reference(options) || objects::get::<IngressClass>(key)?.is_some() {
        return Ok(());
    }
    let mut class = IngressClass { metadata: ObjectMeta::named("", &options.class), ..IngressClass::default() };
    class.spec.controller.clone_from(&options.controller);
    if options.default_class {
        class.metadata.annotations.insert(DEFAULT_ANNOTATION.to_owned(), "true".to_owned());
    }
    match objects::apply_one(Write::create(&class)?) {
        Err(error) if !error.is_already_exists() => Err(error),
        _ => Ok(()),
    }
}

/// Whether this plugin serves an Ingress. One without a class is nobody's.
pub fn is_ours(options: &Options, ingress: &Ingress) -> Result<bool> {
    let Some(name) = &ingress.spec.ingress_class_name else {
        let old = ingress.metadata.annotations.get(OLD_ANNOTATION);
        return Ok(old.is_some_and(|class| *class == options.class));
    };
    let class = objects::get::<IngressClass>(&ObjectRef::of::<IngressClass>("", name))?;
    Ok(class.is_some_and(|class| class.spec.controller == options.controller))
}

/// Names of the classes that Ingresses without one get.
pub fn defaults() -> Result<Vec<String>> {
    let all = objects::list::<IngressClass>(&Query::of::<IngressClass>())?;
    let is_default =
        |class: &IngressClass| class.metadata.annotations.get(DEFAULT_ANNOTATION).is_some_and(|value| value == "true");
    Ok(all.iter().filter(|class| is_default(class)).map(|class| class.name().to_owned()).collect())
}
