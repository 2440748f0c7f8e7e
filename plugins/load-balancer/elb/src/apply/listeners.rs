//! Listeners and their rules.

use std::collections::{BTreeMap, BTreeSet};

use gantry_sdk::{Error, Result};

use super::{With, say};
use crate::aws::{self, Params};
use crate::found;
use crate::wanted::{Balancer, Listener};

/// ARNs of target groups by name.
type Arns = BTreeMap<String, String>;

/// Makes and changes those of a load balancer, and removes those that this plugin made and nobody wants.
pub fn ensure(
    with: &With<'_>,
    balancer: &str,
    wanted: &Balancer,
    known: Option<&BTreeMap<u16, found::Listener>>,
    arns: &Arns,
) -> Result<()> {
    for (port, listener) in &wanted.listeners {
        match known.and_then(|known| known.get(port)) {
            Some(known) if !known.ours => {
                let message =
                    format!("port {port} has a listener without the tags of this Frontend: it is not touched");
                return Err(Error::already_exists(message).retry_after_ms(60_000));
            }
            Some(known) => {
                change(with, known, *port, listener, arns)?;
                rules(with, &known.arn, listener, &known.rules, arns)?;
            }
            None => {
                let arn = create(with, balancer, *port, listener, arns)?;
                rules(with, &arn, listener, &BTreeMap::new(), arns)?;
            }
        }
    }
    for (_, known) in
        known.into_iter().flatten().filter(|(port, known)| known.ours && !wanted.listeners.contains_key(port))
    {
        super::remove::gone(with.client.act("DeleteListener", &Params::default().set("ListenerArn", &known.arn)))?;
    }
    Ok(())
}

fn said(params: Params, port: u16, listener: &Listener, arns: &Arns) -> Result<Params> {
    let params = params
        .set("Port", port)
        .set("Protocol", listener.protocol)
        // AWS takes one here, which is the default.
        .each("Certificates", listener.certificates.first(), |params, at, arn| {
            params.set(format!("{at}.CertificateArn"), arn)
        });
    say::action(params, "DefaultActions.member.1", &listener.default, arns)
}

fn create(with: &With<'_>, balancer: &str, port: u16, listener: &Listener, arns: &Arns) -> Result<String> {
    let params = said(Params::default().set("LoadBalancerArn", balancer), port, listener, arns)?;
    let params = params.tags(&with.owner.tags());
    let made: aws::Listener = with.client.make("CreateListener", &params, "Listeners")?;
    certificates(with, &made.listener_arn, listener, &BTreeSet::new())?;
    Ok(made.listener_arn)
}

fn change(with: &With<'_>, known: &found::Listener, port: u16, listener: &Listener, arns: &Arns) -> Result<()> {
    // One without TLS has none, whatever is told of it.
    let certificate = listener.certificates.first().is_none_or(|wanted| known.certificate.as_ref() == Some(wanted));
    if known.protocol != listener.protocol || known.default != listener.default || !certificate {
        let params = said(Params::default().set("ListenerArn", &known.arn), port, listener, arns)?;
        with.client.act("ModifyListener", &params)?;
    }
    certificates(with, &known.arn, listener, &known.named)
}

/// The others, by name (SNI), one a request as AWS demands. The one by default may be among them, and can't be removed.
fn certificates(with: &With<'_>, arn: &str, listener: &Listener, known: &BTreeSet<String>) -> Result<()> {
    if listener.certificates.is_empty() {
        // AWS forgot them with the protocol.
        return Ok(());
    }
    let default = listener.certificates.first();
    let others = listener.certificates.iter().skip(1);
    let come = others.filter(|one| Some(*one) != default && !known.contains(*one));
    let go = known.iter().filter(|one| !listener.certificates.contains(one));
    let requests = come.map(|one| ("AddListenerCertificates", one));
    for (action, one) in requests.chain(go.map(|one| ("RemoveListenerCertificates", one))) {
        let params = Params::default().set("ListenerArn", arn).set("Certificates.member.1.CertificateArn", one);
        with.client.act(action, &params)?;
    }
    Ok(())
}

/// The place in the list is the priority. Rules of others keep theirs; a wanted one that would get such a priority goes to the
/// next that is free.
fn rules(
    with: &With<'_>,
    listener: &str,
    wanted: &Listener,
    known: &BTreeMap<u32, found::Rule>,
    arns: &Arns,
) -> Result<()> {
    let mut free = (1_u32..).filter(|priority| known.get(priority).is_none_or(|rule| rule.ours));
    let mut kept = Vec::new();
    for (rule, priority) in wanted.rules.iter().zip(&mut free) {
        let known = known.get(&priority);
        kept.push(priority);
        if known.is_some_and(|known| known.conditions == rule.conditions && known.action == rule.action) {
            continue;
        }
        let head = match known {
            Some(known) => Params::default().set("RuleArn", &known.arn),
            None => Params::default().set("ListenerArn", listener).set("Priority", priority).tags(&with.owner.tags()),
        };
        let params = head.each("Conditions", &rule.conditions, say::condition);
        let params = say::action(params, "Actions.member.1", &rule.action, arns)?;
        with.client.act(if known.is_some() { "ModifyRule" } else { "CreateRule" }, &params)?;
    }
    for (_, over) in known.iter().filter(|(priority, rule)| rule.ours && !kept.contains(priority)) {
        super::remove::gone(with.client.act("DeleteRule", &Params::default().set("RuleArn", &over.arn)))?;
    }
    Ok(())
}
