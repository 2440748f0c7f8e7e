//! What pods ask on their node, on its way to a dialect: which nodes' pods there are, and how an agent elsewhere passes it on.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use gantry_api::dialect::Locals;
use gantry_link::Client;
use gantry_model::key::Resource;
use gantry_model::{Caller, Key};
use gantry_node::local::{Answers, Away};
use gantry_objects::Objects;
use http::{Request, Response, StatusCode};

/// Where what pods ask arrives. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    objects: Objects,
    locals: Locals,
}

impl Desk {
    /// Of these dialects; the objects say whose pod is whose.
    pub fn new(objects: Objects, locals: Locals) -> Self {
        Self { objects, locals }
    }

    /// Answers for a pod of the caller's node. Who passes it on is that node's agent.
    pub async fn ask(&self, caller: &Caller, request: Request<Bytes>) -> Response<Bytes> {
        if self.is_bound(caller) {
            return self.locals.answer(caller, request).await;
        }
        let Caller { namespace, name, node, .. } = caller;
        let mut refused = Response::new(format!("pod {namespace}/{name} is not one of node {node}\n").into());
        *refused.status_mut() = StatusCode::FORBIDDEN;
        refused
    }

    /// Whether the pod is this one and no later one of its name, on that node.
    fn is_bound(&self, caller: &Caller) -> bool {
        let key = Key::new(Resource::new("", "pods"), &caller.namespace, &caller.name);
        let pod = self.objects.store().get(&key);
        pod.is_some_and(|pod| pod.meta.uid == caller.uid && pod.field("spec.nodeName") == caller.node)
    }
}

/// For a node in this process.
#[async_trait]
impl Answers for Desk {
    async fn answer(&self, caller: &Caller, request: Request<Bytes>) -> Result<Response<Bytes>, Away> {
        Ok(self.ask(caller, request).await)
    }
}

/// A server's desk, as an agent elsewhere has it.
pub struct Through(Client);

impl Through {
    /// Over this link.
    pub fn answers(client: &Client) -> Arc<dyn Answers> {
        Arc::new(Self(client.clone()))
    }
}

#[async_trait]
impl Answers for Through {
    async fn answer(&self, caller: &Caller, request: Request<Bytes>) -> Result<Response<Bytes>, Away> {
        self.0.ask(caller, request).await.map_err(|error| Away(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use gantry_api::dialect::{CALLER, Dialect, Failure};
    use gantry_model::{Kinds, core};
    use gantry_store::Sled;
    use http::request::Parts;
    use serde_json::json;

    use super::*;

    struct Echo;

    #[async_trait]
    impl Dialect for Echo {
        fn name(&self) -> &str {
            "echo"
        }

        fn matches(&self, _: &Parts) -> bool {
            false
        }

        async fn answer(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Failure> {
            Ok(Response::new(Bytes::copy_from_slice(request.headers()[CALLER].as_bytes())))
        }
    }

    #[tokio::test]
    async fn a_node_asks_for_pods_that_are_bound_to_it() {
        let kinds = Kinds::default();
        core::register(&kinds);
        let objects = Objects::new(Arc::new(Sled::temporary().unwrap()), kinds);
        let pods = objects.kinds().by_kind("", "Pod").unwrap();
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}});
        let kind = objects.kinds().by_kind("", "Namespace").unwrap();
        objects.create(&kind, "", namespace, &Default::default()).await.unwrap();
        let mut uid = String::new();
        for (name, spec) in [
            ("web", json!({"nodeName": "n1", "containers": [{"name": "a", "image": "i"}]})),
            ("waits", json!({"containers": [{"name": "a", "image": "i"}]})),
        ] {
            let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "team"}, "spec": spec});
            objects.create(&pods, "team", pod, &Default::default()).await.unwrap();
            let made = objects.get(&pods, "team", name).unwrap();
            if name == "web" {
                uid = made.meta.uid.clone();
            }
        }
        let locals = Locals::default();
        let at = "169.254.170.2:80".parse().unwrap();
        locals.set([(vec![at], Arc::new(Echo) as Arc<dyn Dialect>)]);
        let desk = Desk::new(objects, locals);
        for (name, uid, node, want) in [
            ("web", uid.as_str(), "n1", 200),
            ("web", "another", "n1", 403),
            ("web", uid.as_str(), "n2", 403),
            ("waits", "", "n1", 403),
            ("waits", "", "", 403),
            ("none", "", "n1", 403),
        ] {
            let text = |text: &str| text.to_owned();
            let caller = Caller {
                address: at,
                namespace: text("team"),
                name: text(name),
                uid: text(uid),
                node: text(node),
                usage: None,
            };
            let answer = desk.ask(&caller, Request::new(Bytes::new())).await;
            assert_eq!(answer.status(), want, "{name} {uid} {node}");
            if want == 200 {
                assert_eq!(answer.body(), caller.to_text().as_bytes());
            }
        }
    }
}
