use super::*;
use crate::{Kinds, core, schema, table, validate as rules};

fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "lifts.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"kind": "Lift", "plural": "lifts", "shortNames": ["lf"], "categories": ["all"]},
            "versions": [
                {"name": "v1", "served": true, "storage": true,
                 "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {"replicas": {"type": "integer", "default": 1, "x-gantry-immutable": true}, "tags": {"type": "array", "items": {"type": "string"}}}},
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}},
                 "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}},
                 "additionalPrinterColumns": [{"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas"}],
                 "selectableFields": [{"jsonPath": ".spec.replicas"}]},
                {"name": "v1beta1", "served": false, "storage": false, "schema": {"openAPIV3Schema": {"type": "object"}}},
            ],
        },
    })
}

#[test]
fn a_definition_declares_kinds() {
    let kinds = kinds(&definition()).unwrap();
    assert_eq!(kinds.len(), 1);
    let kind = &kinds[0];
    assert_eq!(
        (kind.kind.as_str(), kind.singular.as_str(), kind.definition.as_str()),
        ("Lift", "lift", "com.example.v1.Lift")
    );
    assert!(kind.status && kind.scale.as_ref().is_some_and(|s| s.spec_replicas_path == ".spec.replicas"));
    assert_eq!(kind.selectable_fields, ["spec.replicas"]);
    assert_eq!(kind.origin, Origin::Definition("lifts.example.com".into()));
    let names: Vec<_> = table::columns(kind).iter().map(|c| c["name"].clone()).collect();
    assert_eq!(names, ["Name", "Replicas"]);
    assert_eq!(schema::Schema::of(&Kinds::default(), kind).property("spec").unwrap().properties().count(), 2);
}

#[test]
fn a_definition_that_goes_through_the_whole_path_stays_as_it_is() {
    let kinds = Kinds::default();
    core::register(&kinds);
    let kind = kinds.by_kind("apiextensions.k8s.io", "CustomResourceDefinition").unwrap();
    let mut object = definition();
    assert_eq!(schema::prune(&kinds, &kind, &mut object), Vec::<String>::new());
    assert_eq!(object, definition());
    schema::fill_defaults(&kinds, &kind, &mut object);
    assert_eq!(rules::object(&kinds, &kind, &object, None), []);
}

#[test]
fn each_mistake_is_named() {
    for (pointer, value, want) in [
        ("/metadata/name", json!("lift.example.com"), "metadata.name"),
        ("/spec/group", json!("example"), "spec.group"),
        ("/spec/names/kind", json!("A b"), "spec.names.kind"),
        ("/spec/versions/0/storage", json!(false), "spec.versions"),
        ("/spec/versions/1/storage", json!(true), "spec.versions"),
        ("/spec/versions/1/name", json!("v1"), "spec.versions[1].name"),
        ("/spec/versions/1/schema", json!({}), "spec.versions[1].schema.openAPIV3Schema"),
        (
            "/spec/versions/0/schema/openAPIV3Schema/type",
            json!("array"),
            "spec.versions[0].schema.openAPIV3Schema.type",
        ),
        (
            "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/tags",
            json!({"type": "string", "pattern": "("}),
            "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[tags].pattern",
        ),
        (
            "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/tags/items",
            json!({"$ref": "#/definitions/x"}),
            "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[tags].items.$ref",
        ),
        (
            "/spec/versions/0/subresources/scale/specReplicasPath",
            json!(".status.x"),
            "spec.versions[0].subresources.scale.specReplicasPath",
        ),
        (
            "/spec/versions/0/additionalPrinterColumns/0/jsonPath",
            json!(".a["),
            "spec.versions[0].additionalPrinterColumns[0].jsonPath",
        ),
        (
            "/spec/versions/0/additionalPrinterColumns/0/type",
            json!("text"),
            "spec.versions[0].additionalPrinterColumns[0].type",
        ),
    ] {
        let mut object = definition();
        *object.pointer_mut(pointer).unwrap() = value;
        let fields: Vec<String> = validate(&object).into_iter().map(|c| c.field).collect();
        assert!(fields.iter().any(|f| f == want), "{pointer}: {fields:?}");
    }
}

#[test]
fn conditions_keep_the_time_when_they_began() {
    let mut object = definition();
    let first = established(&object, "2024-01-01T00:00:00.5Z".parse().unwrap());
    object["status"] = first.clone();
    assert_eq!(established(&object, "2024-01-02T00:00:00Z".parse().unwrap()), first);
    assert_eq!(first["storedVersions"], json!(["v1"]));
    assert_eq!(first["conditions"][1]["lastTransitionTime"], "2024-01-01T00:00:00Z");
}

#[test]
fn kinds_are_replaced_at_once() {
    let (registry, rounds) = (Kinds::default(), 5_000);
    let origin = Origin::Definition("lifts.example.com".into());
    let replace = || registry.replace(&origin, kinds(&definition()).unwrap());
    replace();
    let other = Kind { plural: "others".into(), origin: Origin::Core, ..kinds(&definition()).unwrap().remove(0) };
    registry.insert(other);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let read = || {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                assert!(registry.by_resource("example.com", "v1", "lifts").is_some());
                assert_eq!(registry.all().len(), 2, "neither old and new together nor none");
            }
        };
        let readers = [scope.spawn(read), scope.spawn(read)];
        (0..rounds).for_each(|_| replace());
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
    registry.replace(&origin, []);
    assert_eq!(registry.all().iter().map(|k| k.plural.clone()).collect::<Vec<_>>(), ["others"]);
}
