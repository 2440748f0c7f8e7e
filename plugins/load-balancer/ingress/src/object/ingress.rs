//! `networking.k8s.io/v1` Ingress and IngressClass.

use gantry_sdk::Value;
use gantry_sdk::api::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::{or_default, resource};

/// An Ingress.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ingress {
    /// `metadata`
    pub metadata: ObjectMeta,
    /// `spec`
    #[serde(deserialize_with = "or_default")]
    pub spec: Spec,
    /// `status`
    #[serde(deserialize_with = "or_default")]
    pub status: Value,
}

/// `spec`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// Which class serves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress_class_name: Option<String>,
    /// Who gets what no rule is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_backend: Option<Backend>,
    /// Certificates.
    #[serde(deserialize_with = "or_default")]
    pub tls: Vec<Tls>,
    /// Rules.
    #[serde(deserialize_with = "or_default")]
    pub rules: Vec<Rule>,
}

/// `spec.tls[]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tls {
    /// Names that the certificate is for.
    #[serde(deserialize_with = "or_default")]
    pub hosts: Vec<String>,
    /// Where it is.
    #[serde(deserialize_with = "or_default")]
    pub secret_name: String,
}

/// `spec.rules[]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// Empty: every host.
    #[serde(deserialize_with = "or_default")]
    pub host: String,
    /// What leads where. Without it everything goes to the default backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
}

/// `spec.rules[].http`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Http {
    /// Paths.
    #[serde(deserialize_with = "or_default")]
    pub paths: Vec<Path>,
}

/// `spec.rules[].http.paths[]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Path {
    /// Begins with a slash.
    #[serde(deserialize_with = "or_default")]
    pub path: String,
    /// `Exact`, `Prefix` or `ImplementationSpecific`
    #[serde(deserialize_with = "or_default")]
    pub path_type: String,
    /// Who gets it.
    #[serde(deserialize_with = "or_default")]
    pub backend: Backend,
}

/// Who gets requests: a Service, or another object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Backend {
    /// A Service of the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// Another object. This plugin knows none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<Value>,
}

/// A Service and one of its ports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Its name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Its port.
    #[serde(deserialize_with = "or_default")]
    pub port: ServicePort,
}

/// A port, by name or number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServicePort {
    /// Empty: by number.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// 0: by name.
    #[serde(deserialize_with = "or_default")]
    pub number: i64,
}

/// An IngressClass.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IngressClass {
    /// `metadata`
    pub metadata: ObjectMeta,
    /// `spec`
    #[serde(deserialize_with = "or_default")]
    pub spec: ClassSpec,
}

/// `spec` of an IngressClass
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClassSpec {
    /// Who serves it.
    #[serde(deserialize_with = "or_default")]
    pub controller: String,
    /// What that is told beyond this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Value>,
}

resource!(Ingress, "networking.k8s.io", "v1", "Ingress");
resource!(IngressClass, "networking.k8s.io", "v1", "IngressClass");

impl Ingress {
    /// Every backend that it names.
    pub fn backends(&self) -> impl Iterator<Item = &Backend> {
        let paths = self.spec.rules.iter().filter_map(|rule| rule.http.as_ref()).flat_map(|http| &http.paths);
        self.spec.default_backend.iter().chain(paths.map(|path| &path.backend))
    }
}
