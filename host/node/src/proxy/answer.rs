//! One request: which rule, which endpoint, what goes back.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use tokio::sync::OwnedSemaphorePermit;
use tracing::debug;

use super::body::Download;
use super::clients::{Clients, Shared};
use super::headers;
use super::pool::{Lease, Pool};
use super::redirect::Place;
use super::table::{Action, Asked, Fixed, Table};
use super::tunnel;
use super::visit::{Meter, Visit};

/// Endpoints that are tried for one request.
const ATTEMPTS: usize = 4;
/// For the head of an answer, where nobody says otherwise; and for a part of a request's body to move on.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the connections of a listener share.
pub struct Door {
    pub port: u16,
    pub tls: bool,
    pub table: ArcSwap<Table>,
    pub clients: Clients,
    pub meter: Arc<Meter>,
}

/// A connection.
#[derive(Clone)]
pub struct Client {
    pub door: Arc<Door>,
    pub address: IpAddr,
    /// Its place among the connections of this proxy.
    pub place: Arc<OwnedSemaphorePermit>,
}

/// Why an endpoint gave no answer.
enum Failure {
    /// The request did not get there: another may have it.
    Unreachable(legacy::Error),
    /// It may have got there.
    Broken(legacy::Error),
    TimedOut,
}

impl Client {
    /// Answers a request. Never fails: what goes wrong is an answer too.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<Download> {
        let visit = Visit::new(self.door.meter.clone(), self.address, request.method().clone(), request.uri().clone());
        if request.method() == Method::CONNECT {
            return own(visit, StatusCode::METHOD_NOT_ALLOWED, "this is no proxy for CONNECT\n");
        }
        let Some((said, host)) = headers::host(request.uri(), request.headers(), request.version()) else {
            return own(visit, StatusCode::BAD_REQUEST, "the host that is asked for is missing, or none\n");
        };
        self.routed(request, said, &host, visit).await
    }

    async fn routed(
        &self,
        request: Request<Incoming>,
        said: HeaderValue,
        host: &str,
        mut visit: Visit,
    ) -> Response<Download> {
        visit.to(host);
        // Held until the answer's head is there: whatever changes meanwhile, this request meets one table.
        let table = self.door.table.load_full();
        let asked = Asked {
            host,
            path: request.uri().path(),
            query: request.uri().query().unwrap_or_default(),
            method: request.method(),
            headers: request.headers(),
            source: self.address,
        };
        match table.find(&asked) {
            None => own(visit, StatusCode::NOT_FOUND, "nothing is here\n"),
            Some(Action::Respond(fixed)) => respond(visit, fixed),
            Some(Action::Redirect(redirect)) => {
                let protocol = if self.door.tls { "https" } else { "http" };
                let (path, query) = (asked.path, asked.query);
                let location = redirect.location(&Place { protocol, host, port: self.door.port, path, query });
                let mut answer = own(visit, redirect.status, "");
                if let Ok(location) = HeaderValue::from_str(&location) {
                    answer.headers_mut().insert(header::LOCATION, location);
                }
                answer
            }
            Some(Action::Forward(targets)) => match target(targets) {
                Some(pool) => self.forward(request, said, pool.clone(), visit).await,
                None => unserved(visit),
            },
        }
    }

    async fn forward(
        &self,
        mut request: Request<Incoming>,
        said: HeaderValue,
        pool: Arc<Pool>,
        mut visit: Visit,
    ) -> Response<Download> {
        let upgrade = headers::upgrade(request.headers()).filter(|_| request.version() == Version::HTTP_11);
        let waiting = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
        let (mut head, body) = request.into_parts();
        headers::strip(&mut head.headers);
        head.headers.remove(header::EXPECT);
        headers::forwarded(&mut head.headers, self.address, self.door.tls, &said, self.door.port);
        if let Some(protocol) = &upgrade {
            head.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            head.headers.insert(header::UPGRADE, protocol.clone());
        }
        if !said.is_empty() {
            head.headers.insert(header::HOST, said);
        }
        head.version = Version::HTTP_11;
        match self.attempts(&pool, &head, &Shared::new(body)).await {
            Ok((answer, lease)) => {
                visit.answered(answer.status(), Some(lease.endpoint().address));
                match waiting {
                    Some(waiting) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => {
                        tunnel::open(answer, waiting, lease, visit, self.place.clone())
                    }
                    _ => passed_on(answer, lease, visit),
                }
            }
            Err(None) => unserved(visit),
            Err(Some(Failure::TimedOut)) => {
                own(visit, StatusCode::GATEWAY_TIMEOUT, "the backend did not answer in time\n")
            }
            Err(Some(Failure::Unreachable(error) | Failure::Broken(error))) => {
                debug!(%error, "a backend gave no answer");
                own(visit, StatusCode::BAD_GATEWAY, "the backend gave no answer\n")
            }
        }
    }

    /// Asks one endpoint after the other, until one answers. `None`: there is nobody.
    async fn attempts(
        &self,
        pool: &Pool,
        head: &http::request::Parts,
        body: &Shared,
    ) -> Result<(Response<Incoming>, Lease), Option<Failure>> {
        let mut tried: Vec<SocketAddr> = Vec::new();
        let mut last = None;
        while tried.len() < ATTEMPTS {
            let Some(lease) = pool.pick(&tried) else { break };
            tried.push(lease.endpoint().address);
            match self.attempt(pool, &lease, head, body).await {
                Ok(answer) => return Ok((answer, lease)),
                Err(failure) => {
                    let again = match &failure {
                        Failure::Unreachable(_) => {
                            pool.unreachable.increment(1);
                            lease.endpoint().shun();
                            body.untouched()
                        }
                        // It ended as it was asked, as one that stops does. What may be done twice is.
                        Failure::Broken(_) => head.method.is_idempotent() && body.untouched(),
                        Failure::TimedOut => false,
                    };
                    last = Some(failure);
                    if !again {
                        break;
                    }
                }
            }
        }
        Err(last)
    }

    async fn attempt(
        &self,
        pool: &Pool,
        lease: &Lease,
        head: &http::request::Parts,
        body: &Shared,
    ) -> Result<Response<Incoming>, Failure> {
        let (version, timeout) = pool.manner();
        let mut request = Request::new(body.upload());
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = at(lease.endpoint().address, &head.uri);
        *request.headers_mut() = head.headers.clone();
        let patience = timeout.unwrap_or(PATIENCE);
        let asked = self.door.clients.ask(version, request);
        tokio::pin!(asked);
        loop {
            tokio::select! {
                answer = &mut asked => return answer.map_err(|error| match error.is_connect() {
                    true => Failure::Unreachable(error),
                    false => Failure::Broken(error),
                }),
                // A body that is still coming is no silence.
                () = tokio::time::sleep(patience.saturating_sub(body.still()).max(Duration::from_millis(1))) => {
                    if body.still() >= patience {
                        return Err(Failure::TimedOut);
                    }
                }
            }
        }
    }
}

