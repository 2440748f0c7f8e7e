//! Replacing objects.

use gantry_model::kind::Origin;
use gantry_model::status::{Cause, Reason};
use gantry_model::{Kind, Status};
use serde_json::{Value, json};

use crate::next::{self, ATTEMPTS, By};
use crate::options::{Subresource, WriteOptions, Written};
use crate::verbs::Objects;
use crate::{fault, metadata};

pub(crate) async fn update(
    objects: &Objects,
    kind: &Kind,
    namespace: &str,
    name: &str,
    object: Value,
    options: &WriteOptions,
) -> Result<Written, Status> {
    let anything = matches!(metadata::text(&object, "resourceVersion"), "" | "0");
    if anything && matches!(kind.origin, Origin::Definition(_)) && options.subresource == Subresource::None {
        objects.get(kind, namespace, name)?;
        let cause = Cause::invalid("metadata.resourceVersion", &json!(0), "must be specified for an update");
        return Err(fault::invalid(kind, name, vec![cause]));
    }
    let once = !anything || options.preconditions.resource_version.is_some();
    let mut object = Some(object);
    for _ in 0..ATTEMPTS {
        let record = objects.get(kind, namespace, name)?;
        let new = if once { object.take() } else { object.clone() };
        let Some(new) = new else { break };
        let next = next::next(objects, kind, &record, record.value(), new, options, By::Update).await?;
        match next::put(objects, kind, record, next, options).await {
            Err(status) if status.reason == Reason::Conflict && !once => {}
            other => return other,
        }
    }
    Err(fault::modified(kind, name))
}
