//! The calls of agents.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use gantry_api::{NODES, User};
use gantry_model::Caller;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::node::{Call, Node};
use super::{BundleOffer, Hub, Verdict};
use crate::convert::{reply, request, status_from_wire};
use crate::wire::link_server::Link;
use crate::wire::{
    BundleAnswer, BundleRequest, Chunk, ComponentRequest, Delivery, Fate, FromNode, Hello, Order, Question, Reply,
    ToNode, from_node,
};

/// For the first message of a call.
const PATIENCE: Duration = Duration::from_secs(10);
/// Input of a session that waits.
const INPUT: usize = 8;
/// The node that records come from, in OpenTelemetry's words.
const NODE_LABEL: &str = "k8s.node.name";
/// A piece of a component.
const PIECE: usize = 64 << 10;

type Answer<T> = Result<Response<T>, Status>;
type Many<T> = BoxStream<'static, Result<T, Status>>;

#[derive(Clone)]
pub struct Service {
    pub hub: Hub,
}

#[tonic::async_trait]
impl Link for Service {
    type ConnectStream = Many<Order>;
    type SessionStream = Many<ToNode>;
    type ComponentStream = Many<Chunk>;

    async fn connect(&self, request: Request<Streaming<Hello>>) -> Answer<Self::ConnectStream> {
        let user = user(&request)?;
        let mut said = request.into_inner();
        let Hello { node: name, agent } = first(&mut said).await?;
        check(&user, &name)?;
        let (node, orders) = Node::new(name, agent);
        self.hub.nodes.link(&node).map_err(|why| {
            let advice = "stop the other one, or choose another name with --node-name";
            Status::already_exists(format!("node {:?} is taken: {why}; {advice}", node.name()))
        })?;
        tracing::info!(node = node.name(), "a node's agent is linked up");
        let (hub, gone) = (self.hub.clone(), node.gone().clone());
        tokio::spawn(async move {
            tokio::select! {
                () = end(said) => {}
                () = node.gone().cancelled() => {}
                () = hub.stop.cancelled() => {}
            }
            hub.nodes.unlink(&node);
            tracing::info!(node = node.name(), "a node's agent went away");
        });
        Ok(Response::new(ReceiverStream::new(orders).map(Ok).take_until(gone.cancelled_owned()).boxed()))
    }

    async fn session(&self, request: Request<Streaming<FromNode>>) -> Answer<Self::SessionStream> {
        let user = user(&request)?;
        let mut from = request.into_inner();
        let (to, inputs) = mpsc::channel(INPUT);
        let (name, session, refusal) = match first(&mut from).await?.what {
            Some(from_node::What::Opened(opened)) => (opened.node, opened.session, None),
            Some(from_node::What::Refused(refused)) => {
                (refused.node, refused.session, Some(status_from_wire(&refused.status)))
            }
            _ => return Err(Status::invalid_argument("a session begins with opened or refused")),
        };
        check(&user, &name)?;
        let gone = || Status::not_found("nobody waits for this session any more");
        let node = self.hub.nodes.linked(&name).ok_or_else(gone)?;
        let outcome = match refusal {
            Some(status) => Err(status),
            None => Ok(Call { from, to }),
        };
        if !node.arrived(session, outcome) {
            return Err(gone());
        }
        let stop = self.hub.stop.clone().cancelled_owned();
        Ok(Response::new(ReceiverStream::new(inputs).map(Ok).take_until(stop).boxed()))
    }

    async fn bundle(&self, request: Request<BundleRequest>) -> Answer<BundleAnswer> {
        check_any(&*user(&request)?)?;
        let BundleOffer { bundle, sinks, cluster_ranges, absent, local } = self.hub.backing().bundle();
        let local = local.iter().map(ToString::to_string).collect();
        Ok(Response::new(BundleAnswer { bundle, sinks, cluster_ranges, absent, local }))
    }

    async fn component(&self, request: Request<ComponentRequest>) -> Answer<Self::ComponentStream> {
        check_any(&*user(&request)?)?;
        let digest = request.into_inner().digest;
        let file = self.hub.backing().component(&digest);
        let file = file.ok_or_else(|| Status::not_found(format!("no plugin of the bundle has the digest {digest}")))?;
        let opened = tokio::fs::File::open(&file).await;
        let opened = opened.map_err(|error| Status::internal(format!("can't read {}: {error}", file.display())))?;
        let pieces = futures::stream::try_unfold(opened, |mut file| async move {
            let mut data = Vec::with_capacity(PIECE);
            (&mut file).take(PIECE as u64).read_to_end(&mut data).await?;
            Ok::<_, std::io::Error>((!data.is_empty()).then(|| (Chunk { data: data.into() }, file)))
        });
        Ok(Response::new(pieces.map(|piece| piece.map_err(|e| Status::internal(e.to_string()))).boxed()))
    }

