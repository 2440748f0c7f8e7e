//! One request: whose it is, and on to who answers it.

use std::net::{IpAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gantry_model::Caller;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::warn;

use super::{Answers, Pods};

/// Bytes of a request's body.
pub(super) const BODY: usize = 64 << 10;
/// For a request's body.
const PATIENCE: Duration = Duration::from_secs(10);
/// For an answer.
pub(super) const ANSWER: Duration = Duration::from_secs(30);
/// For what a pod uses; without it, it is answered all the same.
const LOOK: Duration = Duration::from_secs(2);
/// Requests that are passed on at once.
pub(super) const REQUESTS: usize = 32;
/// Headers about one connection, which mean nothing on the next.
const HOPS: [HeaderName; 7] = [
    CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

pub(super) type Answer = Response<Full<Bytes>>;

/// Where requests of pods arrive.
pub(super) struct Desk {
    node: String,
    pods: Arc<dyn Pods>,
    answers: Arc<dyn Answers>,
    places: Semaphore,
}

impl Desk {
    pub(super) fn new(node: String, pods: Arc<dyn Pods>, answers: Arc<dyn Answers>) -> Self {
        Self { node, pods, answers, places: Semaphore::new(REQUESTS) }
    }

    /// Answers what somebody at this address asks.
    pub(super) async fn answer<B>(&self, at: SocketAddrV4, client: IpAddr, request: Request<B>) -> Answer
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Some(pod) = self.pods.at(client) else {
            let why = "pods with hostNetwork and the node itself have none, and can't be told apart";
            return said(StatusCode::FORBIDDEN, format!("{client} is not the address of a pod of this node: {why}\n"));
        };
        // First whole: a client that sends slowly holds no place.
        let request = match whole(request).await {
            Ok(request) => request,
            Err(refusal) => return refusal,
        };
        let Ok(_place) = self.places.try_acquire() else {
            return later("this node passes on as many requests as it may at once\n");
        };
        let usage = timeout(LOOK, self.pods.usage(&pod)).await.ok().flatten();
        let (namespace, name, uid, node) = (pod.namespace, pod.name, pod.uid, self.node.clone());
        let caller = Caller { address: at, namespace, name, uid, node, usage };
        match timeout(ANSWER, self.answers.answer(&caller, request)).await {
            Ok(Ok(answer)) => {
                let (mut head, body) = answer.into_parts();
                drop_hops(&mut head.headers);
                // Said anew, by how long the body is.
                head.headers.remove(CONTENT_LENGTH);
                Response::from_parts(head, Full::new(body))
            }
            Ok(Err(away)) => {
                let pod = format!("{}/{}", caller.namespace, caller.name);
                warn!(%pod, %away, "a pod's request can't be passed on");
                later("who answers this can't be asked now\n")
            }
            Err(_) => said(StatusCode::GATEWAY_TIMEOUT, "there was no answer in time\n".to_owned()),
        }
    }
}

/// A request with its whole body, and without what is about its connection.
async fn whole<B>(request: Request<B>) -> Result<Request<Bytes>, Answer>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (mut head, body) = request.into_parts();
    let target = head.uri.path_and_query().cloned();
    let bad = || said(StatusCode::BAD_REQUEST, "a request without a path, or with a broken body\n".to_owned());
    head.uri = target.map(Uri::from).ok_or_else(bad)?;
    drop_hops(&mut head.headers);
    let body = match timeout(PATIENCE, Limited::new(body, BODY).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Err(said(StatusCode::PAYLOAD_TOO_LARGE, format!("a body of more than {BODY} bytes\n")));
        }
        Ok(Err(_)) => return Err(bad()),
        Err(_) => return Err(said(StatusCode::REQUEST_TIMEOUT, "the body did not come in time\n".to_owned())),
    };
    Ok(Request::from_parts(head, body))
}

fn drop_hops(headers: &mut HeaderMap) {
    for hop in HOPS {
        headers.remove(hop);
    }
}

fn later(text: &str) -> Answer {
    let mut answer = said(StatusCode::SERVICE_UNAVAILABLE, text.to_owned());
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

fn said(code: StatusCode, text: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = code;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}
