//! Answers requests for nodes' certificates: approves those that may be, signs those that are approved, says to the others
//! why not, and clears away what is over.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gantry_api::pki::Wanted;
use gantry_api::{NODES, Pki};
use gantry_control::follow::{Follower, Seen};
use gantry_model::status::Reason;
use gantry_model::{Kind, Record, Status};
use gantry_node::cluster::LEASE_NAMESPACE;
use gantry_node::node::claim;
use gantry_objects::{DeleteOptions, Objects, Patch, Preconditions, Subresource, WriteOptions};
use gantry_store::Range;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::judge::{self, Verdict, World};
use super::tokens::{self, Token};

const MANAGER: &str = "gantry-certificates";
const GROUP: &str = "certificates.k8s.io";
const KIND: &str = "CertificateSigningRequest";
/// How long requests stay, so that people can see what became of them.
const KEEP: SignedDuration = SignedDuration::from_hours(1);
const SWEEP: Duration = Duration::from_secs(30);
/// The shortest life that may be asked for, as the field's description has it.
const SHORTEST: Duration = Duration::from_secs(600);

/// Runs for ever. Certificates are good for `life`, or less if less is asked for.
pub async fn run(objects: Objects, pki: Arc<Pki>, life: Duration) {
    let Some(kind) = objects.kinds().by_kind(GROUP, KIND) else { return };
    let mut follower = Follower::new(objects.store().clone(), kind.resource());
    let office = Office { objects, kind, pki, life };
    loop {
        match follower.next().await {
            Seen::All(records) => office.answer(records.iter()).await,
            Seen::Changes(events) => {
                office.answer(events.iter().filter(|event| !event.deleted).map(|event| &event.record)).await;
            }
        }
    }
}

struct Office {
    objects: Objects,
    kind: Arc<Kind>,
    pki: Arc<Pki>,
    life: Duration,
}

impl Office {
    async fn answer(&self, records: impl Iterator<Item = &Arc<Record>>) {
        for record in records {
            if let Err(error) = self.one(record).await
                // A newer state of it comes next.
                && !matches!(error.reason, Reason::Conflict | Reason::NotFound)
            {
                tracing::warn!(request = record.meta.name, %error, "can't answer a request for a certificate");
            }
        }
    }

    async fn one(&self, record: &Record) -> Result<(), Status> {
        let request = record.value();
        let say = |kind: &str, reason: &str, message: &str| condition(kind, reason, message);
        let (status, conditions) = match judge::judge(&request, self) {
            Verdict::Leave => return Ok(()),
            Verdict::Deny(why) => (json!({}), vec![say("Denied", "NodeRefused", &why)]),
            Verdict::Fail(why) => (json!({}), vec![say("Failed", "SignerValidationFailure", &why)]),
            Verdict::Sign { wanted, approves } => {
                let certificate = self.sign(&request, &wanted)?;
                let approved = say("Approved", "NodeAccepted", "the node may have this certificate");
                (
                    json!({"certificate": STANDARD.encode(certificate)}),
                    approves.then_some(approved).into_iter().collect(),
                )
            }
        };
        let said = |field: &str| Some(conditions.first()?.get(field)?.as_str()?.to_owned());
        let verdict = said("type").unwrap_or_else(|| "Signed".to_owned());
        let by = request.pointer("/spec/username").map(ToString::to_string);
        tracing::info!(request = record.meta.name, by, verdict, why = said("message"), "a request for a certificate");
        self.write(record, &request, status, conditions).await
    }

    fn sign(&self, request: &Value, wanted: &Wanted) -> Result<String, Status> {
        let asked = request.pointer("/spec/expirationSeconds").and_then(Value::as_u64).map(Duration::from_secs);
        let life = asked.map_or(self.life, |asked| asked.max(SHORTEST).min(self.life));
        self.pki.sign(wanted, NODES, life).map_err(|error| Status::internal(error.to_string()))
    }

    async fn write(&self, record: &Record, old: &Value, status: Value, more: Vec<Value>) -> Result<(), Status> {
        let mut conditions = old.pointer("/status/conditions").cloned().unwrap_or_else(|| json!([]));
        let mut status = status;
        if let (Some(list), Some(map)) = (conditions.as_array_mut(), status.as_object_mut()) {
            list.extend(more);
            map.insert("conditions".to_owned(), conditions);
        }
        let preconditions =
            Preconditions { uid: Some(record.meta.uid.clone()), resource_version: Some(record.revision.to_string()) };
        let subresource = Subresource::Status;
        let options =
            WriteOptions { manager: MANAGER.to_owned(), preconditions, subresource, ..WriteOptions::default() };
        let patch = Patch::Merge(json!({ "status": status }));
        self.objects.patch(&self.kind, "", &record.meta.name, patch, &options).await.map(drop)
    }
}

fn condition(kind: &str, reason: &str, message: &str) -> Value {
    let now = format!("{:.0}", Timestamp::now());
    json!({
        "type": kind, "status": "True", "reason": reason, "message": message,
        "lastUpdateTime": now, "lastTransitionTime": now,
    })
}

impl World for Office {
    fn bound(&self, user: &str) -> Result<Option<String>, String> {
        let token = tokens::of_user(&self.objects, user, Timestamp::now());
        token.map(|token| token.node).ok_or_else(|| format!("the token of {user} was revoked or has expired"))
    }

    /// A node that shows signs of life has an agent.
    fn taken(&self, node: &str) -> Option<String> {
        super::find(&self.objects, "", "Node", "", node)?;
        let lease = super::find(&self.objects, "coordination.k8s.io", "Lease", LEASE_NAMESPACE, node)?;
        let left = claim::left(&lease.value(), Timestamp::now())?;
        Some(format!(
            "node {node:?} is taken: an agent of that name is alive. Stop it and wait {left} s, or choose another name \
             with --node-name"
        ))
    }
}

/// Removes requests of an hour ago and tokens that have expired. Runs for ever.
pub async fn sweep(objects: Objects) {
    let mut tick = tokio::time::interval(SWEEP);
    loop {
        tick.tick().await;
        let now = Timestamp::now();
        let old = |record: &Record| {
            let made = record.value().pointer("/metadata/creationTimestamp").and_then(Value::as_str)?.parse().ok();
            made.map(|made: Timestamp| now.duration_since(made) >= KEEP)
        };
        remove(&objects, GROUP, KIND, None, |record| old(record).unwrap_or(false)).await;
        let over = |record: &Record| {
            record.field("type") == tokens::TYPE && Token::of(&record.value()).is_some_and(|token| token.is_over(now))
        };
        remove(&objects, "", "Secret", Some(tokens::NAMESPACE), over).await;
    }
}

async fn remove(objects: &Objects, group: &str, kind: &str, namespace: Option<&str>, over: impl Fn(&Record) -> bool) {
    let Some(kind) = objects.kinds().by_kind(group, kind) else { return };
    let range = Range { resource: kind.resource(), namespace: namespace.map(str::to_owned), after: None, limit: 0 };
    for record in objects.store().list(&range).records.iter().filter(|record| over(record)) {
        let preconditions =
            Preconditions { uid: Some(record.meta.uid.clone()), resource_version: Some(record.revision.to_string()) };
        let options = DeleteOptions { preconditions, ..DeleteOptions::default() };
        match objects.delete(&kind, &record.meta.namespace, &record.meta.name, &options).await {
            Ok(_) => tracing::debug!(kind = kind.kind, name = record.meta.name, "removed what is over"),
            Err(error) => tracing::debug!(kind = kind.kind, name = record.meta.name, %error, "it stays"),
        }
    }
}
