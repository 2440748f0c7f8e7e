//! ARNs in their long form, and names of objects.

use ecs_common::ids::digest;

use crate::fault::{Fault, Result};
use crate::options::Options;

/// The label of tasks and services with their cluster, as [`label`] has it.
pub const CLUSTER: &str = "ecs.gantry.dev/cluster";
/// What stands for a cluster where none is named.
pub const DEFAULT_CLUSTER: &str = "default";

impl Options {
    /// `arn:aws:ecs:REGION:ACCOUNT:` and what follows.
    pub fn arn(&self, resource: &str) -> String {
        format!("arn:aws:ecs:{}:{}:{resource}", self.region, self.account)
    }

    /// A cluster's.
    pub fn cluster_arn(&self, cluster: &str) -> String {
        self.arn(&format!("cluster/{cluster}"))
    }

    /// A task's.
    pub fn task_arn(&self, cluster: &str, id: &str) -> String {
        self.arn(&format!("task/{cluster}/{id}"))
    }

    /// A task definition's.
    pub fn definition_arn(&self, family: &str, revision: u64) -> String {
        self.arn(&format!("task-definition/{family}:{revision}"))
    }

    /// A service's.
    pub fn service_arn(&self, cluster: &str, service: &str) -> String {
        self.arn(&format!("service/{cluster}/{service}"))
    }

    /// That of a node as it is seen by a cluster.
    pub fn instance_arn(&self, cluster: &str, uid: &str) -> String {
        self.arn(&format!("container-instance/{cluster}/{}", uid.replace('-', "")))
    }

    /// Who calls with an access key.
    pub fn caller_arn(&self, key: &str) -> String {
        format!("arn:aws:iam::{}:user/{key}", self.account)
    }

    /// What follows the account in an ARN of ours: `cluster/web`. None for what is no ARN.
    pub fn resource<'a>(&self, arn: &'a str) -> Result<Option<&'a str>> {
        if !arn.starts_with("arn:") {
            return Ok(None);
        }
        let ours = arn.strip_prefix(self.arn("").as_str());
        ours.map(Some).ok_or_else(|| {
            Fault::parameter(format!("Invalid identifier: The ARN {arn} is not one of this account and region."))
        })
    }

    /// A cluster's name, given as that, as its ARN, or not at all.
    pub fn cluster_name(&self, given: Option<&str>) -> Result<String> {
        let given = given.filter(|text| !text.is_empty()).unwrap_or(DEFAULT_CLUSTER);
        let name = match self.resource(given)? {
            Some(resource) => resource.strip_prefix("cluster/").unwrap_or_default(),
            None => given,
        };
        identifier(name, "cluster")?;
        Ok(name.to_owned())
    }

    /// Family and, where it is said, revision, given as `family:1` or as an ARN.
    pub fn definition<'a>(&self, given: &'a str) -> Result<(&'a str, Option<u64>)> {
        let text = match self.resource(given)? {
            Some(resource) => resource.strip_prefix("task-definition/").unwrap_or_default(),
            None => given,
        };
        let (family, revision) = match text.split_once(':') {
            Some((family, revision)) => match revision.parse::<u64>() {
                Ok(revision) if revision > 0 => (family, Some(revision)),
                _ => return Err(Fault::client(format!("Invalid revision number. Number: {revision}"))),
            },
            None => (text, None),
        };
        identifier(family, "task definition family")?;
        Ok((family, revision))
    }

    /// A service's name, given as that or as its ARN, which may have its cluster in it or not.
    pub fn service<'a>(&self, given: &'a str) -> Result<&'a str> {
        let name = match self.resource(given)? {
            Some(resource) => {
                resource.strip_prefix("service/").and_then(|rest| rest.rsplit('/').next()).unwrap_or_default()
            }
            None => given,
        };
        identifier(name, "service")?;
        Ok(name)
    }

    /// A task's id, given as that or as its ARN.
    pub fn task_id<'a>(&self, given: &'a str) -> Result<&'a str> {
        let id = match self.resource(given)? {
            Some(resource) => {
                resource.strip_prefix("task/").and_then(|rest| rest.rsplit('/').next()).unwrap_or_default()
            }
            None => given,
        };
        match !id.is_empty() && id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            true => Ok(id),
            false => Err(Fault::parameter("taskId longer than 36, or not of letters and digits.".to_owned())),
        }
    }
}

/// Up to 255 letters, digits, hyphens and underscores.
pub fn identifier(name: &str, what: &str) -> Result<()> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    match !name.is_empty() && name.len() <= 255 && name.bytes().all(good) {
        true => Ok(()),
        false => Err(Fault::parameter(format!(
            "Invalid {what} name {name:?}: up to 255 letters (uppercase and lowercase), numbers, hyphens, and underscores are allowed."
        ))),
    }
}

/// The name of the object: the same where that can be one; else with a hash after a dot, which no name of ECS has.
pub fn object_name(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let ends = |name: &str| name.starts_with('-') || name.ends_with('-');
    if name.len() <= 200 && name.bytes().all(plain) && !ends(name) {
        return name.to_owned();
    }
    let text: String =
        name.chars().take(200).map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let text = text.trim_matches('-');
    let text = if text.is_empty() { "x" } else { text };
    format!("{text}.x{}", digest(name, 10))
}

/// The name of a revision's object.
pub fn revision_name(family: &str, revision: u64) -> String {
    format!("{}.r{revision}", object_name(family))
}

/// The name of a service's object: clusters have services of the same name.
pub fn service_name(cluster: &str, service: &str) -> String {
    let plain = object_name(service);
    let text: String = plain.split('.').next().unwrap_or_default().chars().take(100).collect();
    format!("{}.s{}", text.trim_matches('-'), digest(&format!("{cluster}/{service}"), 16))
}

/// A label's value that stands for a name.
pub fn label(name: &str) -> String {
    digest(name, 32)
}
