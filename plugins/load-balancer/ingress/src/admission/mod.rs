//! What a write of an Ingress or IngressClass must keep to beyond the schema, in Kubernetes' words. The host answers 422
//! with every cause, before anything is stored. An Ingress that names no class gets the default one, if there is one.
//!
//! An update that leaves `spec` alone is let through: what was stored before a rule existed can still be labelled.

mod names;
mod path;

use gantry_sdk::admission::{Cause, Operation, Request, Rule, Verdict};
use gantry_sdk::api::Resource;
use gantry_sdk::{Admission, Config, Result, Value, json};

use crate::class;
use crate::object::{Backend, Ingress, IngressClass, ServiceBackend, Tls};
use crate::options::Options;

/// Looks at writes of Ingresses and their classes.
#[derive(Default)]
pub struct Review;

impl Admission for Review {
    fn configure(&mut self, config: Config) -> Result<()> {
        config.parse::<Options>()?.check()
    }

    fn rules(&self) -> Vec<Rule> {
        vec![
            Rule::of::<Ingress>().operations([Operation::Create]).mutating(),
            Rule::of::<Ingress>(),
            Rule::of::<IngressClass>(),
        ]
    }

    fn review(&mut self, request: &Request) -> Result<Verdict> {
        if request.operation == Operation::Delete {
            return Ok(Verdict::allow());
        }
        if request.kind.kind == IngressClass::KIND {
            return review_class(request);
        }
        let ingress: Ingress = request.object()?;
        let before = request.before::<Ingress>()?;
        if request.may_change {
            return if before.is_none() { classed(request, &ingress) } else { Ok(Verdict::allow()) };
        }
        if before.as_ref().is_some_and(|before| before.spec == ingress.spec) {
            return Ok(Verdict::allow());
        }
        let mut causes = Vec::new();
        check(&ingress, before.is_none(), &mut causes);
        Ok(Verdict::invalid(causes))
    }
}

/// With the default class. With several there is none: whoever writes must choose.
fn classed(request: &Request, ingress: &Ingress) -> Result<Verdict> {
    if ingress.spec.ingress_class_name.is_some() || ingress.metadata.annotations.contains_key(class::OLD_ANNOTATION) {
        return Ok(Verdict::allow());
    }
    Ok(match class::defaults()?.as_slice() {
        [] => Verdict::allow(),
        [name] => {
            let asked: Value = request.object()?;
            let mut wanted = asked.clone();
            if let Some(spec) = wanted.pointer_mut("/spec").and_then(Value::as_object_mut) {
                spec.insert("ingressClassName".to_owned(), json!(name));
            }
            Verdict::change(&asked, &wanted)
        }
        several => Verdict::forbid(format!(
            "{} IngressClasses are marked as default ({}): name one of them in spec.ingressClassName",
            several.len(),
            several.join(", ")
        )),
    })
}

fn check(ingress: &Ingress, new: bool, causes: &mut Vec<Cause>) {
    let spec = &ingress.spec;
    if let Some(name) = &spec.ingress_class_name {
        if new && ingress.metadata.annotations.contains_key(class::OLD_ANNOTATION) {
            let field = format!("metadata.annotations[{}]", class::OLD_ANNOTATION);
            let given = ingress.metadata.annotations.get(class::OLD_ANNOTATION);
            causes.push(Cause::invalid(field, &json!(given), "can not be set when the class field is also set"));
        }
        if let Some(detail) = names::misnamed(name) {
            causes.push(Cause::invalid("spec.ingressClassName", &json!(name), detail));
        }
    }
    if spec.rules.is_empty() && spec.default_backend.is_none() {
        let detail = "either `defaultBackend` or `rules` must be specified";
        causes.push(Cause::invalid("spec", &json!(spec), detail));
    }
    if let Some(backend) = &spec.default_backend {
        check_backend("spec.defaultBackend", backend, causes);
    }
    for (at, tls) in spec.tls.iter().enumerate() {
        check_tls(&format!("spec.tls[{at}]"), tls, causes);
    }
    for (at, rule) in spec.rules.iter().enumerate() {
        let field = format!("spec.rules[{at}]");
        if !rule.host.is_empty()
            && let Some(detail) = names::unhosted(&rule.host)
        {
            causes.push(Cause::invalid(format!("{field}.host"), &json!(rule.host), detail));
        }
        let Some(http) = &rule.http else { continue };
        if http.paths.is_empty() {
            causes.push(Cause::required(format!("{field}.http.paths"), ""));
        }
        for (index, path) in http.paths.iter().enumerate() {
            let field = format!("{field}.http.paths[{index}]");
            path::check(&field, path, causes);
            check_backend(&format!("{field}.backend"), &path.backend, causes);
        }
    }
}