/// The same request to an endpoint.
fn at(address: SocketAddr, asked: &Uri) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = address.to_string().parse::<Authority>().ok();
    parts.path_and_query = Some(asked.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")));
    Uri::from_parts(parts).unwrap_or_default()
}

/// By weight.
fn target(targets: &[(Arc<Pool>, u32)]) -> Option<&Arc<Pool>> {
    if let [(pool, weight)] = targets {
        return (*weight > 0).then_some(pool);
    }
    let all: u64 = targets.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let mut drawn = rand::random_range(0..all.max(1));
    targets.iter().filter(|(_, weight)| *weight > 0).find_map(|(pool, weight)| {
        let hit = drawn < u64::from(*weight);
        drawn = drawn.saturating_sub(u64::from(*weight));
        hit.then_some(pool)
    })
}

fn passed_on(answer: Response<Incoming>, lease: Lease, visit: Visit) -> Response<Download> {
    let (mut head, body) = answer.into_parts();
    headers::strip(&mut head.headers);
    head.version = Version::HTTP_11;
    head.extensions.clear();
    Response::from_parts(head, Download::endpoint(body, lease, visit))
}

fn respond(visit: Visit, fixed: &Fixed) -> Response<Download> {
    let mut answer = own(visit, fixed.status, fixed.body.clone());
    let kind = HeaderValue::from_str(&fixed.content_type).ok().filter(|kind| !kind.is_empty());
    if let Some(kind) = kind {
        answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    answer
}

fn unserved(visit: Visit) -> Response<Download> {
    own(visit, StatusCode::SERVICE_UNAVAILABLE, "nobody serves this now\n")
}

/// The proxy's own answer.
fn own(mut visit: Visit, status: StatusCode, text: impl Into<Bytes>) -> Response<Download> {
    visit.answered(status, None);
    let mut answer = Response::new(Download::own(text.into(), visit));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_count_beside_each_other() {
        let pools = [Pool::empty("a"), Pool::empty("b"), Pool::empty("c")];
        let targets: Vec<(Arc<Pool>, u32)> = pools.iter().cloned().zip([3, 0, 1]).collect();
        let mut counts = [0_u32; 3];
        for _ in 0..4_000 {
            let found = target(&targets).unwrap();
            let at = pools.iter().position(|pool| Arc::ptr_eq(pool, found)).unwrap();
            counts[at] += 1;
        }
        assert!(counts[1] == 0 && (2_800..3_200).contains(&counts[0]), "{counts:?}");
        assert!(target(&targets[1..2]).is_none() && target(&[]).is_none());
    }

    #[test]
    fn requests_go_to_endpoints_by_address() {
        let to = "[2001:db8::1]:8080".parse().unwrap();
        assert_eq!(at(to, &"/a?b=c".parse().unwrap()), "http://[2001:db8::1]:8080/a?b=c");
        assert_eq!(at(to, &"https://x.example".parse().unwrap()), "http://[2001:db8::1]:8080/");
    }
}
