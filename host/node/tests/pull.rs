//! Pulling from a real registry (Debian's docker-registry) on loopback: by tag, by digest, with and without credentials,
//! and what goes wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use gantry_node::runtime::{Credentials, PullError, Runtime};
use support::{Node, Registry, blobs, digest, end_of};

/// bcrypt of `secret`.
const HASHED: &str = "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a";

#[tokio::test(flavor = "multi_thread")]
async fn images_are_pulled_by_tag_and_digest() {
    let (node, registry) = (Node::start().await, Registry::start("some/app", None));
    let by_tag = format!("{}/some/app:1", registry.address);
    let image = node.runtime.pull(&by_tag, &[]).await.unwrap();
    assert_eq!((image.name.as_str(), image.user.as_str()), (by_tag.as_str(), "web"));
    let (config, _, manifest) = blobs();
    assert_eq!(image.id, digest(&config));
    let by_digest = format!("{}/some/app@{}", registry.address, digest(&manifest));
    assert_eq!(node.runtime.pull(&by_digest, &[]).await.unwrap().id, image.id);
    // With wrong credentials an open registry is open still.
    let wrong = [Credentials { username: "a".into(), password: "b".into() }];
    node.runtime.pull(&by_tag, &wrong).await.unwrap();

    let mut ends = node.runtime.ends();
    let mut spec = node.shell("c1", "echo pulled");
    spec.image = by_digest;
    node.run(&spec).await;
    assert_eq!(end_of(&mut ends, "c1").await.exit.code, 0);
    assert_eq!(node.log_text("c1"), "pulled\n");

    for (name, want) in [
        (format!("{}/some/app:none", registry.address), "manifest unknown"),
        (format!("{}/none", registry.address), "unknown"),
        ("127.0.0.1:1/x:1".to_owned(), "onnection refused"),
    ] {
        let error = node.runtime.pull(&name, &[]).await.unwrap_err();
        assert!(matches!(error, PullError::Pull { .. }), "{error}");
        assert!(error.to_string().contains(want), "{error}");
    }
    assert!(matches!(node.runtime.pull("Bad Name", &[]).await, Err(PullError::Name { .. })));
    // What is on the node stays usable when the registry is gone.
    registry.stop();
    assert!(node.again().await.image(&by_tag).await.unwrap().is_some());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_tried_in_order() {
    let (node, registry) = (Node::start().await, Registry::start("private", Some(HASHED)));
    let name = format!("{}/private:1", registry.address);
    let good = Credentials { username: "me".into(), password: "secret".into() };
    let bad = Credentials { username: "me".into(), password: "wrong".into() };
    for credentials in [vec![], vec![bad.clone()]] {
        let error = node.runtime.pull(&name, &credentials).await.unwrap_err().to_string();
        assert!(error.contains("401") || error.contains("authentication required"), "{error}");
    }
    node.runtime.pull(&name, &[bad, good]).await.unwrap();
    registry.stop();
    node.stop().await;
}
