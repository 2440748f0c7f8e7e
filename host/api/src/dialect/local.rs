//! Requests of pods, which come by way of their nodes.

use std::net::SocketAddrV4;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use gantry_model::Caller;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};

use super::Dialect;
use super::mounts::Mounted;
use crate::server::Limits;

/// Which pod asks, as [`Caller`] in compact JSON. No request has it that did not come by way of a node.
pub const CALLER: HeaderName = HeaderName::from_static("gantry-caller");

/// Bytes of an answer to a pod.
const ANSWER: usize = 1 << 20;

/// Who is asked at which address.
type Table = [(SocketAddrV4, Arc<Mounted>)];

/// The dialects that pods ask, by address. Cheap to clone; they can be exchanged while requests come.
#[derive(Clone, Default)]
pub struct Locals {
    table: Arc<RwLock<Arc<Table>>>,
}

impl Locals {
    /// From now on these, and no others. Requests that are under way end with those that they began with. The places of
    /// a dialect for pods are others than those for its other callers: neither can take all of them.
    pub fn set(&self, dialects: impl IntoIterator<Item = (Vec<SocketAddrV4>, Arc<dyn Dialect>)>) {
        let mounted = dialects.into_iter().flat_map(|(addresses, dialect)| {
            let mounted = Arc::new(Mounted::new(dialect));
            addresses.into_iter().map(move |address| (address, mounted.clone()))
        });
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = mounted.collect();
    }

    /// Answers a request of a pod, whatever happens on the way. That the pod is who the caller says was found out before.
    pub async fn answer(&self, caller: &Caller, request: Request<Bytes>) -> Response<Bytes> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner).clone();
        let found = table.iter().find(|(address, _)| *address == caller.address).map(|(_, mounted)| mounted.clone());
        let Some(mounted) = found else {
            return text(StatusCode::NOT_FOUND, format!("nothing is asked at {} any more\n", caller.address));
        };
        let Ok(caller) = HeaderValue::try_from(caller.to_text()) else {
            return text(StatusCode::INTERNAL_SERVER_ERROR, "this pod has a name that no header can say\n".to_owned());
        };
        let (head, body) = request.into_parts();
        let answer = mounted.answer(head, Full::new(body), Limits::default(), Some(caller)).await;
        let (head, body) = answer.into_parts();
        match Limited::new(body, ANSWER).collect().await {
            Ok(body) => Response::from_parts(head, body.to_bytes()),
            Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("an answer of more than {ANSWER} bytes\n")),
        }
    }
}

fn text(code: StatusCode, text: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = code;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, plain);
    response
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use http::request::Parts;

    use super::*;
    use crate::dialect::{Failure, Mounts};

    /// Says who it hears asks.
    struct Echo;

    #[async_trait]
    impl Dialect for Echo {
        fn name(&self) -> &str {
            "echo"
        }

        fn matches(&self, _: &Parts) -> bool {
            true
        }

        async fn answer(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Failure> {
            if request.uri().path() == "/large" {
                return Ok(Response::new(vec![b'x'; ANSWER + 1].into()));
            }
            let said: Vec<&[u8]> = request.headers().get_all(CALLER).iter().map(HeaderValue::as_bytes).collect();
            Ok(Response::new(said.join(&b'|').into()))
        }
    }

    fn caller(address: &str) -> Caller {
        let text = |text: &str| text.to_owned();
        let address = address.parse().unwrap();
        Caller { address, namespace: text("a"), name: text("b"), uid: text("c"), node: text("d"), usage: None }
    }

    fn forged(path: &str) -> Request<Bytes> {
        Request::get(path).header(CALLER, "me").header("Gantry-Caller", "me too").body(Bytes::new()).unwrap()
    }

    const AT: &str = "169.254.170.2:80";

    fn locals() -> Locals {
        let locals = Locals::default();
        locals.set([(vec![AT.parse().unwrap()], Arc::new(Echo) as Arc<dyn Dialect>)]);
        locals
    }

    #[tokio::test]
    async fn a_dialect_hears_who_asks_from_the_node_alone() {
        let answer = locals().answer(&caller(AT), forged("/")).await;
        assert_eq!(answer.body(), caller(AT).to_text().as_bytes());
        // Everybody else's header goes.
        let mounts = Mounts::default();
        mounts.set([Arc::new(Echo) as Arc<dyn Dialect>]);
        let (head, body) = forged("/").into_parts();
        let mounted = mounts.find(&head).unwrap();
        let answer = mounted.answer(head, Full::new(body), Limits::default(), None).await;
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(body.is_empty(), "{body:?}");
    }

    #[tokio::test]
    async fn what_nobody_answers_and_what_is_too_large() {
        let locals = locals();
        assert_eq!(locals.answer(&caller("169.254.170.2:81"), forged("/")).await.status(), 404);
        assert_eq!(locals.answer(&caller(AT), forged("/large")).await.status(), 500);
        locals.set([]);
        assert_eq!(locals.answer(&caller(AT), forged("/")).await.status(), 404);
    }
}
