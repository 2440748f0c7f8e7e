//! What a node's agent may do: look at what its plugins need, keep its own Node, Lease and pods up to date, and read what
//! its pods name. And what whoever has a token may do: ask for a certificate.
//! Kubernetes' rules: <https://kubernetes.io/docs/reference/access-authn-authz/node/>.

use std::sync::{Arc, PoisonError, RwLock};

use gantry_api::{Attributes, Authorizer, NODES, User};
use gantry_model::Key;
use gantry_model::key::Resource;
use gantry_model::selector::FieldSelector;
use gantry_node::cluster::LEASE_NAMESPACE;
use gantry_objects::Objects;
use gantry_store::Range;
use serde_json::Value;

use super::references::{self, Read};
use super::{BOOTSTRAPPERS, NODE_USER};

/// Kinds that nodes may read whole: what traffic on them needs.
const OPEN: [(&str, &str); 5] = [
    ("", "services"),
    ("", "nodes"),
    ("", "namespaces"),
    ("discovery.k8s.io", "endpointslices"),
    ("gantry.dev", "frontends"),
];
const READS: [&str; 3] = ["get", "list", "watch"];
const WRITES: [&str; 2] = ["update", "patch"];

/// Allows what nodes and those who join need.
pub struct NodeAuthorizer {
    objects: Objects,
    more: Opened,
}

/// Kinds, by group and plural, that the plugins of nodes need to see whole. Cheap to clone; all clones are the same.
#[derive(Clone, Default)]
pub struct Opened(Arc<RwLock<Vec<(String, String)>>>);

impl Opened {
    /// These from now on.
    pub fn set(&self, kinds: Vec<(String, String)>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = kinds;
    }

    fn has(&self, group: &str, plural: &str) -> bool {
        let kinds = self.0.read().unwrap_or_else(PoisonError::into_inner);
        kinds.iter().any(|(g, p)| (g.as_str(), p.as_str()) == (group, plural))
    }
}

impl NodeAuthorizer {
    /// Pods of these objects say what a node needs; `more`, what its plugins do.
    pub fn new(objects: Objects, more: Opened) -> Self {
        Self { objects, more }
    }

    fn node(&self, node: &str, user: &User, asked: &Attributes<'_>) -> bool {
        let Attributes { verb, group, plural, subresource, namespace, name, .. } = *asked;
        let own = name == node && (WRITES.contains(&verb) || verb == "get");
        let open = OPEN.contains(&(group, plural)) || self.more.has(group, plural);
        if subresource.is_empty() && open && READS.contains(&verb) {
            return true;
        }
        match (group, plural, subresource) {
            // Of whose name it is, is for the review of the new object.
            ("", "nodes", "") => own || (verb == "create" && name.is_empty()),
            ("", "nodes", "status") => own,
            ("coordination.k8s.io", "leases", "") => {
                namespace == LEASE_NAMESPACE && (own || (verb == "create" && name.is_empty()))
            }
            ("", "pods", "") => self.pods(node, asked),
            ("", "pods", "status") => (WRITES.contains(&verb) || verb == "get") && self.bound(node, namespace, name),
            ("", "events", "") | ("events.k8s.io", "events", "") => verb == "create" || WRITES.contains(&verb),
            ("certificates.k8s.io", "certificatesigningrequests", "") => self.request(user, asked),
            ("", "configmaps" | "secrets", "") => self.reads(node, asked),
            _ => false,
        }
    }

    fn pods(&self, node: &str, asked: &Attributes<'_>) -> bool {
        match asked.verb {
            "list" | "watch" => exact(asked.fields, "spec.nodeName").as_deref() == Some(node),
            "get" | "delete" => self.bound(node, asked.namespace, asked.name),
            _ => false,
        }
    }

    /// A pod that is not there is nobody's: whoever asks hears that it is not there.
    fn bound(&self, node: &str, namespace: &str, name: &str) -> bool {
        let pod = self.objects.store().get(&Key::new(Resource::new("", "pods"), namespace, name));
        !name.is_empty() && pod.is_none_or(|pod| pod.field("spec.nodeName") == node)
    }

