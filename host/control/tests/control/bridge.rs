//! What plugins ask of the host: lists with projection, orphans and owners; writes in order; refusals in the contract's
//! words.

use gantry_control::objects::PluginObjects;
use gantry_plugin::Objects as _;
use gantry_plugin::family::objects::{
    Deletion, Event, EventType, Patch, Precondition, Propagation, Query, Subresource, Write,
};
use gantry_plugin::family::{ErrorCode, KindRef, ObjectRef, RetryHint};
use serde_json::{Value, json};

use crate::world::World;

fn thing(name: &str) -> ObjectRef {
    ObjectRef { kind: kind(), namespace: "a".into(), name: name.into() }
}

fn kind() -> KindRef {
    KindRef { group: "test.dev".into(), kind: "Thing".into() }
}

fn query(fields: &[&str]) -> Query {
    Query {
        kind: kind(),
        namespace: "a".into(),
        label_selector: String::new(),
        field_selector: String::new(),
        owner: None,
        fields: fields.iter().map(|f| (*f).to_owned()).collect(),
        limit: 0,
    }
}

fn any() -> Precondition {
    Precondition { uid: None, resource_version: None }
}

fn create(name: &str, n: u32) -> Write {
    let object = json!({"apiVersion": "test.dev/v1", "kind": "Thing", "metadata": {"name": name, "namespace": "a"}, "spec": {"n": n}});
    Write::Create(object.to_string().into_bytes())
}

fn patch(name: &str, merge: Value, subresource: Subresource, require: Precondition) -> Write {
    Write::Patch(Patch { target: thing(name), merge: merge.to_string().into_bytes(), subresource, require })
}

fn delete(name: &str, require: Precondition) -> Write {
    Write::Delete(Deletion { target: thing(name), propagation: Propagation::Background, grace_seconds: None, require })
}

fn bridge(world: &World) -> PluginObjects {
    PluginObjects::new(world.objects.clone(), world.recorder.clone(), "fake")
}

async fn names(bridge: &PluginObjects, query: Query) -> Value {
    let rows: Value = serde_json::from_slice(&bridge.list(query).await.unwrap()).unwrap();
    rows.as_array().unwrap().iter().map(|row| row[0].clone()).collect()
}

#[tokio::test]
async fn lists_are_narrow() {
    let world = World::new().await;
    let bridge = bridge(&world);
    let owner = world.create("things", "a", json!({"metadata": {"name": "owner"}})).await;
    let reference = |controller: bool| json!([{"apiVersion": "test.dev/v1", "kind": "Thing", "name": "owner", "uid": owner.meta.uid, "controller": controller}]);
    let labels = json!({"x": "y"});
    for (name, namespace, controller) in [("kept", "a", true), ("loose", "a", false), ("far", "b", true)] {
        let object = json!({"metadata": {"name": name, "labels": labels, "ownerReferences": reference(controller)}, "spec": {"n": 1}});
        world.create("things", namespace, object).await;
    }
    let fields = ["/metadata/name", "/spec/n"];
    let rows: Value = serde_json::from_slice(&bridge.list(query(&fields)).await.unwrap()).unwrap();
    assert_eq!(rows, json!([["kept", 1], ["loose", 1], ["owner", null]]));
    let owned = |uid: &str| Query { owner: Some(uid.to_owned()), ..query(&fields) };
    assert_eq!(names(&bridge, owned(&owner.meta.uid)).await, json!(["kept", "loose"]));
    assert_eq!(names(&bridge, owned("")).await, json!(["loose", "owner"]));
    assert_eq!(names(&bridge, Query { limit: 1, ..owned("") }).await, json!(["loose"]));
    let labelled = Query { label_selector: "x=y".into(), namespace: String::new(), ..owned("") };
    assert_eq!(names(&bridge, labelled).await, json!(["loose"]));
    assert_eq!(names(&bridge, Query { limit: 2, ..query(&fields) }).await, json!(["kept", "loose"]));
    let everywhere = Query { namespace: String::new(), label_selector: "x=y".into(), ..query(&fields) };
    assert_eq!(names(&bridge, everywhere).await, json!(["kept", "loose", "far"]));
    let named = Query { field_selector: "metadata.name=kept".into(), ..owned(&owner.meta.uid) };
    assert_eq!(names(&bridge, named).await, json!(["kept"]));
    for bad in [
        Query { label_selector: "a in".into(), ..query(&[]) },
        Query { label_selector: "a in".into(), ..owned("u") },
        Query { label_selector: "a in".into(), ..owned("") },
        Query { field_selector: "spec.other=1".into(), ..owned("") },
        query(&["spec"]),
        Query { kind: KindRef { group: String::new(), kind: "Nothing".into() }, ..query(&[]) },
    ] {
        let code = bridge.list(bad.clone()).await.unwrap_err().code;
        assert!(matches!(code, ErrorCode::Invalid), "{bad:?}: {code:?}");
    }
}

