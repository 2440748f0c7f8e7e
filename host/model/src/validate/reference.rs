//! Rules of references from containers to fields of their pod, and of what the kernel is asked for by name.

use serde_json::Value;

use super::{named, text};
use crate::path::Path;
use crate::status::Cause;

/// Fields of the pod that its containers may read, as a value or as a file.
const FIELDS: [&str; 11] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "metadata.labels",
    "metadata.annotations",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
];
const PROFILES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];

/// `ObjectFieldSelector`
pub(super) fn field(path: &Path<'_>, value: &Value, causes: &mut Vec<Cause>) {
    let field = text(value, "fieldPath");
    let member = |of: &str| {
        let key =
            field.strip_prefix(of).and_then(|rest| rest.strip_prefix("['")).and_then(|rest| rest.strip_suffix("']"));
        key.is_some_and(|key| !key.is_empty())
    };
    if !FIELDS.contains(&field) && !member("metadata.labels") && !member("metadata.annotations") {
        let problem = format!("error converting fieldPath: field label not supported: {field}");
        causes.push(Cause::invalid(path.field("fieldPath"), &field.into(), problem));
    }
}

/// `ResourceFieldSelector`
pub(super) fn resource(path: &Path<'_>, value: &Value, causes: &mut Vec<Cause>) {
    let resource = text(value, "resource");
    let pages = ["limits.hugepages-", "requests.hugepages-"].iter().any(|prefix| resource.starts_with(prefix));
    if !RESOURCES.contains(&resource) && !pages {
        causes.push(Cause::not_supported(path.field("resource"), &resource.into(), &RESOURCES));
    }
}

/// `SeccompProfile`
pub(super) fn seccomp(path: &Path<'_>, value: &Value, causes: &mut Vec<Cause>) {
    let (type_, profile) = (text(value, "type"), text(value, "localhostProfile"));
    if !PROFILES.contains(&type_) {
        causes.push(Cause::not_supported(path.field("type"), &type_.into(), &PROFILES));
    } else if type_ == "Localhost" && profile.is_empty() {
        let why = "must be set when seccomp type is Localhost";
        causes.push(Cause::required(path.field("localhostProfile"), why));
    } else if type_ != "Localhost" && !profile.is_empty() {
        let problem = "can only be set when seccomp type is Localhost";
        causes.push(Cause::invalid(path.field("localhostProfile"), &profile.into(), problem));
    }
}

/// `Sysctl`
pub(super) fn sysctl(path: &Path<'_>, value: &Value, causes: &mut Vec<Cause>) {
    named(path, value, "name", sysctl_name, causes);
}

fn sysctl_name(name: &str) -> Vec<String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let good = |part: &str| {
        let bytes = part.as_bytes();
        bytes.first().copied().is_some_and(plain)
            && bytes.last().copied().is_some_and(plain)
            && bytes.iter().all(|byte| plain(*byte) || matches!(byte, b'-' | b'_'))
    };
    match name.len() <= 253 && name.split(['.', '/']).all(good) {
        true => Vec::new(),
        false => vec![
            "must have at most 253 characters and consist of names of lower case letters, digits, '-' and '_' that \
                       begin and end with a letter or digit, separated by '.' or '/'"
                .to_owned(),
        ],
    }
}
