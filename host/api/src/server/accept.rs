//! Accepting connections, for the server and for listeners of dialects.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Limits;

/// A pause after `accept` failed, chiefly for want of file descriptors.
const BACKOFF: Duration = Duration::from_millis(50);

/// Serves connections, as many at once as there are places, until it is told to stop. Then requests under way may finish
/// within the drain limit; what is left is cut off.
pub(crate) async fn accept<F>(
    listener: TcpListener,
    limits: Limits,
    stop: CancellationToken,
    serve: impl Fn(TcpStream, Watcher) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    // Dropped at the end, and with it whatever is not drained by then.
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await.ok()?;
            Some((listener.accept().await, place))
        };
        let (accepted, place) = tokio::select! {
            () = stop.cancelled() => break,
            next = next => match next { Some(next) => next, None => break },
        };
        match accepted {
            Ok((stream, _)) => {
                // Answers are written whole; waiting for more to send only adds delay.
                let _ = stream.set_nodelay(true);
                while connections.try_join_next().is_some() {}
                let serving = serve(stream, graceful.watcher());
                connections.spawn(async move {
                    serving.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "can't accept a connection");
                tokio::time::sleep(BACKOFF).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still under way at shutdown and are cut off");
    }
}