#[tokio::test]
async fn writes_to_one_object_keep_their_order() {
    let world = World::new().await;
    let bridge = bridge(&world);
    let mut writes = Vec::new();
    for n in 0..50 {
        writes.push(create(&format!("t{n}"), 0));
    }
    for round in 1..=4 {
        for n in 0..50 {
            writes.push(patch(&format!("t{n}"), json!({"spec": {"n": round}}), Subresource::None, any()));
        }
    }
    writes.push(delete("t0", any()));
    writes.push(create("t0", 9));
    let answers = bridge.apply(writes).await;
    assert_eq!(answers.len(), 252);
    for (n, answer) in answers.iter().enumerate() {
        let written = answer.as_ref().unwrap_or_else(|e| panic!("{n}: {}", e.message));
        let expected = if n < 250 { format!("t{}", n % 50) } else { "t0".to_owned() };
        assert_eq!(written.name, expected);
    }
    assert_eq!(world.get("things", "a", "t0").unwrap()["spec"]["n"], 9);
    assert!((1..50).all(|n| world.get("things", "a", &format!("t{n}")).unwrap()["spec"]["n"] == 4));
}

#[tokio::test]
async fn refusals_say_whether_to_try_again() {
    let world = World::new().await;
    let bridge = bridge(&world);
    world.create("things", "a", json!({"metadata": {"name": "t"}, "spec": {"n": 1}})).await;
    let stale = || Precondition { uid: None, resource_version: Some("1".into()) };
    let other = || Precondition { uid: Some("other".into()), resource_version: None };
    let change = || json!({"spec": {"n": 2}});
    let answers = bridge
        .apply(vec![
            create("t", 1),
            patch("u", change(), Subresource::None, any()),
            patch("t", change(), Subresource::None, stale()),
            patch("t", change(), Subresource::None, other()),
            delete("t", other()),
            Write::Create(b"{".to_vec()),
            Write::Update(b"{}".to_vec()),
        ])
        .await;
    let codes: Vec<ErrorCode> = answers.iter().map(|a| a.as_ref().unwrap_err().code.clone()).collect();
    use ErrorCode::{AlreadyExists, Conflict, Invalid, NotFound};
    let wanted = [AlreadyExists, NotFound, Conflict, Conflict, Conflict, Invalid, Invalid];
    // The contract's types are made by a macro and have no equality.
    assert_eq!(format!("{codes:?}"), format!("{wanted:?}"));
    assert!(matches!(answers[2].as_ref().unwrap_err().retry, RetryHint::Backoff));
    assert!(matches!(answers[0].as_ref().unwrap_err().retry, RetryHint::Never));
    let missing = bridge.get(thing("u")).await.unwrap_err();
    assert!(matches!((missing.code, missing.retry), (NotFound, RetryHint::Never)));
    assert_eq!(world.get("things", "a", "t").unwrap()["spec"]["n"], 1);
}

#[tokio::test]
async fn a_status_is_written_apart_and_events_are_told() {
    let world = World::new().await;
    let bridge = bridge(&world);
    world.create("things", "a", json!({"metadata": {"name": "t"}, "spec": {"n": 1}})).await;
    let both = json!({"spec": {"n": 2}, "status": {"ready": 3}});
    bridge.apply(vec![patch("t", both, Subresource::Status, any())]).await.remove(0).unwrap();
    let object = world.get("things", "a", "t").unwrap();
    assert_eq!((&object["spec"]["n"], &object["status"]["ready"]), (&json!(1), &json!(3)));
    let event = |name: &str, uid: &str| Event {
        regarding: thing(name),
        regarding_uid: uid.into(),
        event_type: EventType::Normal,
        reason: "Done".into(),
        message: "well done".into(),
    };
    bridge.record_events(vec![event("t", ""), event("gone", "1234"), event("never", "")]).await;
    world.until("both are told", |w| w.told("t", "Done").len() + w.told("gone", "Done").len() == 2).await;
    assert!(world.told("never", "Done").is_empty(), "nothing is known of it");
}
