//! Dialects: requests and answers, what of a request a guest sees, configuration, and faults.

use bytes::Bytes;
use gantry_plugin::{Finding, Loaded, State};
use http::{HeaderValue, Request, Response};

use crate::support::Bench;

async fn dialect(more: &str) -> (Bench, Loaded) {
    let mut bench = Bench::new();
    bench.fixture("fixture-api", more);
    let loaded = bench.only().await;
    (bench, loaded)
}

fn request(path: &str, body: &'static str) -> Request<Bytes> {
    Request::post(path)
        .header("host", "h:1")
        .header("x-fixture", "v1.Do")
        .body(Bytes::from_static(body.as_bytes()))
        .unwrap()
}

async fn ask(loaded: &Loaded, path: &str) -> Result<Response<Bytes>, String> {
    loaded.api().unwrap().handle(request(path, "")).await.map_err(|fault| fault.to_string())
}

#[tokio::test]
async fn a_request_goes_in_whole_and_its_answer_comes_out_whole() {
    let (bench, loaded) = dialect("grants = \"asked\"").await;
    let api = loaded.api().unwrap();
    api.configure().await.unwrap().unwrap();
    let answer = api.handle(request("/fixture/x?a=1", "hello")).await.unwrap();
    assert_eq!(answer.status().as_u16(), 201);
    assert_eq!(answer.headers()["x-made-by"], "fixture");
    assert_eq!(answer.body(), "Method::Post Some(\"/fixture/x?a=1\") Some(\"h:1\") [\"x-fixture\"] hello");
    assert_eq!(ask(&loaded, "/fixture/large").await.unwrap().body().len(), 700 * 4096);
    assert_eq!(ask(&loaded, "/fixture/read").await.unwrap().body(), "{}");
    assert_eq!(bench.objects.asked(), ["get b"]);
    // HTTP/1.0 names no host.
    let bare = Request::get("/fixture/x").body(Bytes::new()).unwrap();
    assert!(
        api.handle(bare).await.unwrap().body().starts_with(b"Method::Get Some(\"/fixture/x\") Some(\"localhost\")")
    );
    assert_eq!((loaded.health().state, loaded.health().faults), (State::Ready, 0));
    assert_eq!(loaded.grants().routes().len(), 2);
}

#[tokio::test]
async fn what_is_no_answer_is_a_fault_and_the_next_request_is_well() {
    let (_bench, loaded) = dialect("grants = \"asked\"\ndeadline-ms = 200\ninstances = 1").await;
    for (what, want) in [
        ("panic", "trapped: "),
        ("loop", "ran longer than its deadline of 200 ms"),
        ("silent", "answered against the contract: no answer"),
        ("keep", "answered against the contract: an answer without an end"),
        ("error", "answered against the contract: an error instead of an answer"),
        ("cut", "answered against the contract: an answer without an end"),
        ("endless", "an answer whose body has no good end, or more than 16777216 bytes"),
    ] {
        let fault = ask(&loaded, &format!("/fixture/{what}")).await.unwrap_err();
        assert!(fault.starts_with("plugin fixture-api 0.1.0: api.handle: ") && fault.contains(want), "{what}: {fault}");
        assert_eq!(ask(&loaded, "/fixture/x").await.unwrap().status(), 201, "after {what}");
    }
    assert_eq!(loaded.health().faults, 7);
}

#[tokio::test]
async fn what_no_plugin_can_be_told_is_refused_before_it() {
    let (_bench, loaded) = dialect("grants = \"asked\"").await;
    let mut unreadable = request("/fixture/x", "");
    unreadable.headers_mut().insert("host", HeaderValue::from_bytes(b"\xff").unwrap());
    let answer = loaded.api().unwrap().handle(unreadable).await.unwrap();
    assert_eq!((answer.status().as_u16(), loaded.health().faults), (400, 0));
}

#[tokio::test]
async fn a_refused_configuration_is_no_fault() {
    let (_bench, loaded) = dialect("grants = \"asked\"\n[plugin.config]\nwhat = \"refused\"").await;
    let api = loaded.api().unwrap();
    assert_eq!(api.configure().await.unwrap().unwrap_err().message, "refused, as asked");
    let fault = api.handle(request("/fixture/x", "")).await.unwrap_err();
    assert!(matches!(&fault.finding, Finding::Unavailable(why) if why.contains("as asked")), "{fault}");
    assert_eq!(loaded.health().faults, 0);
}

#[tokio::test]
async fn routes_hold_only_where_they_are_given() {
    let (_bench, loaded) = dialect("[[plugin.grants.routes]]\npath-prefix = \"/fixture/\"").await;
    assert_eq!(loaded.grants().routes().len(), 1);
    let lacking = loaded.grants().lacking();
    assert_eq!(
        lacking,
        ["asks for requests with the path / and the header x-fixture: v1.…, which the bundle does not give"]
    );
}
