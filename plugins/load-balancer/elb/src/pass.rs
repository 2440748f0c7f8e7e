//! One pass over a Frontend.

use std::time::Duration;

use gantry_sdk::api::{Frontend, Resource, Time};
use gantry_sdk::controller::Outcome;
use gantry_sdk::objects::{self, Write};
use gantry_sdk::{Error, ErrorCode, ObjectRef, Result, RetryHint, json};

use crate::apply::{self, With, remove};
use crate::aws::Client;
use crate::classic;
use crate::found::{Found, find};
use crate::names::Owner;
use crate::object::Spec;
use crate::options::Options;
use crate::reached::Reached;
use crate::settings::Settings;
use crate::tell;
use crate::wanted::{Members, Wanted, wanted};

/// The class of Frontends that it serves.
pub const CLASS: &str = "elb";
/// A Frontend stays until what was made for it is gone.
const FINALIZER: &str = "gantry.dev/elb";
/// How soon one that AWS is still making is looked at again.
const SOON: Duration = Duration::from_secs(10);
/// How soon one whose targets are not all well is looked at again. AWS tells nobody when they are.
const UNWELL: Duration = Duration::from_secs(30);
/// The longest tag of AWS.
const TAG: usize = 256;

/// Brings AWS in line with a Frontend.
pub fn reconcile(options: &Options, now: Time, key: &ObjectRef) -> Result<Outcome> {
    let Some(frontend) = objects::get::<Frontend>(key)? else { return Ok(Outcome::Done) };
    let held = frontend.metadata.finalizers.iter().any(|one| one == FINALIZER);
    let owner = Owner::new(&options.cluster, frontend.namespace(), frontend.name());
    let client = Client::new(&options.endpoint);
    let with = With { client: &client, owner: &owner };
    let outcome = match frontend.metadata.is_deleting() || frontend.class() != CLASS {
        true if held => release(&with, &frontend),
        true => return Ok(Outcome::Done),
        false => bring(options, &with, &frontend, held, now),
    };
    if let Err(error) = &outcome {
        tell::failed(&frontend, reason(error), error, now)?;
    }
    outcome
}

fn bring(options: &Options, with: &With<'_>, frontend: &Frontend, held: bool, now: Time) -> Result<Outcome> {
    if !held {
        // Before anything is made: from here on it can't be lost.
        hold(frontend, true)?;
    }
    if with.owner.frontend.len() > TAG {
        return Err(Error::invalid(format!(
            "its namespace and name together are longer than {TAG}, a tag's length in AWS"
        )));
    }
    let spec = Spec::read(frontend)?;
    let wanted = match plan(options, with.owner, frontend, &spec) {
        Err(error) if error.code == ErrorCode::Invalid && !spec.sources().is_empty() => {
            close(with)?;
            return Err(Error { message: format!("{}; until then nobody is let in", error.message), ..error });
        }
        planned => planned?,
    };
    let reached = make(with, &wanted)?;
    tell::reached(frontend, &reached, now)?;
    let resync = Duration::from_secs(options.resync_seconds.into());
    Ok(Outcome::after(match reached.is_active() {
        true if reached.is_well() => resync,
        true => UNWELL.min(resync),
        false => SOON,
    }))
}

fn plan(options: &Options, owner: &Owner, frontend: &Frontend, spec: &Spec) -> Result<Wanted> {
    let settings = Settings::new(options, &frontend.metadata.annotations)?;
    let members = Members::read(frontend.namespace(), settings.leads_to_nodes())?;
    Ok(wanted(owner, spec, &settings, &members)?)
}

/// One that is for some clients only and can't be had so must not stay open to all as it was before: it keeps its name, and
/// listens no more.
fn close(with: &With<'_>) -> Result<()> {
    let (found, older) = find_all(with)?;
    apply::close(with, &found)?;
    classic::close(&classic_of(with, &with.client.classic()), &older)
}

/// One of another kind that was wanted before goes when the new one is there.
fn make(with: &With<'_>, wanted: &Wanted) -> Result<Reached> {
    let (found, older) = find_all(with)?;
    match wanted {
        Wanted::Elastic(balancer) => {
            let is = apply::apply(with, balancer, &found)?;
            classic::remove(&classic_of(with, &with.client.classic()), &older)?;
            Ok(Reached::elastic(&is, balancer, &found))
        }
        Wanted::Classic(balancer) => {
            let hostname = classic::apply(&classic_of(with, &with.client.classic()), balancer, &older)?;
            remove(with, &found)?;
            Ok(Reached::classic(hostname, balancer, &older))
        }
    }
}

fn find_all(with: &With<'_>) -> Result<(Found, classic::Found)> {
    Ok((find(with.client, with.owner)?, classic::find(&with.client.classic(), with.owner)?))
}

fn classic_of<'a>(with: &With<'a>, client: &'a Client) -> With<'a> {
    With { client, owner: with.owner }
}

fn release(with: &With<'_>, frontend: &Frontend) -> Result<Outcome> {
    let (found, older) = find_all(with)?;
    remove(with, &found)?;
    classic::remove(&classic_of(with, &with.client.classic()), &older)?;
    if tell::withdraw(frontend)? {
        // That write brings the next pass.
        return Ok(Outcome::Done);
    }
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
