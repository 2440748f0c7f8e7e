//! Which provider a node is of.

use std::collections::BTreeMap;

use gantry_sdk::Result as Answer;
use gantry_sdk::objects::{self, Query};

use crate::fault::{Fault, Result};
use crate::object::{CapacityProvider, Cluster, texts};
use crate::operations::Context;

/// Prefixes of names that AWS keeps for its own.
const RESERVED: [&str; 3] = ["aws", "ecs", "fargate"];

/// Providers with the Auto Scaling groups whose nodes they are.
pub struct Groups(BTreeMap<String, String>);

impl Groups {
    /// All that there are.
    pub fn all(context: &Context<'_>) -> Result<Self> {
        let query = Query::of::<CapacityProvider>().namespace(&context.options.namespace);
        let rows: Answer<Vec<(String, String)>> = objects::rows(&query, ["/spec/name", "/spec/group"]);
        Ok(Self(rows?.into_iter().collect()))
    }

    /// Those of a cluster.
    pub fn of(context: &Context<'_>, cluster: &Cluster) -> Result<Self> {
        let mine: Vec<&str> = texts(&cluster.spec, "capacityProviders").collect();
        if mine.is_empty() {
            return Ok(Self(BTreeMap::new()));
        }
        let mut all = Self::all(context)?;
        all.0.retain(|name, _| mine.contains(&name.as_str()));
        Ok(all)
    }

    /// The group of a provider.
    pub fn group(&self, provider: &str) -> Option<&str> {
        self.0.get(provider).map(String::as_str)
    }

    /// The provider whose nodes are those of a group.
    pub fn provider(&self, group: &str) -> Option<&str> {
        self.0.iter().find(|(_, of)| *of == group).map(|(name, _)| name.as_str())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// A provider's name, given as that or as its ARN. Fargate's are none.
pub fn name<'a>(context: &Context<'_>, given: &'a str) -> Result<&'a str> {
    let name = match context.options.resource(given)? {
        Some(resource) => resource.strip_prefix("capacity-provider/").unwrap_or_default(),
        None => given,
    };
    match name {
        "FARGATE" | "FARGATE_SPOT" => Err(Fault::unsupported(&format!("The capacity provider {name}"))),
        name => Ok(name),
    }
}

/// Whether AWS keeps a name for itself.
pub fn is_reserved(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    RESERVED.iter().any(|prefix| name.starts_with(prefix))
}