    /// One object by its name, which a pod on the node must say, or a Frontend as that of a certificate: every node answers
    /// for those.
    fn reads(&self, node: &str, asked: &Attributes<'_>) -> bool {
        let named = exact(asked.fields, "metadata.name");
        let name = match asked.verb {
            "get" => Some(asked.name),
            "list" | "watch" if asked.name.is_empty() => named.as_deref(),
            "list" | "watch" => Some(asked.name),
            _ => None,
        };
        let (Some(kind), Some(name)) = (Read::of(asked.plural), name.filter(|name| !name.is_empty())) else {
            return false;
        };
        let pods = self.objects.store().indexed(&Resource::new("", "pods"), None, "spec.nodeName", node);
        let mut own = pods.records.iter().filter(|pod| pod.meta.namespace == asked.namespace);
        own.any(|pod| references::names(&pod.value(), kind, name))
            || (kind == Read::Secret && self.certifies(asked.namespace, name))
    }

    fn certifies(&self, namespace: &str, secret: &str) -> bool {
        let (resource, namespace) = (Resource::new("gantry.dev", "frontends"), Some(namespace.to_owned()));
        let all = self.objects.store().list(&Range { resource, namespace, after: None, limit: 0 });
        all.records.iter().any(|frontend| references::certified_by(&frontend.value(), secret))
    }

    /// A new request, or one's own.
    fn request(&self, user: &User, asked: &Attributes<'_>) -> bool {
        match asked.verb {
            "create" => asked.name.is_empty(),
            "get" => {
                let found = super::find(&self.objects, asked.group, "CertificateSigningRequest", "", asked.name);
                let of = found.map(|found| found.value());
                let of = of.as_ref().and_then(|found| found.pointer("/spec/username")).and_then(Value::as_str);
                of == Some(user.name.as_str())
            }
            _ => false,
        }
    }
}

/// The value that a field selector demands of a field.
fn exact(fields: &str, path: &str) -> Option<String> {
    FieldSelector::parse(fields).ok()?.exact(path).map(str::to_owned)
}

