//! Who may do what. Until roles exist there are three kinds of user: administrators may do everything, members of
//! [`VIEWERS`] may read everything but secrets, and everybody who is authenticated may look around (discovery) and ask
//! about themselves. What others may do, such as nodes, an [`Authorizer`] says.

use std::sync::Arc;

use gantry_model::Status;
use gantry_model::status::Reason;

use crate::auth::User;
use crate::route::Target;
use crate::wire::query::Query;

/// The group that may read.
pub const VIEWERS: &str = "gantry:viewers";
/// The group of nodes' agents.
pub const NODES: &str = "system:nodes";
/// Where agents link up with their server. What is behind it says itself whom it serves, in the words of its protocol.
const LINK: &str = "/gantry.link.";
/// Where users ask about themselves.
const REVIEWS: [&str; 2] = ["authorization.k8s.io", "authentication.k8s.io"];

/// What a user asks for, in the words of Kubernetes' access reviews.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attributes<'a> {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`
    pub verb: &'a str,
    /// API group; empty for core.
    pub group: &'a str,
    /// `pods`
    pub plural: &'a str,
    /// Empty: the object itself.
    pub subresource: &'a str,
    /// Empty: of the cluster, or of all namespaces.
    pub namespace: &'a str,
    /// Empty: all, or the one in the body.
    pub name: &'a str,
    /// The field selector of the request, as it was sent.
    pub fields: &'a str,
}

/// Says what users may do who are neither administrators nor viewers. Asked with every request of theirs.
pub trait Authorizer: Send + Sync + 'static {
    /// Whether this user may. `false` leaves it to others to allow it. A new object is not seen here: what may stand in it
    /// is for a reviewer of writes.
    fn allows(&self, user: &User, asked: &Attributes<'_>) -> bool;
}

/// Everybody who has a say.
pub(crate) struct Access {
    authorizers: Vec<Arc<dyn Authorizer>>,
}

impl Access {
    pub(crate) fn new(authorizers: Vec<Arc<dyn Authorizer>>) -> Self {
        Self { authorizers }
    }

    /// Whether a user may do this to objects.
    pub(crate) fn allows(&self, user: &User, asked: &Attributes<'_>) -> bool {
        allowed(user, asked) || self.authorizers.iter().any(|authorizer| authorizer.allows(user, asked))
    }
}

impl<'a> Attributes<'a> {
    pub(crate) fn of(verb: &'a str, target: &'a Target<'_>, query: &'a Query<'_>) -> Self {
        Self {
            verb,
            group: target.group,
            plural: target.plural,
            subresource: target.subresource,
            namespace: &target.namespace,
            name: &target.name,
            fields: query.get("fieldSelector").unwrap_or_default(),
        }
    }
}

/// What groups alone decide.
fn allowed(user: &User, asked: &Attributes<'_>) -> bool {
    if user.is_admin() {
        return true;
    }
    if REVIEWS.contains(&asked.group) && asked.plural.starts_with("selfsubject") && asked.verb == "create" {
        return true;
    }
    user.in_group(VIEWERS) && reads(asked)
}

/// Whether something only reads, and nothing that is kept secret.
pub(crate) fn reads(asked: &Attributes<'_>) -> bool {
    let reads = matches!(asked.verb, "get" | "list" | "watch");
    let secret = asked.group.is_empty() && asked.plural == "secrets";
    // Reading these subresources acts on a container.
    let acts = matches!(asked.subresource, "exec" | "attach" | "portforward" | "proxy");
    reads && !secret && !acts
}

/// Whether a user may get a path that names no objects.
pub(crate) fn path_allowed(user: &User, path: &str) -> bool {
    let open = ["/api", "/apis", "/openapi", "/version"];
    let below = |root: &&str| path == *root || path.strip_prefix(*root).is_some_and(|rest| rest.starts_with('/'));
    user.is_admin() || user.in_group(VIEWERS) || path == "/" || path.starts_with(LINK) || open.iter().any(below)
}

/// 403 in Kubernetes' words.
pub(crate) fn forbidden(user: &User, asked: &Attributes<'_>) -> Status {
    let slash = if asked.subresource.is_empty() { "" } else { "/" };
    let (what, sub, group) = (asked.plural, asked.subresource, asked.group);
    let scope = if asked.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace \"{}\"", asked.namespace)
    };
    let qualified = if group.is_empty() { what.to_owned() } else { format!("{what}.{group}") };
    let message = format!(
        "{qualified}{} is forbidden: User \"{}\" cannot {} resource \"{what}{slash}{sub}\" in API group \"{group}\" {scope}",
        if asked.name.is_empty() { String::new() } else { format!(" \"{}\"", asked.name) },
        user.name,
        asked.verb,
    );
    Status::new(Reason::Forbidden, message).about(group, what, asked.name)
}

/// 403 for a path.
pub(crate) fn path_forbidden(user: &User, path: &str) -> Status {
    Status::new(Reason::Forbidden, format!("forbidden: User \"{}\" cannot get path \"{path}\"", user.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_decide() {
        let admin = User::new("root", ["system:masters".to_owned()]);
        let viewer = User::new("eve", [VIEWERS.to_owned()]);
        let nobody = User::new("bob", []);
        let ask =
            |verb, group, plural, subresource| Attributes { verb, group, plural, subresource, ..Default::default() };
        for (asked, want) in [
            (ask("delete", "", "pods", ""), [true, false, false]),
            (ask("list", "", "pods", ""), [true, true, false]),
            (ask("get", "", "pods", "log"), [true, true, false]),
            (ask("get", "", "pods", "exec"), [true, false, false]),
            (ask("get", "", "secrets", ""), [true, false, false]),
            (ask("create", "authorization.k8s.io", "selfsubjectaccessreviews", ""), [true, true, true]),
            (ask("create", "authorization.k8s.io", "subjectaccessreviews", ""), [true, false, false]),
        ] {
            assert_eq!([&admin, &viewer, &nobody].map(|u| allowed(u, &asked)), want, "{asked:?}");
        }
        assert!(path_allowed(&nobody, "/apis/apps/v1") && !path_allowed(&nobody, "/metrics"));
        assert!(path_allowed(&nobody, "/gantry.link.v1.Link/Connect"));
    }
}
