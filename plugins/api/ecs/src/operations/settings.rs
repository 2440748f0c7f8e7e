//! Account settings: of a caller, or of the account for all of them. Of each only the value can be said that is true here;
//! it is kept and shown.

use ecs_common::ids::digest;
use gantry_sdk::api::ObjectMeta;
use gantry_sdk::{Value, json};

use super::Context;
use crate::fault::{Fault, Result};
use crate::object::{AccountSetting, text};
use crate::page::page_of;

/// Settings of one page.
const PAGE: u64 = 10;

/// A setting of ECS.
struct Known {
    name: &'static str,
    /// What ECS takes; nothing: a number of days.
    values: &'static [&'static str],
    /// What is so here.
    here: &'static str,
    /// Why nothing else can be said.
    why: &'static str,
}

const ARNS: &str = "ARNs of this control plane have their long form";
const SWITCH: &[&str] = &["enabled", "disabled"];
const FARGATE: &str = "there is no Fargate here";

/// All but `guardDutyActivate`, which AWS itself manages.
const KNOWN: &[Known] = &[
    Known {
        name: "awsvpcTrunking",
        values: SWITCH,
        here: "disabled",
        why: "no network interface is attached to a node",
    },
    Known {
        name: "containerInsights",
        values: &["enabled", "disabled", "enhanced"],
        here: "disabled",
        why: "nobody collects Container Insights",
    },
    Known { name: "containerInstanceLongArnFormat", values: SWITCH, here: "enabled", why: ARNS },
    Known {
        name: "defaultLogDriverMode",
        values: &["blocking", "non-blocking"],
        here: "blocking",
        why: "a container waits until what it prints is taken",
    },
    Known { name: "fargateEventWindows", values: SWITCH, here: "disabled", why: FARGATE },
    Known { name: "fargateFIPSMode", values: SWITCH, here: "disabled", why: FARGATE },
    Known { name: "fargateTaskRetirementWaitPeriod", values: &["0", "7", "14"], here: "", why: FARGATE },
    Known { name: "serviceLongArnFormat", values: SWITCH, here: "enabled", why: ARNS },
    Known {
        name: "tagResourceAuthorization",
        values: &["on", "off"],
        here: "off",
        why: "an access key opens every operation",
    },
    Known { name: "taskLongArnFormat", values: SWITCH, here: "enabled", why: ARNS },
];
/// Read only, for everybody.
const MANAGED: &str = "guardDutyActivate";

/// PutAccountSetting: of the caller, unless somebody else is named.
pub fn put(context: &Context<'_>, request: &Value) -> Result<Value> {
    set(context, request, principal(context, request)?)
}

/// PutAccountSettingDefault: of everybody who has not said otherwise.
pub fn put_default(context: &Context<'_>, request: &Value) -> Result<Value> {
    set(context, request, root(context))
}

fn set(context: &Context<'_>, request: &Value, principal: String) -> Result<Value> {
    let (known, value) = (known(request)?, text(request, "value"));
    if !known.values.contains(&value) {
        return Err(Fault::parameter(format!(
            "The value {value:?} is not valid for the setting {}: [{}]",
            known.name,
            known.values.join(", ")
        )));
    }
    if value != known.here {
        return Err(Fault::client(format!("The setting {} can't be {value}: {}.", known.name, known.why)));
    }
    let metadata = ObjectMeta::named(&context.options.namespace, object(known.name, &principal));
    let spec = json!({"principalArn": principal, "name": known.name, "value": value});
    context.create(&AccountSetting { metadata, spec, status: Value::Null })?;
    Ok(json!({"setting": view(known.name, value, &principal)}))
}

/// DeleteAccountSetting: what was never set is gone too.
pub fn delete(context: &Context<'_>, request: &Value) -> Result<Value> {
    let (known, principal) = (known(request)?, principal(context, request)?);
    if let Some(setting) = context.get::<AccountSetting>(&object(known.name, &principal))? {
        context.delete(&setting)?;
    }
    Ok(json!({"setting": view(known.name, known.here, &principal)}))
}

/// ListAccountSettings: what was set, or with `effectiveSettings` what is so.
pub fn list(context: &Context<'_>, request: &Value) -> Result<Value> {
    let (name, value, principal) = (text(request, "name"), text(request, "value"), principal(context, request)?);
    if name.is_empty() && !value.is_empty() {
        return Err(Fault::parameter("A setting's value can only be given with its name."));
    }
    let fields = ["/spec/principalArn", "/spec/name", "/spec/value"];
    let rows: Vec<(String, String, String)> = context.rows::<AccountSetting, _>("", fields)?;
    let of = |who: &str, setting: &str| rows.iter().find(|(of, name, _)| of == who && name == setting);
    let effective = request.get("effectiveSettings").and_then(Value::as_bool) == Some(true);
    let mut all: Vec<(&str, &str, String)> = Vec::new();
    for known in KNOWN.iter().filter(|known| effective || of(&principal, known.name).is_some()) {
        let own = of(&principal, known.name).or_else(|| of(&root(context), known.name));
        let said = own.map_or(known.here, |(.., value)| value);
        let whose = own.map_or(principal.clone(), |(who, ..)| who.clone());
        all.extend((!said.is_empty()).then_some((known.name, said, whose)));
    }
    if effective {
        all.push((MANAGED, "off", principal));
    }
    let fits = |(of, said, _): &&(&str, &str, String)| {
        (name.is_empty() || name == *of) && (value.is_empty() || value == *said)
    };
    let keyed = all.iter().filter(fits).map(|(name, value, who)| ((*name).to_owned(), view(name, value, who)));
    page_of(request, "settings", PAGE, keyed.collect())
}

fn known(request: &Value) -> Result<&'static Known> {
    let name = text(request, "name");
    if name == MANAGED {
        return Err(Fault::parameter(format!("The setting {name} is managed by AWS and can't be changed.")));
    }
    let known = KNOWN.iter().find(|known| known.name == name);
    known.ok_or_else(|| Fault::parameter(format!("The setting {name} is not known.")))
}

/// The account's own user.
fn root(context: &Context<'_>) -> String {
    format!("arn:aws:iam::{}:root", context.options.account)
}

/// Whose setting is meant. Whoever has an access key speaks for all.
fn principal(context: &Context<'_>, request: &Value) -> Result<String> {
    let given = text(request, "principalArn");
    let ours = format!("arn:aws:iam::{}:", context.options.account);
    let one = |rest: &str| {
        rest == "root" || ["user/", "role/"].iter().any(|kind| rest.len() > kind.len() && rest.starts_with(kind))
    };
    match given {
        "" => Ok(context.caller.clone()),
        given if given.len() <= 2048 && given.strip_prefix(&ours).is_some_and(one) => Ok(given.to_owned()),
        given => Err(Fault::parameter(format!(
            "Invalid principalArn {given:?}: it is no user, role or root of this account."
        ))),
    }
}

fn object(name: &str, principal: &str) -> String {
    format!("{}.{}", name.to_ascii_lowercase(), digest(principal, 32))
}

fn view(name: &str, value: &str, principal: &str) -> Value {
    let kind = if name == MANAGED { "aws_managed" } else { "user" };
    json!({"name": name, "value": value, "principalArn": principal, "type": kind})
}
