use super::*;
use crate::kind::{Origin, Scope};
use serde_json::json;

fn kind(schema: Value) -> Kind {
    Kind {
        group: "gantry.test".into(),
        version: "v1".into(),
        kind: "Lift".into(),
        plural: "lifts".into(),
        singular: "lift".into(),
        short_names: vec![],
        categories: vec![],
        scope: Scope::Namespaced,
        schema: Arc::new(schema),
        definition: "test.Lift".into(),
        status: false,
        scale: None,
        columns: vec![],
        selectable_fields: vec![],
        origin: Origin::Core,
    }
}

fn lift() -> (Kinds, Kind) {
    let kinds = Kinds::default();
    kinds.define([(
        "test.Tree".to_owned(),
        json!({"type": "object", "properties": {
            "height": {"type": "integer", "format": "int32", "default": 3, "minimum": 1},
            "children": {"type": "array", "items": {"$ref": "#/definitions/test.Tree"}, "x-kubernetes-patch-merge-key": "height", "x-kubernetes-patch-strategy": "merge,retainKeys"},
        }}),
    )]);
    let schema = json!({"type": "object", "required": ["spec"], "properties": {"spec": {"type": "object", "required": ["name"], "properties": {
        "name": {"type": "string", "maxLength": 5, "minLength": 2, "pattern": "^[a-z]+$", "x-gantry-immutable": true},
        "color": {"type": "string", "enum": ["red", "blue"], "default": "red"},
        "port": {"x-kubernetes-int-or-string": true},
        "tree": {"$ref": "#/definitions/test.Tree", "description": "x"},
        "twin": {"$ref": "#/definitions/test.Tree", "x-kubernetes-map-type": "atomic", "default": {}},
        "doors": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "maxItems": 3, "items": {"type": "object", "properties": {"name": {"type": "string"}, "at": {"type": "string", "format": "date-time"}}}},
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "sizes": {"type": "object", "additionalProperties": {"type": "number", "maximum": 10, "exclusiveMaximum": true}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"n": {"type": "integer"}}},
        "none": {"type": "string", "nullable": true},
        "either": {"oneOf": [{"required": ["a"]}, {"required": ["b"]}], "type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}},
    }}}});
    (kinds, kind(schema))
}

#[test]
fn one_finds_one_s_way_through_references() {
    let (kinds, kind) = lift();
    let spec = Schema::of(&kinds, &kind).property("spec").unwrap();
    let children = spec.property("tree").unwrap().property("children").unwrap();
    assert_eq!(children.merge_key(), Some("height"));
    assert_eq!(children.patch_strategies(), PatchStrategies { merge: true, replace: false, retain_keys: true });
    assert_eq!(children.items().unwrap().property("height").unwrap().default(), Some(&json!(3)));
    assert_eq!(children.items().unwrap().definition(), Some("test.Tree"));
    assert!(spec.property("twin").unwrap().map_type_atomic() && !spec.property("tree").unwrap().map_type_atomic());
    assert_eq!(spec.property("doors").unwrap().list_type(), ListType::Map(vec!["name".to_owned()]));
    assert_eq!(spec.property("tags").unwrap().list_type(), ListType::Set);
    assert_eq!(spec.property("sizes").unwrap().additional().unwrap().type_(), Some(Type::Number));
    assert!(spec.property("port").unwrap().int_or_string());
    assert!(spec.property("free").unwrap().preserves_unknown() && !spec.preserves_unknown());
    assert!(spec.property("nothing").is_none());
}

#[test]
fn unknown_fields_go_and_are_named() {
    let (kinds, kind) = lift();
    let mut object = json!({"apiVersion": "x", "kind": "y", "metadata": {"name": "a", "what": 1}, "extra": 1, "spec": {
        "name": "a", "color": null, "none": null, "doors": [{"name": "a"}, {"naem": "b"}], "sizes": {"a": 1}, "free": {"x": {"y": 1}},
        "tree": {"children": [{"children": [{"leaf": 1, "height": 2}]}]},
    }});
    let mut unknown = prune(&kinds, &kind, &mut object);
    unknown.sort();
    assert_eq!(unknown, ["extra", "spec.doors[1].naem", "spec.tree.children[0].children[0].leaf"]);
    assert_eq!(
        object,
        json!({"apiVersion": "x", "kind": "y", "metadata": {"name": "a", "what": 1}, "spec": {
            "name": "a", "none": null, "doors": [{"name": "a"}, {}], "sizes": {"a": 1}, "free": {"x": {"y": 1}},
            "tree": {"children": [{"children": [{"height": 2}]}]},
        }})
    );
}

