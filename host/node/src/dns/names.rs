//! How the resolvers of pods are set up, as a plugin says.

use std::net::IpAddr;

use gantry_plugin::family::discovery::Description;
use serde::{Deserialize, Serialize};

/// What stands for a pod's namespace and subdomain.
const NAMESPACE: &str = "{namespace}";
const SUBDOMAIN: &str = "{subdomain}";

/// Where and how pods look names up in the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// Servers; none: the cluster has no names, and pods use what the node uses.
    #[serde(skip)]
    pub servers: Vec<IpAddr>,
    search: Vec<String>,
    ndots: u32,
    pod_domain: String,
}

impl Names {
    /// As a plugin describes itself.
    pub fn of(description: &Description, server: IpAddr) -> Self {
        Self {
            servers: vec![server],
            search: description.search.clone(),
            ndots: description.ndots,
            pod_domain: description.pod_domain.clone(),
        }
    }

    /// The same, with this server.
    pub fn at(self, server: IpAddr) -> Self {
        Self { servers: vec![server], ..self }
    }

    /// Without a plugin: pods have names in Kubernetes' form, which nobody answers to.
    pub fn none() -> Self {
        Self { pod_domain: format!("{SUBDOMAIN}.{NAMESPACE}.svc.cluster.local"), ..Self::default() }
    }

    /// The search list of a pod of this namespace.
    pub fn search(&self, namespace: &str) -> impl Iterator<Item = String> {
        self.search.iter().map(move |domain| domain.replace(NAMESPACE, namespace))
    }

    /// Options of a pod's resolver.
    pub fn options(&self) -> Vec<String> {
        vec![format!("ndots:{}", self.ndots)]
    }

    /// The domain of pods that say this subdomain; `None`: they have none.
    pub fn pod_domain(&self, namespace: &str, subdomain: &str) -> Option<String> {
        let domain = self.pod_domain.replace(SUBDOMAIN, subdomain).replace(NAMESPACE, namespace);
        (!domain.is_empty()).then_some(domain)
    }
}

#[cfg(test)]
impl Names {
    /// As the stock plugin says.
    pub fn testing(server: IpAddr) -> Self {
        let search = ["{namespace}.svc.cluster.local", "svc.cluster.local", "cluster.local"];
        Self { servers: vec![server], search: search.map(str::to_owned).to_vec(), ndots: 5, ..Self::none() }
    }
}
