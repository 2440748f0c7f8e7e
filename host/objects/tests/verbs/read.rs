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
