use gantry_objects::{Binding, Change, DeleteOptions, ListOptions, Patch, WatchOptions};
use serde_json::json;

use crate::support::{World, pod, write};

fn names(list: &gantry_objects::List) -> Vec<String> {
    list.items.iter().map(|r| r.meta.name.clone()).collect()
}

#[tokio::test]
async fn lists_come_in_pages_and_by_selectors() {
    let world = World::new().await;
    for n in 0..25 {
        world
            .create(
                "configmaps",
                json!({"metadata": {"name": format!("m{n:02}"), "labels": {"odd": (n % 2).to_string()}}}),
            )
            .await
            .unwrap();
    }
    let kind = world.kind("configmaps");
    let list = |options: ListOptions| world.objects.list(&kind, &options);
    for (selector, total) in [("", 25), ("odd=1", 12)] {
        let mut seen = Vec::new();
        let mut options = ListOptions { limit: 10, label_selector: selector.into(), ..ListOptions::default() };
        loop {
            let page = list(options.clone()).unwrap();
            assert!(page.items.len() <= 10);
            assert_eq!(page.remaining.is_some(), selector.is_empty() && page.continue_token.is_some());
            seen.extend(names(&page));
            match page.continue_token {
                Some(token) => options.continue_token = Some(token),
                None => break,
            }
        }
        assert_eq!(seen.len(), total, "{selector}");
        assert!(seen.is_sorted());
    }
    for (labels, fields, want) in
        [("", "metadata.name=m03", 1), ("odd=0", "metadata.name=m03", 0), ("odd in (0,1),odd!=1", "", 13)]
    {
        let options = ListOptions {
            label_selector: labels.into(),
            field_selector: fields.into(),
            namespace: Some("a".into()),
            ..ListOptions::default()
        };
        assert_eq!(list(options).unwrap().items.len(), want, "{labels} {fields}");
    }
    for (labels, fields, token) in [("a=(", "", None), ("", "spec.x=1", None), ("", "x", None), ("", "", Some("junk"))]
    {
        let options = ListOptions {
            label_selector: labels.into(),
            field_selector: fields.into(),
            continue_token: token.map(Into::into),
            ..ListOptions::default()
        };
        assert_eq!(list(options).unwrap_err().reason.code(), 400, "{labels} {fields} {token:?}");
    }
    let nowhere = ListOptions { namespace: Some("b".into()), ..ListOptions::default() };
    assert!(list(nowhere).unwrap().items.is_empty());
}

#[tokio::test]
async fn watchers_see_what_their_selectors_let_through() {
    let world = World::new().await;
    world.create("pods", pod("old")).await.unwrap();
    let kind = world.kind("pods");
    let options = WatchOptions { field_selector: "spec.nodeName=n".into(), ..WatchOptions::default() };
    let mut on_node = world.objects.watch(&kind, &options).unwrap();
    let mut all = world.objects.watch(&kind, &WatchOptions::default()).unwrap();
    assert!(matches!(&all.next().await.unwrap()[..], [Change::Added(r)] if r.meta.name == "old"));
    world.create("pods", pod("p")).await.unwrap();
    let binding = Binding { namespace: "a", name: "p", uid: None, revision: None, node: "n", ..Binding::default() };
    world.objects.bind(&binding).await.unwrap();
    let label = Patch::Merge(json!({"metadata": {"labels": {"x": "y"}}}));
    world.patch("pods", "p", label, &write()).await.unwrap();
    let now = DeleteOptions { grace_seconds: Some(0), ..DeleteOptions::default() };
    world.delete("pods", "p", &now).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.extend(on_node.next().await.unwrap());
    }
    assert!(matches!(&seen[..], [Change::Added(_), Change::Modified(_), Change::Deleted(_)]), "{seen:?}");
    let mut seen = Vec::new();
    while seen.len() < 4 {
        seen.extend(all.next().await.unwrap());
    }
    assert!(
        matches!(&seen[..], [Change::Added(_), Change::Modified(_), Change::Modified(_), Change::Deleted(_)]),
        "{seen:?}"
    );
    assert_eq!(all.revision(), world.objects.store().revision());
}

/// What leaves a selection is told as it was while it was selected, at the revision at which it left.
#[tokio::test]
async fn what_leaves_a_selection_is_told_as_it_was() {
    let world = World::new().await;
    world
        .create("configmaps", json!({"metadata": {"name": "m", "labels": {"x": "in"}}, "data": {"k": "1"}}))
        .await
        .unwrap();
    let kind = world.kind("configmaps");
    let options = WatchOptions { label_selector: "x=in".into(), ..WatchOptions::default() };
    let mut watch = world.objects.watch(&kind, &options).unwrap();
    assert!(matches!(&watch.next().await.unwrap()[..], [Change::Added(_)]));
    let leave = Patch::Merge(json!({"metadata": {"labels": {"x": "out"}}, "data": {"k": "2"}}));
    let now = world.patch("configmaps", "m", leave, &write()).await.unwrap();
    let changes = watch.next().await.unwrap();
    let [Change::Deleted(record)] = &changes[..] else { panic!("{changes:?}") };
    let told = record.value();
    assert_eq!((&told["metadata"]["labels"]["x"], &told["data"]["k"]), (&json!("in"), &json!("1")));
    assert_eq!(told["metadata"]["resourceVersion"], now["metadata"]["resourceVersion"]);
    assert_eq!(record.revision.to_string(), now["metadata"]["resourceVersion"]);
}

/// A list by an index read its revision before its records, so that it could hold what was newer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_by_an_index_is_of_the_revision_that_it_states() {
    let world = World::new().await;
    let config = world.kind("configmaps");
    world.create("configmaps", json!({"metadata": {"name": "m"}})).await.unwrap();
    let (objects, kind) = (world.objects.clone(), config.clone());
    let writing = tokio::spawn(async move {
        for n in 0..3000 {
            let patch = Patch::Merge(json!({"data": {"n": n.to_string()}}));
            objects.patch(&kind, "a", "m", patch, &write()).await.unwrap();
        }
    });
    let options =
        ListOptions { namespace: Some("a".into()), field_selector: "metadata.name=m".into(), ..ListOptions::default() };
    while !writing.is_finished() {
        let list = world.objects.list(&config, &options).unwrap();
        // Nothing else is written, so that the newest record is the revision.
        assert_eq!(list.items[0].revision, list.revision);
    }
    writing.await.unwrap();
}
