use http::{Method, Request, Response};

use super::misspelt;
use crate::Config;
use crate::dialect::{Call, Dialect};

/// 2026-01-01
const NOW: u64 = 1_767_225_600_000;

/// Dialects: whatever a stranger sends is answered, none of it with success, and a request that was answered badly does
/// not spoil the next one. `open` are requests that are answered without credentials; they get the same answer each time.
pub fn dialect<D: Dialect>(config: &Config, open: &[Request<Vec<u8>>]) {
    assert!(D::default().configure(misspelt(config)).is_err(), "an unknown key of the configuration is refused");
    let mut plugin = D::default();
    plugin.configure(config.clone()).expect("takes its configuration");
    let before: Vec<_> = open.iter().map(|request| ask(&mut plugin, request)).collect();
    for request in strange(open) {
        let about = format!("{} {} {:?}", request.method(), request.uri(), request.headers());
        let answer = ask(&mut plugin, &request);
        assert!(!answer.status().is_success(), "a stranger was served: {about}: {answer:?}");
        assert!(answer.status().as_u16() >= 400, "{about}: {answer:?}");
    }
    let after: Vec<_> = open.iter().map(|request| ask(&mut plugin, request)).collect();
    let seen =
        |answers: &[Response<Vec<u8>>]| answers.iter().map(|a| (a.status(), a.body().clone())).collect::<Vec<_>>();
    assert_eq!(seen(&before), seen(&after), "what came in between changed an answer");
    let mut other = D::default();
    other.configure(config.clone()).expect("takes its configuration again");
    let again: Vec<_> = open.iter().map(|request| ask(&mut other, request)).collect();
    assert_eq!(seen(&before), seen(&again), "another instance answers otherwise");
}

fn ask<D: Dialect>(plugin: &mut D, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
    plugin.handle(&Call { now_ms: NOW, id: "0123456789abcdef".repeat(2) }, request.clone())
}

/// Requests that nobody may be served: bodies that are none, methods and headers that nobody expects.
fn strange(open: &[Request<Vec<u8>>]) -> Vec<Request<Vec<u8>>> {
    let bodies: [&[u8]; 6] = [b"", b"{", b"null", b"\xff\xfe\0", b"<a/>", b"{\"a\":{\"a\":[1e999]}}"];
    let methods = [Method::GET, Method::POST, Method::DELETE, Method::OPTIONS];
    let heads = [
        ("authorization", "AWS4-HMAC-SHA256 Credential=x/20260101/r/s/aws4_request, SignedHeaders=host, Signature=0"),
        ("authorization", "Bearer nobody"),
        ("x-amz-target", "No.Such"),
        ("content-type", "application/json"),
    ];
    let known =
        |request: &Request<Vec<u8>>| open.iter().any(|o| o.method() == request.method() && o.uri() == request.uri());
    let mut all = Vec::new();
    for body in bodies {
        for method in &methods {
            for (name, value) in heads {
                let request = Request::builder().method(method).uri("/no/such/thing?a=%zz").header(name, value);
                all.extend(request.header("host", "localhost").body(body.to_vec()));
            }
        }
    }
    all.retain(|request| !known(request));
    all
}
