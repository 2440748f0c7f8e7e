//! The Service by which pods know the API, if the operator says where they reach it.

use std::net::SocketAddrV4;

use gantry_sdk::api::{ObjectMeta, Resource};
use gantry_sdk::objects::{self, Write};
use gantry_sdk::{Error, ObjectRef, Result, json};
use serde::{Deserialize, Serialize};

use crate::object::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice, Service, resource};
use crate::options::Options;

/// Its namespace.
pub const NAMESPACE: &str = "default";
/// Its name.
pub const NAME: &str = "kubernetes";

/// A Namespace, whose coming wakes the Service.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespace {
    metadata: ObjectMeta,
}

resource!(Namespace, "", "v1", "Namespace");

/// Makes the Service and says where it leads, if `key` is that Service.
pub fn ensure(options: &Options, key: &ObjectRef) -> Result<()> {
    let Some(api) = options.api else { return Ok(()) };
    if (key.namespace.as_str(), key.name.as_str()) != (NAMESPACE, NAME) {
        return Ok(());
    }
    if objects::get::<Service>(key)?.is_none() {
        make(options, api)?;
    }
    let wanted = slice(api);
    match objects::get::<EndpointSlice>(&wanted.reference())? {
        None => objects::apply_one(Write::create(&wanted)?).map(drop),
        Some(found) if found.ports == wanted.ports && found.endpoints == wanted.endpoints => Ok(()),
        Some(found) => {
            let patch = json!({"ports": wanted.ports, "endpoints": wanted.endpoints});
            objects::apply_one(Write::patch(found.reference(), &patch).if_uid(found.uid())).map(drop)
        }
    }
}

fn make(options: &Options, api: SocketAddrV4) -> Result<()> {
    let address = options.service_range.hosts().next().ok_or_else(|| Error::invalid("the service range is empty"))?;
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": NAME, "namespace": NAMESPACE,
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP", "clusterIP": address,
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": api.port()}],
        },
    });
    objects::apply_one(Write::create_json(&service)).map(drop)
}

fn slice(api: SocketAddrV4) -> EndpointSlice {
    let mut metadata = ObjectMeta::named(NAMESPACE, NAME);
    metadata.labels.insert(EndpointSlice::SERVICE_NAME.to_owned(), NAME.to_owned());
    let port =
        EndpointPort { name: "https".into(), protocol: "TCP".into(), port: Some(api.port()), app_protocol: None };
    let conditions = EndpointConditions { ready: Some(true), ..EndpointConditions::default() };
    let endpoint = Endpoint { addresses: vec![api.ip().to_string()], conditions, ..Endpoint::default() };
    EndpointSlice { metadata, address_type: "IPv4".into(), ports: vec![port], endpoints: vec![endpoint] }
}