impl Authorizer for NodeAuthorizer {
    fn allows(&self, user: &User, asked: &Attributes<'_>) -> bool {
        if user.in_group(BOOTSTRAPPERS) {
            let requests = ("certificates.k8s.io", "certificatesigningrequests", "");
            return (asked.group, asked.plural, asked.subresource) == requests && self.request(user, asked);
        }
        match user.name.strip_prefix(NODE_USER) {
            Some(node) if user.in_group(NODES) && !node.is_empty() => self.node(node, user, asked),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::judge::testing::world;
    use super::*;
    use serde_json::json;

    async fn rules() -> NodeAuthorizer {
        let objects = world().await;
        let kind = objects.kinds().by_kind("", "Pod").unwrap();
        for (name, node) in [("mine", "n1"), ("other", "n2")] {
            let secret = format!("of-{name}");
            let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
                "nodeName": node, "containers": [{"name": "c", "image": "i"}],
                "volumes": [{"name": "v", "secret": {"secretName": secret}}],
            }});
            objects.create(&kind, "default", pod, &Default::default()).await.unwrap();
        }
        let kind = objects.kinds().by_kind("gantry.dev", "Frontend").unwrap();
        let listener =
            json!({"name": "https", "port": 443, "protocol": "HTTPS", "certificates": [{"secretName": "cert"}]});
        let frontend = json!({"apiVersion": "gantry.dev/v1alpha1", "kind": "Frontend", "metadata": {"name": "f"},
            "spec": {"class": "ingress", "http": {"listeners": [listener]}}});
        objects.create(&kind, "default", frontend, &Default::default()).await.unwrap();
        NodeAuthorizer::new(objects, Opened::default())
    }

    #[tokio::test]
    async fn what_plugins_of_nodes_need_is_open_to_nodes() {
        let rules = rules().await;
        rules.more.set(vec![(String::new(), "pods".to_owned())]);
        let node = User::new("system:node:n1", [NODES.to_owned()]);
        assert!(ask(&rules, &node, "watch /pods/ /") && ask(&rules, &node, "get /pods/ default/other"));
        assert!(!ask(&rules, &node, "list /secrets/ /") && !ask(&rules, &node, "patch /pods/ default/other"));
    }

    /// `verb group/plural/subresource namespace/name fields`
    fn ask(rules: &NodeAuthorizer, user: &User, text: &str) -> bool {
        let words: Vec<&str> = text.split(' ').collect();
        let kind: Vec<&str> = words[1].split('/').collect();
        let (namespace, name) = words[2].split_once('/').unwrap();
        let fields = words.get(3).copied().unwrap_or_default();
        let [group, plural, subresource] = kind[..] else { panic!("{text}") };
        rules.allows(user, &Attributes { verb: words[0], group, plural, subresource, namespace, name, fields })
    }

    #[tokio::test]
    async fn a_node_may_what_it_needs_and_nothing_else() {
        let rules = rules().await;
        let node = User::new("system:node:n1", [NODES.to_owned()]);
        for allowed in [
            "list /services/ /",
            "watch gantry.dev/frontends/ /",
            "watch discovery.k8s.io/endpointslices/ /",
            "get /nodes/ /n2",
            "create /nodes/ /",
            "patch /nodes/ /n1",
            "patch /nodes/status /n1",
            "create coordination.k8s.io/leases/ kube-node-lease/",
            "patch coordination.k8s.io/leases/ kube-node-lease/n1",
            "list /pods/ / spec.nodeName=n1",
            "watch /pods/ / spec.nodeName=n1,status.phase!=Failed",
            "get /pods/ default/mine",
            "get /pods/ default/gone",
            "delete /pods/ default/mine",
            "update /pods/status default/mine",
            "get /secrets/ default/of-mine",
            "watch /secrets/ default/ metadata.name=of-mine",
            "get /secrets/ default/cert",
            "watch /secrets/ default/ metadata.name=cert",
            "create /events/ default/",
            "create certificates.k8s.io/certificatesigningrequests/ /",
        ] {
            assert!(ask(&rules, &node, allowed), "{allowed}");
        }
        for refused in [
            "create /pods/ default/",
            "list /pods/ /",
            "list /pods/ / spec.nodeName=n2",
            "list /pods/ / spec.nodeName!=n1",
            "get /pods/ default/other",
            "patch /pods/ default/mine",
            "delete /pods/ default/other",
            "deletecollection /pods/ default/ spec.nodeName=n1",
            "update /pods/status default/other",
            "get /pods/exec default/mine",
            "create /pods/binding default/mine",
            "patch /nodes/ /n2",
            "delete /nodes/ /n1",
            "patch /nodes/status /n2",
            "patch coordination.k8s.io/leases/ kube-node-lease/n2",
            "patch coordination.k8s.io/leases/ kube-system/n1",
            "get /secrets/ default/of-other",
            "get /secrets/ kube-system/of-mine",
            "get /secrets/ kube-system/cert",
            "get /configmaps/ default/cert",
            "patch /secrets/ default/cert",
            "get /configmaps/ default/of-mine",
            "list /secrets/ default/",
            "watch /secrets/ default/ metadata.name=of-other",
            "watch /secrets/ default/ type=Opaque",
            "patch /secrets/ default/of-mine",
            "patch /services/ default/web",
            "delete /events/ default/e",
            "get certificates.k8s.io/certificatesigningrequests/ /someones",
            "update certificates.k8s.io/certificatesigningrequests/approval /someones",
            "list certificates.k8s.io/certificatesigningrequests/ /",
            "list apps/deployments/ /",
        ] {
            assert!(!ask(&rules, &node, refused), "{refused}");
        }
        let pretender = User::new("system:node:n1", []);
        assert!(!ask(&rules, &pretender, "get /pods/ default/mine"));
    }

    #[tokio::test]
    async fn who_has_a_token_may_ask_for_a_certificate() {
        let rules = rules().await;
        let joiner = User::new("system:bootstrap:abc123", [BOOTSTRAPPERS.to_owned()]);
        assert!(ask(&rules, &joiner, "create certificates.k8s.io/certificatesigningrequests/ /"));
        for refused in [
            "get certificates.k8s.io/certificatesigningrequests/ /someones",
            "list certificates.k8s.io/certificatesigningrequests/ /",
            "list /nodes/ /",
            "create /nodes/ /",
            "get /secrets/ kube-system/bootstrap-token-abc123",
        ] {
            assert!(!ask(&rules, &joiner, refused), "{refused}");
        }
    }
}
