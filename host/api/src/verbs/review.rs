//! Questions about access and identity. They look like kinds to clients, but nothing is stored.

use std::collections::BTreeSet;

use gantry_model::{Kinds, Status};
use http::StatusCode;
use http::request::Parts;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::write::expect_type;
use super::{Call, not_allowed};
use crate::access::{self, Access, Attributes};
use crate::auth::User;
use crate::route::Target;
use crate::wire::body::{self, Media};
use crate::wire::reply::{self, Response};

/// A question that can be asked.
pub(crate) struct Review {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) kind: &'static str,
}

/// All of them.
pub(crate) const REVIEWS: [Review; 5] = [
    review("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    review("authorization.k8s.io", "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview"),
    review("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview"),
    review("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview"),
    // kubectl 1.27 asks for this version.
    review("authentication.k8s.io", "v1beta1", "selfsubjectreviews", "SelfSubjectReview"),
];

const fn review(group: &'static str, version: &'static str, plural: &'static str, kind: &'static str) -> Review {
    Review { group, version, plural, kind }
}

impl Review {
    pub(crate) fn api_version(&self) -> String {
        format!("{}/{}", self.group, self.version)
    }
}

/// The question that a path names.
pub(super) fn find(target: &Target<'_>) -> Option<&'static Review> {
    REVIEWS.iter().find(|r| (r.group, r.version, r.plural) == (target.group, target.version, target.plural))
}

impl Call<'_> {
    pub(super) async fn review(&self, review: &Review, head: Parts, body: Incoming) -> Result<Response, Status> {
        if self.verb != "create" || !self.target.name.is_empty() {
            return Err(not_allowed(&head.method));
        }
        let media = Media::of(&head.headers)?;
        let mut object = body::object(media, &self.body(&head, body).await?)?;
        expect_type(&mut object, &review.api_version(), review.kind)?;
        let status = match review.kind {
            "SelfSubjectReview" => json!({ "userInfo": { "username": self.user.name, "groups": self.user.groups } }),
            "SelfSubjectRulesReview" => rules(self.user, self.app.objects.kinds()),
            "SelfSubjectAccessReview" => access(&self.app.access, self.user, &object),
            _ => access(&self.app.access, &subject(&object), &object),
        };
        if let Some(map) = object.as_object_mut() {
            map.insert("status".to_owned(), status);
        }
        Ok(reply::value(StatusCode::CREATED, &object))
    }
}

/// The user that a SubjectAccessReview asks about.
fn subject(object: &Value) -> User {
    let name = object.pointer("/spec/user").and_then(Value::as_str).unwrap_or_default();
    let groups = object.pointer("/spec/groups").and_then(Value::as_array).into_iter().flatten();
    User::new(name, groups.filter_map(Value::as_str).map(str::to_owned))
}

fn access(rules: &Access, user: &User, object: &Value) -> Value {
    let text = |at: &Value, name: &str| at.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let allowed = match (object.pointer("/spec/resourceAttributes"), object.pointer("/spec/nonResourceAttributes")) {
        (Some(at), _) => {
            let [verb, group, plural] = ["verb", "group", "resource"].map(|name| text(at, name));
            let [subresource, namespace, name] = ["subresource", "namespace", "name"].map(|name| text(at, name));
            let fields = fields(at);
            rules.allows(
                user,
                &Attributes {
                    verb: &verb,
                    group: &group,
                    plural: &plural,
                    subresource: &subresource,
                    namespace: &namespace,
                    name: &name,
                    fields: &fields,
                },
            )
        }
        (None, Some(at)) => text(at, "verb") == "get" && access::path_allowed(user, &text(at, "path")),
        (None, None) => false,
    };
    let reason = if allowed { "the user's groups allow it" } else { "none of the user's groups allows it" };
    json!({ "allowed": allowed, "reason": reason })
}

/// A field selector as a review has it: as text, or as the conditions in which the text was taken apart.
fn fields(attributes: &Value) -> String {
    let Some(selector) = attributes.get("fieldSelector") else { return String::new() };
    if let Some(raw) = selector.get("rawSelector").and_then(Value::as_str) {
        return raw.to_owned();
    }
    let requirements = selector.get("requirements").and_then(Value::as_array).into_iter().flatten();
    let equal = requirements.filter_map(|requirement| {
        let key = requirement.get("key")?.as_str()?;
        let value = requirement.pointer("/values/0")?.as_str()?;
        (requirement.get("operator")?.as_str()? == "In").then(|| format!("{key}={value}"))
    });
    equal.collect::<Vec<_>>().join(",")
}

/// What a user may do, as far as a list of rules can say it.
fn rules(user: &User, kinds: &Kinds) -> Value {
    let rule = |verbs: &[&str], groups: &[&str], resources: &[&str]| json!({ "verbs": verbs, "apiGroups": groups, "resources": resources });
    let mut resource = vec![rule(
        &["create"],
        &["authorization.k8s.io", "authentication.k8s.io"],
        &["selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"],
    )];
    let mut path = vec![json!({ "verbs": ["get"], "nonResourceURLs": OPEN })];
    if user.is_admin() {
        resource.push(rule(&["*"], &["*"], &["*"]));
        path.push(json!({ "verbs": ["*"], "nonResourceURLs": ["*"] }));
    } else if user.in_group(access::VIEWERS) {
        resource.extend(readable(kinds));
        path.push(json!({ "verbs": ["get"], "nonResourceURLs": ["*"] }));
    }
    json!({ "resourceRules": resource, "nonResourceRules": path, "incomplete": !user.is_admin() })
}

/// Paths that everybody may get who is known.
const OPEN: [&str; 12] = [
    "/",
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/openapi",
    "/openapi/*",
    "/readyz",
    "/version",
    "/version/*",
];

/// What members of [`access::VIEWERS`] may read. A rule can't make an exception, so the group with secrets in it is
/// listed one by one.
fn readable(kinds: &Kinds) -> [Value; 2] {
    let (mut core, mut groups) = (BTreeSet::new(), BTreeSet::new());
    for kind in kinds.all() {
        if !kind.group.is_empty() {
            groups.insert(kind.group.clone());
            continue;
        }
        let mut parts = vec![""];
        parts.extend(kind.status.then_some("status"));
        parts.extend(kind.scale.is_some().then_some("scale"));
        if kind.plural == "pods" {
            parts.extend(["log", "ephemeralcontainers"]);
        }
        for part in parts {
            let asked = Attributes { verb: "get", plural: &kind.plural, subresource: part, ..Attributes::default() };
            if access::reads(&asked) {
                let slash = if part.is_empty() { "" } else { "/" };
                core.insert(format!("{}{slash}{part}", kind.plural));
            }
        }
    }
    let verbs = ["get", "list", "watch"];
    [
        json!({ "verbs": verbs, "apiGroups": [""], "resources": core }),
        json!({ "verbs": verbs, "apiGroups": groups, "resources": ["*"] }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a list of rules allows something, as a client reads it.
    fn claims(status: &Value, asked: &Attributes<'_>) -> bool {
        let what = match asked.subresource {
            "" => asked.plural.to_owned(),
            sub => format!("{}/{sub}", asked.plural),
        };
        let has = |rule: &Value, field: &str, wanted: &str| {
            rule[field].as_array().unwrap().iter().any(|one| one == "*" || one == wanted)
        };
        status["resourceRules"].as_array().unwrap().iter().any(|rule| {
            has(rule, "verbs", asked.verb) && has(rule, "apiGroups", asked.group) && has(rule, "resources", &what)
        })
    }

    #[test]
    fn rules_claim_what_is_allowed_and_no_more() {
        let kinds = Kinds::default();
        gantry_model::core::register(&kinds);
        let ask =
            |verb, group, plural, subresource| Attributes { verb, group, plural, subresource, ..Default::default() };
        for user in [
            User::new("root", ["system:masters".to_owned()]),
            User::new("eve", [access::VIEWERS.to_owned()]),
            User::new("bob", []),
        ] {
            let rules = rules(&user, &kinds);
            for asked in [
                ask("get", "", "pods", ""),
                ask("watch", "", "configmaps", ""),
                ask("get", "", "pods", "log"),
                ask("get", "", "pods", "status"),
                ask("list", "coordination.k8s.io", "leases", ""),
                ask("get", "", "secrets", ""),
                ask("list", "", "secrets", ""),
                ask("get", "", "pods", "exec"),
                ask("get", "", "pods", "attach"),
                ask("get", "", "pods", "proxy"),
                ask("create", "", "pods", ""),
                ask("delete", "coordination.k8s.io", "leases", ""),
                ask("create", "authorization.k8s.io", "selfsubjectaccessreviews", ""),
                ask("create", "authorization.k8s.io", "subjectaccessreviews", ""),
            ] {
                let allowed = Access::new(Vec::new()).allows(&user, &asked);
                assert_eq!(claims(&rules, &asked), allowed, "{} {asked:?}", user.name);
            }
        }
    }

    #[test]
    fn access_is_answered_by_group() {
        let rules = Access::new(Vec::new());
        let ask = json!({"spec": {"user": "x", "groups": ["system:masters"], "resourceAttributes": {"verb": "delete", "resource": "pods"}}});
        assert_eq!(access(&rules, &subject(&ask), &ask)["allowed"], true);
        assert_eq!(access(&rules, &User::new("bob", []), &ask)["allowed"], false);
        let path = json!({"spec": {"nonResourceAttributes": {"verb": "get", "path": "/version"}}});
        assert_eq!(access(&rules, &User::new("bob", []), &path)["allowed"], true);
        assert_eq!(access(&rules, &User::new("bob", []), &json!({}))["allowed"], false);
    }
}
