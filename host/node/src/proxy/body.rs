//! What goes back to a client, and what is to be noted when all of it has gone.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::pool::Lease;
use super::visit::Visit;

/// An answer's body. It holds what lasts as long as the answer: the endpoint's request, and the visit, which is noted
/// when it is dropped.
pub struct Download {
    from: From,
    _lease: Option<Lease>,
    visit: Visit,
}

enum From {
    Own(Full<Bytes>),
    Endpoint(Incoming),
}

impl Download {
    /// The proxy's own words.
    pub fn own(body: Bytes, visit: Visit) -> Self {
        Self { from: From::Own(Full::new(body)), _lease: None, visit }
    }

    /// An endpoint's.
    pub fn endpoint(body: Incoming, lease: Lease, visit: Visit) -> Self {
        Self { from: From::Endpoint(body), _lease: Some(lease), visit }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = match &mut self.from {
            From::Own(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            From::Endpoint(body) => Pin::new(body).poll_frame(cx),
        };
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                self.visit.sent(length);
            }
            Poll::Ready(Some(Err(_))) => self.visit.broke(),
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.from {
            From::Own(body) => body.is_end_stream(),
            From::Endpoint(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.from {
            From::Own(body) => body.size_hint(),
            From::Endpoint(body) => body.size_hint(),
        }
    }
}
