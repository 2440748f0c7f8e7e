//! What becomes of a request for a certificate. Decides and does nothing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gantry_api::NODES;
use gantry_api::pki::{self, Wanted};
use gantry_model::validate::names;
use serde_json::Value;

use super::{BOOTSTRAPPERS, NODE_USER, SIGNER};

/// What a certificate of a node may be for; the last one it must be for.
const USAGES: [&str; 3] = ["digital signature", "key encipherment", "client auth"];

/// What judges need to know of the world.
pub trait World {
    /// The name that the holder of a token may join as. An error: there is no such token (any more).
    fn bound(&self, user: &str) -> Result<Option<String>, String>;
    /// Why this node's name can't be given to another machine now.
    fn taken(&self, node: &str) -> Option<String>;
}

/// What becomes of it.
#[derive(Debug)]
pub enum Verdict {
    /// Nothing, for now or for good: it is answered, or somebody else's to answer.
    Leave,
    /// It gets what it wants. `approves`: nobody has said so before.
    Sign { wanted: Wanted, approves: bool },
    /// It does not, and why.
    Deny(String),
    /// It can't be signed, whoever asks.
    Fail(String),
}

/// Looks at a CertificateSigningRequest.
pub fn judge(request: &Value, world: &impl World) -> Verdict {
    let text = |pointer: &str| request.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let conditions = request.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let kinds: Vec<&str> = conditions.filter_map(|condition| condition.get("type")?.as_str()).collect();
    let over = kinds.contains(&"Denied") || kinds.contains(&"Failed") || !text("/status/certificate").is_empty();
    if text("/spec/signerName") != SIGNER || over {
        return Verdict::Leave;
    }
    let (wanted, node) = match read(request) {
        Ok(read) => read,
        Err(why) => return Verdict::Fail(why),
    };
    let approves = !kinds.contains(&"Approved");
    if approves {
        let list = request.pointer("/spec/groups").and_then(Value::as_array).into_iter().flatten();
        let groups: Vec<&str> = list.filter_map(Value::as_str).collect();
        match may(text("/spec/username"), &groups, &node, world) {
            Some(Ok(())) => {}
            Some(Err(why)) => return Verdict::Deny(why),
            None => return Verdict::Leave,
        }
    }
    Verdict::Sign { wanted, approves }
}

/// What is asked for, and the node of which.
fn read(request: &Value) -> Result<(Wanted, String), String> {
    let encoded = request.pointer("/spec/request").and_then(Value::as_str).unwrap_or_default();
    let pem = STANDARD.decode(encoded).map_err(|_| "spec.request is not base64".to_owned())?;
    let wanted = pki::read_request(&pem).map_err(|why| format!("spec.request can't be used: {why}"))?;
    let usages = request.pointer("/spec/usages").and_then(Value::as_array).into_iter().flatten();
    let usages: Vec<&str> = usages.filter_map(Value::as_str).collect();
    if let Some(other) = usages.iter().find(|usage| !USAGES.contains(usage)) {
        return Err(format!("spec.usages: {SIGNER} does not sign for {other:?}"));
    }
    if !usages.contains(&"client auth") {
        return Err("spec.usages must have \"client auth\"".to_owned());
    }
    let node = wanted.user.strip_prefix(NODE_USER).unwrap_or_default().to_owned();
    if wanted.groups != [NODES] || !names::dns_subdomain(&node).is_empty() {
        return Err(format!("the subject must be O={NODES}, CN={NODE_USER}NAME"));
    }
    if wanted.more {
        return Err("it asks for more than a subject with O and CN".to_owned());
    }
    Ok((wanted, node))
}

/// Whether whoever asks may have a certificate of this node; `None`: a person decides.
fn may(user: &str, groups: &[&str], node: &str, world: &impl World) -> Option<Result<(), String>> {
    if let (true, Some(own)) = (groups.contains(&NODES), user.strip_prefix(NODE_USER)) {
        let other = || format!("node {own:?} may renew its own certificate only, not that of node {node:?}");
        return Some(if own == node { Ok(()) } else { Err(other()) });
    }
    groups.contains(&BOOTSTRAPPERS).then(|| match world.bound(user)? {
        Some(bound) if bound != node => Err(format!("the token is for node {bound:?}, not for {node:?}")),
        _ => world.taken(node).map_or(Ok(()), Err),
    })
}

#[cfg(test)]
pub mod testing {
    use gantry_model::{Kinds, core};
    use gantry_objects::Objects;
    use gantry_store::Sled;
    use std::sync::Arc;