    async fn deliver(&self, request: Request<Delivery>) -> Answer<Fate> {
        let user = user(&request)?;
        let delivery = request.into_inner();
        check_origins(&user, &delivery)?;
        let backing = self.hub.backing();
        let verdict = tokio::select! {
            verdict = backing.deliver(delivery) => verdict,
            () = self.hub.stop.cancelled() => Err("the server is stopping".to_owned()),
        };
        match verdict {
            Ok(Verdict::Accepted) => Ok(Response::new(Fate { rejected: String::new() })),
            Ok(Verdict::Rejected(why)) if why.is_empty() => Ok(Response::new(Fate { rejected: "rejected".to_owned() })),
            Ok(Verdict::Rejected(why)) => Ok(Response::new(Fate { rejected: why })),
            Err(why) => Err(Status::unavailable(why)),
        }
    }

    async fn ask(&self, question: Request<Question>) -> Answer<Reply> {
        let user = user(&question)?;
        let question = question.into_inner();
        let caller = Caller::of_text(&question.caller).map_err(Status::invalid_argument)?;
        check(&user, &caller.node)?;
        let request = request(question).map_err(Status::invalid_argument)?;
        let backing = self.hub.backing();
        tokio::select! {
            answer = backing.ask(caller, request) => Ok(Response::new(reply(answer))),
            () = self.hub.stop.cancelled() => Err(Status::unavailable("the server is stopping")),
        }
    }
}

async fn first<T>(messages: &mut Streaming<T>) -> Result<T, Status> {
    let message = tokio::time::timeout(PATIENCE, messages.message()).await;
    let message = message.map_err(|_| Status::deadline_exceeded("the first message did not come"))??;
    message.ok_or_else(|| Status::invalid_argument("the call ended before its first message"))
}

/// Until the agent ends its side, or its connection does.
async fn end<T>(mut messages: Streaming<T>) {
    while let Ok(Some(_)) = messages.message().await {}
}

fn user<T>(request: &Request<T>) -> Result<Arc<User>, Status> {
    let user = request.extensions().get::<Arc<User>>().cloned();
    user.ok_or_else(|| Status::unauthenticated("the API did not say who asks"))
}

/// A node speaks for itself only; an administrator may stand in for it.
fn check(user: &User, node: &str) -> Result<(), Status> {
    let own = user.in_group(NODES) && user.name.strip_prefix("system:node:") == Some(node) && !node.is_empty();
    if own || user.is_admin() {
        return Ok(());
    }
    Err(Status::permission_denied(format!("user {:?} is not the agent of node {node:?}", user.name)))
}

/// What a node tells of, it says is of itself.
fn check_origins(user: &User, delivery: &Delivery) -> Result<(), Status> {
    check_any(user)?;
    for origin in &delivery.origins {
        let said = origin.attributes.iter().filter(|label| label.key == NODE_LABEL);
        let names: Vec<&str> = said.map(|label| label.value.as_str()).collect();
        check(user, if let [name] = names[..] { name } else { "" })?;
    }
    Ok(())
}

fn check_any(user: &User) -> Result<(), Status> {
    if user.in_group(NODES) || user.is_admin() {
        return Ok(());
    }
    Err(Status::permission_denied(format!("user {:?} is no node's agent", user.name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Label, Origin};

    #[test]
    fn a_node_speaks_for_itself_only() {
        let nodes = || [NODES.to_owned()];
        for (user, may) in [
            (User::new("system:node:n1", nodes()), true),
            (User::new("system:node:n2", nodes()), false),
            (User::new("n1", nodes()), false),
            (User::new("system:node:n1", []), false),
            (User::new("root", ["system:masters".to_owned()]), true),
        ] {
            assert_eq!(check(&user, "n1").is_ok(), may, "{}", user.name);
        }
        assert!(check(&User::new("system:node:", nodes()), "").is_err());
    }

    #[test]
    fn a_node_tells_of_itself_only() {
        let label = |value: &str| Label { key: NODE_LABEL.to_owned(), value: value.to_owned() };
        let node = User::new("system:node:n1", [NODES.to_owned()]);
        let admin = User::new("root", ["system:masters".to_owned()]);
        for (attributes, may) in [
            (vec![label("n1")], true),
            (vec![label("n2")], false),
            (vec![], false),
            (vec![label("n1"), label("n2")], false),
        ] {
            let delivery = Delivery { origins: vec![Origin { attributes }], ..Delivery::default() };
            assert_eq!(check_origins(&node, &delivery).is_ok(), may, "{delivery:?}");
            assert!(check_origins(&admin, &delivery).is_ok());
        }
    }
}