#[test]
fn defaults_are_filled_at_every_depth() {
    let (kinds, kind) = lift();
    let mut object = json!({"spec": {"color": null, "tree": {"children": [{}, {"height": 1}]}}});
    fill_defaults(&kinds, &kind, &mut object);
    let tree = json!({"height": 3, "children": [{"height": 3}, {"height": 1}]});
    assert_eq!(object, json!({"spec": {"color": "red", "tree": tree, "twin": {"height": 3}}}));
}

#[test]
fn each_limit_is_checked() {
    let (kinds, kind) = lift();
    for (spec, want) in [
        (json!({"name": "ab"}), vec![]),
        (json!({}), vec!["spec.name: Required value"]),
        (
            json!({"name": 1}),
            vec!["spec.name: Invalid value: \"integer\": spec.name in body must be of type string: \"integer\""],
        ),
        (json!({"name": "abcdef"}), vec!["spec.name: Too long: may not be more than 5 bytes"]),
        (
            json!({"name": "a"}),
            vec!["spec.name: Invalid value: \"a\": spec.name in body should be at least 2 chars long"],
        ),
        (json!({"name": "A1"}), vec!["spec.name: Invalid value: \"A1\": spec.name in body should match '^[a-z]+$'"]),
        (
            json!({"name": "ab", "color": "green"}),
            vec!["spec.color: Unsupported value: \"green\": supported values: \"red\", \"blue\""],
        ),
        (
            json!({"name": "ab", "port": []}),
            vec!["spec.port: Invalid value: \"array\": spec.port in body must be of type integer,string: \"array\""],
        ),
        (json!({"name": "ab", "port": "http"}), vec![]),
        (
            json!({"name": "ab", "tree": {"height": 0}}),
            vec!["spec.tree.height: Invalid value: 0: spec.tree.height in body should be greater than or equal to 1"],
        ),
        (
            json!({"name": "ab", "tree": {"height": 4294967296i64}}),
            vec![
                "spec.tree.height: Invalid value: 4294967296: spec.tree.height in body must be of type int32: 4294967296",
            ],
        ),
        (
            json!({"name": "ab", "doors": [{"name": "a"}, {"name": "a"}]}),
            vec!["spec.doors[1]: Duplicate value: {\"name\":\"a\"}"],
        ),
        (
            json!({"name": "ab", "doors": [{"at": "soon"}]}),
            vec![
                "spec.doors[0].at: Invalid value: \"soon\": spec.doors[0].at in body must be of type date-time: \"soon\"",
            ],
        ),
        (
            json!({"name": "ab", "doors": [{"name": "a"}, {"name": "b"}, {"name": "c"}, {"name": "d"}]}),
            vec!["spec.doors: Too many: 4: must have at most 3 items"],
        ),
        (json!({"name": "ab", "tags": ["a", "a"]}), vec!["spec.tags[1]: Duplicate value: \"a\""]),
        (
            json!({"name": "ab", "sizes": {"x": 10}}),
            vec!["spec.sizes.x: Invalid value: 10: spec.sizes.x in body should be less than 10"],
        ),
        (
            json!({"name": "ab", "either": {"a": "1", "b": "2"}}),
            vec![
                "spec.either: Invalid value: {\"a\":\"1\",\"b\":\"2\"}: spec.either in body must validate one and only one schema (oneOf)",
            ],
        ),
        (json!({"name": "ab", "none": null}), vec![]),
    ] {
        let object = json!({"spec": spec});
        let causes: Vec<String> =
            check(&kinds, &kind, &object).into_iter().map(|c| format!("{}: {}", c.field, c.message)).collect();
        assert_eq!(causes, want, "{object}");
    }
}

#[test]
fn what_may_not_change_may_not() {
    let (kinds, kind) = lift();
    let (old, new) = (json!({"spec": {"name": "ab"}}), json!({"spec": {"name": "cd"}}));
    assert_eq!(immutable(&kinds, &kind, &old, &old), []);
    let causes = immutable(&kinds, &kind, &new, &old);
    assert_eq!(causes[0].message, "Invalid value: \"cd\": field is immutable");
}