    /// Objects of core kinds, with the first namespaces.
    pub async fn world() -> Objects {
        let kinds = Kinds::default();
        core::register(&kinds);
        let objects = Objects::new(Arc::new(Sled::temporary().unwrap()), kinds);
        gantry_control::bootstrap::run(&objects).await.unwrap();
        objects
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Two;

    impl World for Two {
        fn bound(&self, user: &str) -> Result<Option<String>, String> {
            match user {
                "system:bootstrap:any000" => Ok(None),
                "system:bootstrap:bound0" => Ok(Some("n1".to_owned())),
                _ => Err("it is gone".to_owned()),
            }
        }

        fn taken(&self, node: &str) -> Option<String> {
            (node == "busy").then(|| "it is taken".to_owned())
        }
    }

    fn request(user: &str, group: &str, node: &str) -> Value {
        let (_, pem) = pki::request(&format!("{NODE_USER}{node}"), NODES).unwrap();
        json!({"spec": {
            "request": STANDARD.encode(pem), "signerName": SIGNER, "usages": ["digital signature", "client auth"],
            "username": user, "groups": [group, "system:authenticated"],
        }})
    }

    fn said(request: &Value) -> String {
        match judge(request, &Two) {
            Verdict::Leave => "leave".to_owned(),
            Verdict::Sign { approves: true, .. } => "approve".to_owned(),
            Verdict::Sign { .. } => "sign".to_owned(),
            Verdict::Deny(why) => format!("deny: {why}"),
            Verdict::Fail(why) => format!("fail: {why}"),
        }
    }

    #[test]
    fn who_asks_decides() {
        for (user, group, node, want) in [
            ("system:bootstrap:any000", BOOTSTRAPPERS, "n1", "approve"),
            ("system:bootstrap:any000", BOOTSTRAPPERS, "busy", "deny: it is taken"),
            ("system:bootstrap:bound0", BOOTSTRAPPERS, "n1", "approve"),
            ("system:bootstrap:bound0", BOOTSTRAPPERS, "n2", "deny: the token is for node \"n1\""),
            ("system:bootstrap:gone00", BOOTSTRAPPERS, "n1", "deny: it is gone"),
            ("system:node:n1", NODES, "n1", "approve"),
            ("system:node:busy", NODES, "busy", "approve"),
            ("system:node:n2", NODES, "n1", "deny: node \"n2\" may renew its own"),
            ("system:node:n1", "dev", "n1", "leave"),
            ("root", "system:masters", "n1", "leave"),
            ("system:bootstrap:any000", BOOTSTRAPPERS, "Not A Name", "fail: the subject"),
            ("system:bootstrap:any000", BOOTSTRAPPERS, "", "fail: the subject"),
        ] {
            let verdict = said(&request(user, group, node));
            assert!(verdict.starts_with(want), "{user} for {node}: {verdict}");
        }
    }

    #[test]
    fn what_is_asked_for_decides() {
        let good = || request("system:bootstrap:any000", BOOTSTRAPPERS, "n1");
        let (_, admin) = pki::request("root", "system:masters").unwrap();
        let (_, masters) = pki::request("system:node:n1", "system:masters").unwrap();
        for (pointer, value, want) in [
            ("/spec/signerName", json!("example.com/other"), "leave"),
            ("/spec/request", json!(STANDARD.encode(admin)), "fail: the subject"),
            ("/spec/request", json!(STANDARD.encode(masters)), "fail: the subject"),
            ("/spec/request", json!("eA=="), "fail: spec.request"),
            ("/spec/usages", json!(["client auth", "server auth"]), "fail: spec.usages"),
            ("/spec/usages", json!(["digital signature"]), "fail: spec.usages"),
        ] {
            let mut bad = good();
            *bad.pointer_mut(pointer).unwrap() = value;
            assert!(said(&bad).starts_with(want), "{pointer}: {}", said(&bad));
        }
    }

    #[test]
    fn what_was_said_before_stays() {
        let mut asked = request("root", "system:masters", "n1");
        asked["status"] = json!({"conditions": [{"type": "Approved", "status": "True"}]});
        assert_eq!(said(&asked), "sign");
        asked["status"]["certificate"] = json!("eA==");
        assert_eq!(said(&asked), "leave");
        let mut denied = request("system:bootstrap:any000", BOOTSTRAPPERS, "n1");
        denied["status"] = json!({"conditions": [{"type": "Denied", "status": "True"}]});
        assert_eq!(said(&denied), "leave");
    }
}
