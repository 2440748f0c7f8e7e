//! Making what a client sent an object of its kind.

use gantry_model::{Kind, Kinds, Status, schema, validate};
use serde_json::{Value, json};

use crate::fault;
use crate::metadata;
use crate::options::FieldValidation;

/// Drops fields that the kind does not have, as the client wishes: in silence, with a warning, or not at all. Fields that
/// came twice are treated alike.
pub(crate) fn prune(
    kinds: &Kinds,
    kind: &Kind,
    object: &mut Value,
    (validation, duplicates): (FieldValidation, &[String]),
    warnings: &mut Vec<String>,
) -> Result<(), Status> {
    let unknown = schema::prune(kinds, kind, object);
    if (unknown.is_empty() && duplicates.is_empty()) || validation == FieldValidation::Ignore {
        return Ok(());
    }
    let duplicates = duplicates.iter().map(|path| format!("duplicate field \"{path}\""));
    let wrong = duplicates.chain(unknown.into_iter().map(|path| format!("unknown field \"{path}\"")));
    if validation == FieldValidation::Warn {
        warnings.extend(wrong);
        return Ok(());
    }
    Err(Status::bad_request(format!(
        "{name} in version \"{version}\" cannot be handled as a {name}: strict decoding error: {list}",
        name = kind.kind,
        version = kind.version,
        list = wrong.collect::<Vec<_>>().join(", "),
    )))
}

/// Fills in defaults and checks everything: 422 with all that is wrong.
pub(crate) fn complete(
    kinds: &Kinds,
    kind: &Kind,
    object: &mut Value,
    old: Option<&Value>,
    warnings: &mut Vec<String>,
) -> Result<(), Status> {
    schema::fill_defaults(kinds, kind, object);
    let causes = validate::object(kinds, kind, object, old);
    match causes.is_empty() {
        true => {
            warnings.extend(validate::warnings(object));
            Ok(())
        }
        false => Err(fault::invalid(kind, metadata::text(object, "name"), causes)),
    }
}

/// The same for a status alone: the rest of the object is not looked at again.
pub(crate) fn status(
    kinds: &Kinds,
    kind: &Kind,
    name: &str,
    status: Value,
    fields: (FieldValidation, &[String]),
    warnings: &mut Vec<String>,
) -> Result<Value, Status> {
    let mut part = json!({});
    if let Some(map) = part.as_object_mut() {
        map.insert("status".to_owned(), status);
    }
    prune(kinds, kind, &mut part, fields, warnings)?;
    let mut causes = schema::check(kinds, kind, &part);
    causes.retain(|cause| cause.field.starts_with("status"));
    if !causes.is_empty() {
        return Err(fault::invalid(kind, name, causes));
    }
    Ok(part.get_mut("status").map(Value::take).unwrap_or_default())
}
