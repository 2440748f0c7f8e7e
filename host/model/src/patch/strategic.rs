//! Strategic merge patches: like merge patches, but lists that have a merge key are merged item by item.
//!
//! Directives in a patch: `$patch` (`replace`, `delete`, `merge`), `$setElementOrder/<list>`,
//! `$deleteFromPrimitiveList/<list>` and `$retainKeys`.

use serde_json::{Map, Value};

use super::Error;
use crate::schema::Schema;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";

/// Applies a strategic merge patch to an object of this schema.
pub fn strategic(schema: &Schema, object: &mut Value, patch: Value) -> Result<(), Error> {
    let Value::Object(patch) = patch else {
        return Err(Error::Malformed("a strategic merge patch must be an object".to_owned()));
    };
    let current = match std::mem::take(object) {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    *object = Value::Object(merge_map(Some(schema), current, patch)?);
    Ok(())
}

fn child(schema: Option<&Schema>, name: &str) -> Option<Schema> {
    schema?.child(name)
}

fn replaces(schema: Option<&Schema>) -> bool {
    schema.is_some_and(|s| s.patch_strategies().replace)
}

fn merges(schema: Option<&Schema>) -> bool {
    schema.is_some_and(|s| s.patch_strategies().merge)
}

fn merge_map(
    schema: Option<&Schema>,
    mut current: Map<String, Value>,
    mut patch: Map<String, Value>,
) -> Result<Map<String, Value>, Error> {
    match patch.remove(PATCH) {
        None => {}
        Some(Value::String(directive)) => match directive.as_str() {
            "merge" => {}
            "replace" => return Ok(cleaned_map(patch)),
            "delete" => return Ok(Map::new()),
            other => return Err(unknown(other)),
        },
        Some(other) => return Err(unknown(&other.to_string())),
    }
    let retain = patch.remove(RETAIN_KEYS);
    let mut directives = Map::new();
    let names: Vec<String> = patch.keys().filter(|k| k.starts_with('$')).cloned().collect();
    for name in names {
        if let Some((name, value)) = patch.remove_entry(&name) {
            directives.insert(name, value);
        }
    }
    delete_primitives(&mut current, &directives);
    for (name, wanted) in patch {
        let schema = child(schema, &name);
        let order = directives.get(&format!("{ORDER}{name}"));
        let was = current.remove(&name);
        if let Some(value) = merge_value(schema.as_ref(), was, wanted, order)? {
            current.insert(name, value);
        }
    }
    reorder_unmentioned(schema, &mut current, &directives);
    if let Some(Value::Array(keys)) = retain {
        current.retain(|name, _| keys.iter().any(|key| key.as_str() == Some(name)));
    }
    Ok(current)
}

/// What a field becomes; `None`: it goes away.
fn merge_value(
    schema: Option<&Schema>,
    was: Option<Value>,
    wanted: Value,
    order: Option<&Value>,
) -> Result<Option<Value>, Error> {
    Ok(match (was, wanted) {
        (_, Value::Null) => None,
        (Some(Value::Object(was)), Value::Object(wanted)) if !replaces(schema) => {
            let deleted = wanted.get(PATCH).is_some_and(|directive| directive == "delete");
            let merged = merge_map(schema, was, wanted)?;
            (!deleted).then_some(Value::Object(merged))
        }
        (was, Value::Array(wanted)) if merges(schema) => {
            let was = match was {
                Some(Value::Array(list)) => list,
                _ => Vec::new(),
            };
            Some(Value::Array(merge_list(schema, was, wanted, order)?))
        }
        (_, Value::Object(wanted)) if wanted.get(PATCH).is_some_and(|directive| directive == "delete") => None,
        (_, wanted) => Some(cleaned(wanted)),
    })
}

fn merge_list(
    schema: Option<&Schema>,
    was: Vec<Value>,
    wanted: Vec<Value>,
    order: Option<&Value>,
) -> Result<Vec<Value>, Error> {
    let mut merged = match schema.and_then(Schema::merge_key) {
        Some(key) => merge_records(schema, key, was, wanted)?,
        None => {
            let mut list = was;
            for value in wanted {
                if !list.contains(&value) {
                    list.push(value);
                }
            }
            list
        }
    };
    if let Some(Value::Array(order)) = order {
        sort(&mut merged, order, schema.and_then(Schema::merge_key));
    }
    Ok(merged)
}

fn merge_records(schema: Option<&Schema>, key: &str, was: Vec<Value>, wanted: Vec<Value>) -> Result<Vec<Value>, Error> {
    let replaces = |item: &Value| item.get(PATCH).is_some_and(|directive| directive == "replace");
    if wanted.iter().any(replaces) {
        return Ok(wanted
            .into_iter()
            .map(cleaned)
            .filter(|item| item.as_object().is_none_or(|m| !m.is_empty()))
            .collect());
    }
    let items = schema.and_then(Schema::items);
    let mut list = was;
    for item in wanted {
        let Value::Object(mut item) = item else {
            return Err(Error::Malformed(format!("an item of a list merged by {key:?} must be an object")));
        };
        let Some(value) = item.get(key).cloned() else {
            return Err(Error::Malformed(format!("an item of the patch has no merge key {key:?}")));
        };
        let at = list.iter().position(|other| other.get(key) == Some(&value));
        match item.get(PATCH).and_then(Value::as_str) {
            Some("delete") => list.retain(|other| other.get(key) != Some(&value)),
            None | Some("merge") => {
                item.remove(PATCH);
                match at.and_then(|at| list.get_mut(at)) {
                    Some(slot) => {
                        if let Value::Object(current) = std::mem::take(slot) {
                            *slot = Value::Object(merge_map(items.as_ref(), current, item)?);
                        }
                    }
                    None => list.push(cleaned(Value::Object(item))),
                }
            }
            Some(other) => return Err(unknown(other)),
        }
    }
    Ok(list)
}

fn delete_primitives(current: &mut Map<String, Value>, directives: &Map<String, Value>) {
    for (name, gone) in directives {
        let Some(field) = name.strip_prefix(DELETE_FROM) else { continue };
        if let (Some(Value::Array(list)), Value::Array(gone)) = (current.get_mut(field), gone) {
            list.retain(|value| !gone.contains(value));
        }
    }
}

/// Orders lists that the patch orders but does not otherwise name.
fn reorder_unmentioned(schema: Option<&Schema>, current: &mut Map<String, Value>, directives: &Map<String, Value>) {
    for (name, order) in directives {
        let Some(field) = name.strip_prefix(ORDER) else { continue };
        if let (Some(Value::Array(list)), Value::Array(order)) = (current.get_mut(field), order) {
            sort(list, order, child(schema, field).as_ref().and_then(Schema::merge_key));
        }
    }
}

/// Puts the items that the order names into that order; each of the others stays behind the item that it followed.
fn sort(list: &mut Vec<Value>, order: &[Value], key: Option<&str>) {
    let place = |item: &Value| {
        order.iter().position(|wanted| match key {
            Some(key) => item.get(key).is_some() && item.get(key) == wanted.get(key),
            None => item == wanted,
        })
    };
    let mut ranked: Vec<(usize, Value)> = Vec::with_capacity(list.len());
    let mut last = 0;
    for item in list.drain(..) {
        last = place(&item).map_or(last, |place| place + 1);
        ranked.push((last, item));
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    list.extend(ranked.into_iter().map(|(_, item)| item));
}

/// A value that is put where nothing was: without directives and nulls.
fn cleaned(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(cleaned_map(map)),
        Value::Array(list) => {
            let deleted = |item: &Value| item.get(PATCH).is_some_and(|directive| directive == "delete");
            Value::Array(list.into_iter().filter(|item| !deleted(item)).map(cleaned).collect())
        }
        other => other,
    }
}

fn cleaned_map(map: Map<String, Value>) -> Map<String, Value> {
    let directive =
        |name: &str| name == PATCH || name == RETAIN_KEYS || name.starts_with(ORDER) || name.starts_with(DELETE_FROM);
    map.into_iter().filter(|(name, value)| !directive(name) && !value.is_null()).map(|(n, v)| (n, cleaned(v))).collect()
}

fn unknown(directive: &str) -> Error {
    Error::Malformed(format!("unknown patch directive {directive:?}: use replace, delete or merge"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patched(object: Value, patch: Value) -> Result<Value, Error> {
        let kinds = crate::Kinds::default();
        crate::core::register(&kinds);
        let schema = Schema::of(&kinds, &kinds.by_resource("", "v1", "pods").unwrap());
        let mut object = object;
        strategic(&schema, &mut object, patch)?;
        Ok(object)
    }

    fn containers(list: Value) -> Value {
        json!({"spec": {"containers": list}})
    }

    #[test]
    fn lists_with_a_merge_key_are_merged() {
        let two = || json!([{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]);
        for (patch, want) in [
            (json!([{"name": "b", "image": "2"}]), json!([{"name": "a", "image": "1"}, {"name": "b", "image": "2"}])),
            (
                json!([{"name": "c", "image": null, "$patch": "merge"}]),
                json!([{"name": "a", "image": "1"}, {"name": "b", "image": "1"}, {"name": "c"}]),
            ),
            (json!([{"name": "a", "$patch": "delete"}]), json!([{"name": "b", "image": "1"}])),
            (json!([{"$patch": "replace"}, {"name": "c"}]), json!([{"name": "c"}])),
            (json!([{"name": "a", "image": null}]), json!([{"name": "a"}, {"name": "b", "image": "1"}])),
            (json!([]), two()),
        ] {
            assert_eq!(patched(containers(two()), containers(patch.clone())).unwrap(), containers(want), "{patch}");
        }
        assert_eq!(patched(containers(two()), json!({"spec": {"containers": null}})).unwrap(), json!({"spec": {}}));
    }

    #[test]
    fn directives_order_replace_delete_and_retain() {
        let object = json!({"metadata": {"finalizers": ["x", "y"], "labels": {"a": "1"}}, "spec": {"volumes": [
            {"name": "v", "emptyDir": {}}, {"name": "own", "hostPath": {"path": "/"}}]}});
        for (patch, at, want) in [
            (json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["x"]}}), "/metadata/finalizers", json!(["y"])),
            (
                json!({"metadata": {"finalizers": ["y", "z"], "$setElementOrder/finalizers": ["z", "y"]}}),
                "/metadata/finalizers",
                json!(["x", "z", "y"]),
            ),
            (json!({"metadata": {"labels": {"$patch": "replace", "b": "2"}}}), "/metadata/labels", json!({"b": "2"})),
            (json!({"metadata": {"labels": {"$patch": "delete"}}}), "/metadata", json!({"finalizers": ["x", "y"]})),
            (
                json!({"spec": {"volumes": [{"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "c"}}]}}),
                "/spec/volumes/0",
                json!({"name": "v", "configMap": {"name": "c"}}),
            ),
            (
                json!({"spec": {"$setElementOrder/volumes": [{"name": "own"}, {"name": "v"}]}}),
                "/spec/volumes/0/name",
                json!("own"),
            ),
        ] {
            let patched = patched(object.clone(), patch.clone()).unwrap();
            assert_eq!(patched.pointer(at), Some(&want), "{patch}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for patch in [
            json!([]),
            json!({"metadata": {"$patch": "boil"}}),
            containers(json!([{"image": "x"}])),
            containers(json!(["x"])),
        ] {
            let object = containers(json!([{"name": "a"}]));
            assert!(
                matches!(patched(object, patch.clone()), Err(Error::Malformed(_))) || patch.get("metadata").is_some(),
                "{patch}"
            );
        }
    }
}
