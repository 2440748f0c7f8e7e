//! Rules of volumes.

use serde_json::Value;

use super::{list, named, names, number, text};
use crate::path::Path;
use crate::status::Cause;

pub(super) fn volume(path: &Path<'_>, volume: &Value, causes: &mut Vec<Cause>) {
    named(path, volume, "name", names::dns_label, causes);
    let sources = volume.as_object().into_iter().flatten();
    let sources: Vec<_> = sources.filter(|(name, source)| *name != "name" && !source.is_null()).collect();
    match sources.as_slice() {
        [] => causes.push(Cause::required(*path, "must specify a volume type")),
        [(name, content)] => source(&path.field(name), name, content, causes),
        [_, more @ ..] => {
            for (name, _) in more {
                causes.push(Cause::forbidden(path.field(name), "may not specify more than 1 volume type"));
            }
        }
    }
}

fn source(path: &Path<'_>, type_: &str, source: &Value, causes: &mut Vec<Cause>) {
    let mut required = |field: &str| {
        if text(source, field).is_empty() && source.is_object() {
            causes.push(Cause::required(path.field(field), ""));
        }
    };
    match type_ {
        "configMap" => required("name"),
        "secret" => required("secretName"),
        "hostPath" if source.get("path").is_some() => required("path"),
        "persistentVolumeClaim" if source.get("claimName").is_some() => required("claimName"),
        "csi" if source.get("driver").is_some() => required("driver"),
        "nfs" => {
            let path_ = text(source, "path");
            if !path_.is_empty() && !path_.starts_with('/') {
                causes.push(Cause::invalid(path.field("path"), &path_.into(), "must be an absolute path"));
            }
        }
        _ => {}
    }
    if type_ == "emptyDir" && text(source, "sizeLimit").starts_with('-') {
        causes.push(Cause::forbidden(path.field("sizeLimit"), "SizeLimit field must be a valid resource quantity"));
    }
    if type_ == "hostPath" {
        host_path(path, source, causes);
    }
    mode(path, source, "defaultMode", causes);
    items(path, source, causes);
    let at = path.field("sources");
    for (n, projection) in list(source, "sources").iter().enumerate() {
        for name in ["configMap", "secret", "downwardAPI"] {
            if let Some(content) = projection.get(name) {
                items(&at.index(n).field(name), content, causes);
            }
        }
    }
}

fn host_path(path: &Path<'_>, source: &Value, causes: &mut Vec<Cause>) {
    const TYPES: [&str; 8] =
        ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    let type_ = text(source, "type");
    if !TYPES.contains(&type_) {
        causes.push(Cause::not_supported(path.field("type"), &type_.into(), &TYPES));
    }
    if text(source, "path").split('/').any(|part| part == "..") {
        causes.push(Cause::invalid(path.field("path"), &text(source, "path").into(), "must not contain '..'"));
    }
}

/// Files of a volume that is made of keys or fields.
fn items(path: &Path<'_>, source: &Value, causes: &mut Vec<Cause>) {
    let at = path.field("items");
    for (n, item) in list(source, "items").iter().enumerate() {
        let at = at.index(n);
        for field in ["key", "path"] {
            if item.get(field).is_some() && text(item, field).is_empty() {
                causes.push(Cause::required(at.field(field), ""));
            }
        }
        relative(&at, item, "path", causes);
        mode(&at, item, "mode", causes);
    }
}

fn mode(path: &Path<'_>, value: &Value, field: &str, causes: &mut Vec<Cause>) {
    if let Some(mode) = number(value, field).filter(|n| !(0..=0o777).contains(n)) {
        let problem = "must be a number between 0 and 0777 (octal), both inclusive";
        causes.push(Cause::invalid(path.field(field), &mode.into(), problem));
    }
}

/// A path that stays below where it begins.
pub(super) fn relative(path: &Path<'_>, value: &Value, field: &str, causes: &mut Vec<Cause>) {
    let text = text(value, field);
    if text.starts_with('/') {
        causes.push(Cause::invalid(path.field(field), &text.into(), "must be a relative path"));
    }
    if text.split('/').any(|part| part == "..") {
        causes.push(Cause::invalid(path.field(field), &text.into(), "must not contain '..'"));
    }
}
