//! What is done to the objects that a path names.

mod delete;
mod list;
mod pods;
mod read;
mod render;
mod review;
mod scale;
mod table;
mod watch;
mod write;

use std::sync::Arc;

use gantry_model::status::Reason;
use gantry_model::{Kind, Status};
use http::Method;
use http::request::Parts;
use hyper::body::Incoming;

pub(crate) use review::REVIEWS;

use crate::app::App;
use crate::auth::User;
use crate::route::{Route, Target};
use crate::wire::query::Query;
use crate::wire::reply::Response;

/// A request for objects, authenticated and allowed.
pub(crate) struct Call<'a> {
    pub(crate) app: &'a App,
    pub(crate) user: &'a User,
    pub(crate) query: &'a Query<'a>,
    pub(crate) target: &'a Target<'a>,
    pub(crate) verb: &'static str,
}

/// The verb of a request, as access reviews and metrics name it.
pub(crate) fn name(method: &Method, route: &Route<'_>, query: &Query<'_>) -> &'static str {
    let one = matches!(route, Route::Objects(target) if !target.name.is_empty());
    let objects = matches!(route, Route::Objects(_));
    match *method {
        Method::GET | Method::HEAD if objects && query.flag("watch").unwrap_or(false) => "watch",
        Method::GET | Method::HEAD if objects && !one => "list",
        Method::GET | Method::HEAD => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if objects && !one => "deletecollection",
        Method::DELETE => "delete",
        _ => "",
    }
}

/// 404 for a path.
pub(crate) fn no_such_path() -> Status {
    Status::new(Reason::NotFound, "the server could not find the requested resource")
}

/// 405
pub(crate) fn not_allowed(method: &Method) -> Status {
    Status::new(Reason::MethodNotAllowed, format!("the server does not allow {method} on the requested resource"))
}

impl Call<'_> {
    /// Carries it out.
    pub(crate) async fn answer(&self, head: Parts, body: Incoming) -> Result<Response, Status> {
        if let Some(review) = review::find(self.target) {
            return self.review(review, head, body).await;
        }
        let kind = self.kind()?;
        match self.target.subresource {
            "" => self.object(&kind, head, body).await,
            "status" if kind.status => self.part(&kind, head, body).await,
            "scale" if kind.scale.is_some() => self.part(&kind, head, body).await,
            // A part of the status, so that those who approve and those who sign can be different users.
            "approval" if kind.kind == "CertificateSigningRequest" => self.part(&kind, head, body).await,
            _ if kind.group.is_empty() => self.substrate(&kind, head, body).await,
            _ => Err(self.absent()),
        }
    }

    /// The kind, if the path fits its scope.
    fn kind(&self) -> Result<Arc<Kind>, Status> {
        let target = self.target;
        let kind = self.app.objects.kinds().by_resource(target.group, target.version, target.plural);
        let kind = kind.ok_or_else(|| self.absent())?;
        let itself = kind.group.is_empty() && kind.plural == "namespaces";
        let fits = if kind.namespaced() {
            target.name.is_empty() || !target.namespace.is_empty()
        } else {
            target.namespace.is_empty() || itself
        };
        if fits { Ok(kind) } else { Err(self.absent()) }
    }

    /// 404 for what the path names, not for an object: clients tell the two apart by the name in the details.
    fn absent(&self) -> Status {
        no_such_path().about(self.target.group, self.target.plural, "")
    }

    /// The namespace that the store knows the objects under.
    pub(crate) fn namespace(&self, kind: &Kind) -> &str {
        if kind.namespaced() { &self.target.namespace } else { "" }
    }

    async fn object(&self, kind: &Arc<Kind>, head: Parts, body: Incoming) -> Result<Response, Status> {
        match self.verb {
            "get" => self.get(kind, &head.headers),
            "list" => self.list(kind, &head.headers),
            "watch" => self.watch(kind, &head.headers),
            "create" if self.target.name.is_empty() && (self.target.namespace.is_empty() != kind.namespaced()) => {
                self.create(kind, &head, body).await
            }
            "update" if !self.target.name.is_empty() => self.update(kind, &head, body).await,
            "patch" if !self.target.name.is_empty() => self.patch(kind, &head, body).await,
            "delete" => self.delete(kind, &head, body).await,
            "deletecollection" => self.delete_collection(kind, &head, body).await,
            _ => Err(not_allowed(&head.method)),
        }
    }

    /// The status or scale of an object.
    async fn part(&self, kind: &Arc<Kind>, head: Parts, body: Incoming) -> Result<Response, Status> {
        match self.verb {
            "get" if self.target.subresource == "scale" => self.get_scale(kind),
            "get" => self.get(kind, &head.headers),
            "update" => self.update(kind, &head, body).await,
            "patch" => self.patch(kind, &head, body).await,
            _ => Err(not_allowed(&head.method)),
        }
    }

    /// What only Pods and Namespaces have.
    async fn substrate(&self, kind: &Arc<Kind>, head: Parts, body: Incoming) -> Result<Response, Status> {
        match (kind.plural.as_str(), self.target.subresource, self.verb) {
            ("pods", "log", "get") => self.pod_log().await,
            ("pods", "exec" | "attach", "get" | "create") => self.pod_exec(head, body).await,
            ("pods", "binding", "create") => self.pod_bind(&head, body).await,
            ("pods", "eviction", "create") => self.pod_evict(kind, &head, body).await,
            ("pods", "ephemeralcontainers", "get") => self.get(kind, &head.headers),
            ("namespaces", "finalize", "update") => self.finalize(kind, &head, body).await,
            ("pods", "log" | "exec" | "attach" | "binding" | "eviction", _) | ("namespaces", "finalize", _) => {
                Err(not_allowed(&head.method))
            }
            ("pods", "portforward", _) => Err(Status::bad_request(
                "port forwarding is not offered by this server: reach the pod's address or a host port",
            )),
            _ => Err(self.absent()),
        }
    }
}
