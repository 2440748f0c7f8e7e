//! RFC 6902.

use json_patch::PatchOperation;
use serde::Deserialize;
use serde_json::Value;

use super::Error;

/// Bytes that the operations of one patch may copy together: a few short ones could double an object without end.
const MOST_COPIED: usize = 3 * 1024 * 1024;
/// How deep a value may lie in an object. What is deeper could not be read again.
const MOST_DEPTH: usize = 100;

/// Applies the operations, or none of them.
pub fn json(object: &mut Value, operations: &Value) -> Result<(), Error> {
    let patch = json_patch::Patch::deserialize(operations)
        .map_err(|e| Error::Malformed(format!("the JSON patch can't be read: {e}")))?;
    let mut draft = object.clone();
    let mut copied = 0;
    for operation in &patch.0 {
        copied += grows(&draft, operation)?;
        if copied > MOST_COPIED {
            return Err(Error::Unfit(format!("the JSON patch copies more than {MOST_COPIED} bytes")));
        }
        json_patch::patch(&mut draft, std::slice::from_ref(operation)).map_err(|e| Error::Unfit(e.to_string()))?;
    }
    *object = draft;
    Ok(())
}

/// Bytes that an operation copies. Refuses one that puts something too deep.
fn grows(object: &Value, operation: &PatchOperation) -> Result<usize, Error> {
    let from = |path: &str| object.pointer(path).map_or((0, 0), size);
    let (path, (depth, bytes)) = match operation {
        PatchOperation::Add(add) => (&add.path, (size(&add.value).0, 0)),
        PatchOperation::Replace(replace) => (&replace.path, (size(&replace.value).0, 0)),
        PatchOperation::Copy(copy) => (&copy.path, from(copy.from.as_str())),
        PatchOperation::Move(moved) => (&moved.path, (from(moved.from.as_str()).0, 0)),
        PatchOperation::Remove(_) | PatchOperation::Test(_) => return Ok(0),
    };
    if path.as_str().matches('/').count() + depth > MOST_DEPTH {
        return Err(Error::Unfit(format!("the JSON patch puts a value deeper than {MOST_DEPTH} levels")));
    }
    Ok(bytes)
}

/// Levels and about how many bytes a value has. Never deeper than what JSON was read from or `grows` lets in.
fn size(value: &Value) -> (usize, usize) {
    match value {
        Value::Object(map) => map.iter().fold((1, 2), |(depth, bytes), (key, value)| {
            let (below, more) = size(value);
            (depth.max(below + 1), bytes + key.len() + more + 4)
        }),
        Value::Array(items) => items.iter().fold((1, 2), |(depth, bytes), value| {
            let (below, more) = size(value);
            (depth.max(below + 1), bytes + more + 1)
        }),
        Value::String(text) => (0, text.len() + 2),
        Value::Null | Value::Bool(_) | Value::Number(_) => (0, 5),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json as j;

    #[test]
    fn all_or_nothing() {
        let mut object = j!({"a": 1, "b": [1, 2]});
        json(&mut object, &j!([{"op": "add", "path": "/b/-", "value": 3}, {"op": "remove", "path": "/a"}])).unwrap();
        assert_eq!(object, j!({"b": [1, 2, 3]}));
        let late = j!([{"op": "remove", "path": "/b"}, {"op": "test", "path": "/c", "value": 1}]);
        assert!(matches!(json(&mut object, &late), Err(Error::Unfit(_))));
        assert_eq!(object, j!({"b": [1, 2, 3]}));
        let double = |n: usize| j!({"op": "copy", "from": "/b", "path": format!("/b/{n}")});
        let bomb = Value::Array((0..64).map(|_| double(0)).collect());
        assert!(
            matches!(json(&mut object, &bomb), Err(Error::Unfit(why)) if why.contains("deeper") || why.contains("bytes"))
        );
        let wide: Vec<Value> = (0..40).map(|n| j!({"op": "copy", "from": "", "path": format!("/c{n}")})).collect();
        assert!(matches!(json(&mut object, &Value::Array(wide)), Err(Error::Unfit(_))));
        assert_eq!(object, j!({"b": [1, 2, 3]}));
        assert!(matches!(json(&mut object, &j!([{"op": "boil", "path": "/b"}])), Err(Error::Malformed(_))));
    }
}
