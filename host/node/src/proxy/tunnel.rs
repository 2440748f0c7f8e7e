//! Connections that stop being HTTP: websockets and the like.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::sync::OwnedSemaphorePermit;
use tracing::debug;

use super::body::Download;
use super::headers;
use super::pool::Lease;
use super::visit::Visit;

/// Passes on an endpoint's 101, and then whatever comes from either side until both have ended. The place of the
/// connection is taken until then.
pub fn open(
    mut answer: Response<Incoming>,
    client: OnUpgrade,
    lease: Lease,
    visit: Visit,
    place: Arc<OwnedSemaphorePermit>,
) -> Response<Download> {
    let endpoint = hyper::upgrade::on(&mut answer);
    let protocol = headers::upgrade(answer.headers());
    let (head, _) = answer.into_parts();
    let mut back = Response::new(Download::own(Bytes::new(), visit));
    *back.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *back.headers_mut() = head.headers;
    headers::strip(back.headers_mut());
    back.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        back.headers_mut().insert(header::UPGRADE, protocol);
    }
    tokio::spawn(async move {
        let _held = (lease, place);
        match tokio::try_join!(client, endpoint) {
            Ok((client, endpoint)) => {
                let (mut client, mut endpoint) = (TokioIo::new(client), TokioIo::new(endpoint));
                // That either side breaks off is how many of them end.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut endpoint).await;
            }
            Err(error) => debug!(%error, "a connection did not change its protocol"),
        }
    });
    back
}
