//! Who nodes are to a server, and what they may do: tokens that let a machine join once, certificates that it gets for
//! them, and what the holder of one may read and write.

mod authorizer;
mod certificates;
mod judge;
mod references;
mod restriction;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use gantry_api::{Authenticator, Authorizer, Pki};
use gantry_model::{Key, Record};
use gantry_objects::Objects;
use gantry_objects::admission::Reviewer;
use tokio::task::JoinSet;

pub use authorizer::{NodeAuthorizer, Opened};
pub use restriction::Restriction;
pub use tokens::{BOOTSTRAPPERS, BootstrapTokens, NAMESPACE, Token, secret, secret_name};

/// The signer whose certificates nodes show.
pub const SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// What is before a node's name in the name of its user.
pub const NODE_USER: &str = "system:node:";

/// The user that a node's agent is.
pub fn node_user(node: &str) -> String {
    format!("{NODE_USER}{node}")
}

/// Proves identities by tokens of nodes that join.
pub fn authenticator(objects: &Objects) -> Arc<dyn Authenticator> {
    Arc::new(BootstrapTokens::new(objects.clone()))
}

/// Says what nodes may.
pub fn authorizer(objects: &Objects, more: Opened) -> Arc<dyn Authorizer> {
    Arc::new(NodeAuthorizer::new(objects.clone(), more))
}

/// Looks at what nodes write.
pub fn reviewer() -> Arc<dyn Reviewer> {
    Arc::new(Restriction::default())
}

/// Answers requests for certificates, and clears away what is over.
pub fn start(tasks: &mut JoinSet<()>, objects: &Objects, pki: Arc<Pki>, life: Duration) {
    tasks.spawn(certificates::run(objects.clone(), pki, life));
    tasks.spawn(certificates::sweep(objects.clone()));
}

/// One object of a kind, if the kind and the object are there.
fn find(objects: &Objects, group: &str, kind: &str, namespace: &str, name: &str) -> Option<Arc<Record>> {
    let kind = objects.kinds().by_kind(group, kind)?;
    objects.store().get(&Key::new(kind.resource(), namespace, name))
}
