//! RFC 6902.

use serde::Deserialize;
use serde_json::Value;

use super::Error;

/// Applies the operations, or none of them.
pub fn json(object: &mut Value, operations: &Value) -> Result<(), Error> {
    let patch = json_patch::Patch::deserialize(operations)
        .map_err(|e| Error::Malformed(format!("the JSON patch can't be read: {e}")))?;
    json_patch::patch(object, &patch.0).map_err(|e| Error::Unfit(e.to_string()))
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
        assert!(matches!(json(&mut object, &j!([{"op": "boil", "path": "/b"}])), Err(Error::Malformed(_))));
    }
}
