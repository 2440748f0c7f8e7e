//! Connections, and what bounds them. Those who ask are strangers: each of them gets a part of what there is.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddrV4};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::desk::{ANSWER, Desk};

/// Connections at once, at all addresses; more wait in the system's queue.
const CONNECTIONS: usize = 256;
/// Of one client at once; the next is closed.
pub(super) const OF_ONE: usize = 8;
/// For the head of a request, and between two requests of a connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// After so long a connection ends with the request that is under way.
const LIFE: Duration = Duration::from_secs(60);
/// Bytes and lines of a request's head. Beyond that it is answered with 431.
const HEAD: usize = 16 << 10;
const LINES: usize = 64;
/// A pause after `accept` failed, chiefly for want of file descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// What is taken of the places for connections.
pub(super) struct Places {
    all: Arc<Semaphore>,
    by_client: Mutex<HashMap<IpAddr, usize>>,
}

impl Default for Places {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(CONNECTIONS)), by_client: Mutex::default() }
    }
}

impl Places {
    /// A place of a client's own; `None`: it has all that it may have.
    pub(super) fn take(self: &Arc<Self>, client: IpAddr) -> Option<Place> {
        let mut taken = self.by_client.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(client).or_default();
        if *count >= OF_ONE {
            return None;
        }
        *count += 1;
        Some(Place { places: self.clone(), client })
    }
}

/// Free again when it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    client: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.by_client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.client);
            }
        }
    }
}

/// Accepts for ever.
pub(super) async fn serve(listener: TcpListener, at: SocketAddrV4, desk: Arc<Desk>, places: Arc<Places>) {
    let mut open = JoinSet::new();
    loop {
        while open.try_join_next().is_some() {}
        let Ok(permit) = places.all.clone().acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "a pod's connection can't be accepted");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
                continue;
            }
        };
        let client = peer.ip().to_canonical();
        let Some(place) = places.take(client) else { continue };
        let desk = desk.clone();
        open.spawn(async move {
            connection(stream, at, client, &desk).await;
            drop((place, permit));
        });
    }
}

async fn connection(stream: TcpStream, at: SocketAddrV4, client: IpAddr, desk: &Desk) {
    // Answers are written whole; waiting for more to send only adds delay.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request: hyper::Request<Incoming>| async move {
        Ok::<_, Infallible>(desk.answer(at, client, request).await)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(HEAD).max_headers(LINES);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = &mut connection => {
            if let Err(error) = ended {
                debug!(%error, %client, "a pod's connection ended early");
            }
            return;
        }
        () = tokio::time::sleep(LIFE) => {}
    }
    connection.as_mut().graceful_shutdown();
    // Whoever does not read its answer loses it.
    let _ = tokio::time::timeout(ANSWER + PATIENCE, connection).await;
}
