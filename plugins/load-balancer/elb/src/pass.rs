//! One pass over a Frontend.

use std::time::Duration;

use gantry_sdk::api::{Resource, Time};
use gantry_sdk::controller::Outcome;
use gantry_sdk::objects::{self, Write};
use gantry_sdk::{Error, ErrorCode, ObjectRef, Result, RetryHint, json};

use crate::apply::{With, apply, remove};
use crate::aws::Client;
use crate::found::find;
use crate::names::Owner;
use crate::object::Frontend;
use crate::options::Options;
use crate::settings::{Settings, TargetType};
use crate::tell;
use crate::wanted::{Members, Unfit, balancer};

/// The class of Frontends that it serves.
pub const CLASS: &str = "elb";
/// A Frontend stays until what was made for it is gone.
const FINALIZER: &str = "gantry.dev/elb";
/// How soon one that AWS is still making is looked at again.
const SOON: Duration = Duration::from_secs(10);
/// The longest tag of AWS.
const TAG: usize = 256;

/// Brings AWS in line with a Frontend.
pub fn reconcile(options: &Options, now: Time, key: &ObjectRef) -> Result<Outcome> {
    let Some(frontend) = objects::get::<Frontend>(key)? else { return Ok(Outcome::Done) };
    let held = frontend.metadata.finalizers.iter().any(|one| one == FINALIZER);
    let owner = Owner::new(&options.cluster, frontend.namespace(), frontend.name());
    let client = Client::new(&options.endpoint);
    let with = With { client: &client, owner: &owner };
    if frontend.metadata.is_deleting() || frontend.spec.class != CLASS {
        return if held { release(&with, &frontend) } else { Ok(Outcome::Done) };
    }
    if !held {
        // Before anything is made: from here on it can't be lost.
        hold(&frontend, true)?;
    }
    match bring(options, &with, &frontend, now) {
        Ok(active) => {
            Ok(Outcome::after(if active { Duration::from_secs(options.resync_seconds.into()) } else { SOON }))
        }
        Err(error) => {
            tell::failed(&frontend, reason(&error), &error, now)?;
            Err(error)
        }
    }
}

/// Whether AWS is done with it.
fn bring(options: &Options, with: &With<'_>, frontend: &Frontend, now: Time) -> Result<bool> {
    if with.owner.frontend.len() > TAG {
        return Err(Error::invalid(format!(
            "its namespace and name together are longer than {TAG}, a tag's length in AWS"
        )));
    }
    let settings = Settings::new(options, &frontend.metadata.annotations)?;
    let members = Members::read(frontend.namespace(), settings.target_type == TargetType::Instance)?;
    let wanted =
        balancer(with.owner, &frontend.spec, &settings, &members).map_err(|Unfit(what)| Error::invalid(what))?;
    let found = find(with.client, with.owner)?;
    let is = apply(with, &wanted, &found)?;
    tell::reached(frontend, &is, &wanted, &found, now)?;
    Ok(is.state.code == "active")
}

fn release(with: &With<'_>, frontend: &Frontend) -> Result<Outcome> {
    let found = find(with.client, with.owner)?;
    remove(with, &found)?;
    tell::removed(frontend);
    hold(frontend, false)?;
    Ok(Outcome::Done)
}

fn hold(frontend: &Frontend, on: bool) -> Result<()> {
    let mut finalizers = frontend.metadata.finalizers.clone();
    finalizers.retain(|one| one != FINALIZER);
    if on {
        finalizers.push(FINALIZER.to_owned());
    }
    let write = Write::patch(frontend.reference(), &json!({"metadata": {"finalizers": finalizers}}));
    objects::apply_one(write.if_uid(frontend.uid()).if_version(&frontend.metadata.resource_version)).map(drop)
}

fn reason(error: &Error) -> &'static str {
    match (&error.code, error.retry) {
        (ErrorCode::AlreadyExists, _) => "NameTaken",
        (ErrorCode::Invalid, RetryHint::Never) => "Unsupported",
        (ErrorCode::Invalid, _) => "Refused",
        (ErrorCode::Forbidden, _) => "NotGranted",
        _ => "Unavailable",
    }
}