fn check_tls(field: &str, tls: &Tls, causes: &mut Vec<Cause>) {
    for (at, host) in tls.hosts.iter().enumerate() {
        if let Some(detail) = names::unhosted(host) {
            causes.push(Cause::invalid(format!("{field}.hosts[{at}]"), &json!(host), detail));
        }
    }
    if !tls.secret_name.is_empty()
        && let Some(detail) = names::misnamed(&tls.secret_name)
    {
        causes.push(Cause::invalid(format!("{field}.secretName"), &json!(tls.secret_name), detail));
    }
}

fn check_backend(field: &str, backend: &Backend, causes: &mut Vec<Cause>) {
    match (&backend.service, &backend.resource) {
        (Some(_), Some(_)) => {
            let detail = "cannot set both resource and service backends";
            causes.push(Cause::invalid(field, &json!(""), detail));
        }
        (None, None) => causes.push(Cause::required(field, "a service or resource backend is required")),
        (Some(service), None) => check_service(&format!("{field}.service"), service, causes),
        (None, Some(_)) => {}
    }
}

fn check_service(field: &str, service: &ServiceBackend, causes: &mut Vec<Cause>) {
    if service.name.is_empty() {
        causes.push(Cause::required(format!("{field}.name"), ""));
    } else if let Some(detail) = names::no_label(&service.name) {
        causes.push(Cause::invalid(format!("{field}.name"), &json!(service.name), detail));
    }
    let port = &service.port;
    match (port.name.as_str(), port.number) {
        ("", 0) => causes.push(Cause::required(format!("{field}.port"), "port name or number is required")),
        ("", number) if !(1..=65_535).contains(&number) => {
            let detail = "must be between 1 and 65535, inclusive";
            causes.push(Cause::invalid(format!("{field}.port.number"), &json!(number), detail));
        }
        ("", _) => {}
        (_, number) if number != 0 => {
            let detail = "cannot set both port name & port number";
            causes.push(Cause::invalid(format!("{field}.port"), &json!(port), detail));
        }
        (name, _) => {
            if let Some(detail) = names::no_port(name) {
                causes.push(Cause::invalid(format!("{field}.port.name"), &json!(name), detail));
            }
        }
    }
}

fn review_class(request: &Request) -> Result<Verdict> {
    let class: IngressClass = request.object()?;
    let controller = &class.spec.controller;
    let before = request.before::<IngressClass>()?.map(|before| before.spec.controller);
    let mut causes = Vec::new();
    match before {
        Some(before) if before != *controller => {
            causes.push(Cause::invalid("spec.controller", &json!(controller), "field is immutable"));
        }
        Some(_) => {}
        None if controller.is_empty() => causes.push(Cause::required("spec.controller", "")),
        None => {
            let (domain, path) = controller.split_once('/').unwrap_or_default();
            if controller.len() > 250 || path.is_empty() || names::misnamed(domain).is_some() {
                let detail = "must be a domain-prefixed path (such as \"acme.io/foo\") of at most 250 characters";
                causes.push(Cause::invalid("spec.controller", &json!(controller), detail));
            }
        }
    }
    Ok(Verdict::invalid(causes))
}

#[cfg(test)]
mod tests;
