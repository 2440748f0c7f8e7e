//! Processes in containers over one connection: WebSocket (kubectl from 1.31) and SPDY/3.1 (before), with the channels
//! of Kubernetes' remote command protocol, version 4 and 5.

mod spdy;
mod websocket;

use std::time::Duration;

use futures::FutureExt;
use gantry_model::Status;
use http::HeaderMap;
use http::header::{CONNECTION, UPGRADE};
use http::request::Parts;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::streams::{ExecRequest, ExecSession};
use crate::wire::reply::Response;

/// How long a client may take to open its streams, and to close the connection after the end.
const PATIENCE: Duration = Duration::from_secs(30);
const FAREWELL: Duration = Duration::from_secs(5);

/// Starts the process and hands the connection to it. What goes wrong before that is a plain HTTP answer.
pub(crate) async fn answer(
    app: &App,
    request: ExecRequest,
    attach: bool,
    head: Parts,
    _body: Incoming,
) -> Result<Response, Status> {
    let Some(transport) = Transport::of(&head.headers) else {
        return Err(Status::bad_request(
            "this needs a connection upgrade: use a WebSocket (v5.channel.k8s.io, v4.channel.k8s.io) or SPDY/3.1",
        ));
    };
    let wanted = request.clone();
    let start = async move || match attach {
        true => app.streams.attach(request).await,
        false => app.streams.exec(request).await,
    };
    match transport {
        Transport::WebSocket => websocket::answer(head, start, wanted, line(app)).await,
        Transport::Spdy => spdy::answer(head, start, wanted, line(app)).await,
    }
}

/// What a connection is held to.
struct Line {
    /// The server stops.
    stop: CancellationToken,
    /// How often the client is sent something. A client that has gone shows in what is read from it, but nothing is read
    /// while the process takes no input; then only sending to it tells.
    pulse: Duration,
}

fn line(app: &App) -> Line {
    Line { stop: app.stop.clone(), pulse: app.limits.pulse }
}

impl Line {
    fn pulse(&self) -> Interval {
        let mut pulse = tokio::time::interval_at(Instant::now() + self.pulse, self.pulse);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pulse
    }
}

enum Transport {
    WebSocket,
    Spdy,
}

impl Transport {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let names = |name, wanted: &str| {
            let values = headers.get_all(name).iter().filter_map(|v: &http::HeaderValue| v.to_str().ok());
            values.flat_map(|v| v.split(',')).any(|v| v.trim().eq_ignore_ascii_case(wanted))
        };
        if !names(CONNECTION, "upgrade") {
            return None;
        }
        if names(UPGRADE, "websocket") {
            Some(Transport::WebSocket)
        } else {
            names(UPGRADE, "spdy/3.1").then_some(Transport::Spdy)
        }
    }
}

/// The side of a session that a client's input goes to.
struct Inputs {
    stdin: Option<mpsc::Sender<bytes::Bytes>>,
    resize: mpsc::Sender<(u16, u16)>,
    /// Text of sizes that has not come to a whole JSON value yet.
    sizes: Vec<u8>,
}

/// More text than this without a whole size in it is not a size.
const SIZES: usize = 4096;

impl Inputs {
    async fn stdin(&mut self, bytes: bytes::Bytes) {
        // A process that no longer reads has closed its end; what the client still sends is dropped.
        if let Some(stdin) = &self.stdin
            && !bytes.is_empty()
            && stdin.send(bytes).await.is_err()
        {
            self.stdin = None;
        }
    }

    fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Takes text of the resize channel: JSON values one after the other, cut anywhere.
    fn resize(&mut self, bytes: &[u8]) {
        self.sizes.extend_from_slice(bytes);
        let mut values = serde_json::Deserializer::from_slice(&self.sizes).into_iter::<Size>();
        let latest = values.by_ref().map_while(Result::ok).last();
        let done = values.byte_offset();
        self.sizes.drain(..done.min(self.sizes.len()));
        if self.sizes.len() > SIZES {
            self.sizes.clear();
        }
        if let Some(size) = latest {
            // Only the newest size matters: when the process lags behind, it gets the next one.
            let _ = self.resize.try_send((size.width, size.height));
        }
    }
}

#[derive(Deserialize)]
struct Size {
    #[serde(rename = "Width")]
    width: u16,
    #[serde(rename = "Height")]
    height: u16,
}

/// A session taken apart for the two directions.
fn split(session: ExecSession) -> (Inputs, mpsc::Receiver<(crate::Output, bytes::Bytes)>, Exit) {
    let inputs = Inputs { stdin: session.stdin, resize: session.resize, sizes: Vec::new() };
    (inputs, session.output, session.exit)
}

type Exit = oneshot::Receiver<Result<i32, String>>;

/// The outcome of a process as the error channel carries it.
async fn verdict(exit: &mut Exit) -> Value {
    match exit.map(|r| r.unwrap_or_else(|_| Err("the node ended the session without an exit code".into()))).await {
        Ok(0) => json!({ "metadata": {}, "status": "Success" }),
        Ok(code) => json!({
            "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": format!("command terminated with non-zero exit code: exit status {code}"),
            "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
        }),
        Err(reason) => json!({
            "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500, "message": reason,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn verdicts() {
        let of = async |result: Option<Result<i32, String>>| {
            let (tx, mut rx) = oneshot::channel();
            if let Some(result) = result {
                tx.send(result).unwrap();
            } else {
                drop(tx);
            }
            verdict(&mut rx).await
        };
        assert_eq!(of(Some(Ok(0))).await["status"], "Success");
        let failed = of(Some(Ok(3))).await;
        assert_eq!(failed["reason"], "NonZeroExitCode");
        assert_eq!(failed["details"]["causes"][0], json!({"reason": "ExitCode", "message": "3"}));
        assert_eq!(of(Some(Err("gone".into()))).await["message"], "gone");
        assert_eq!(of(None).await["reason"], "InternalError");
    }

    #[test]
    fn sizes_are_read_whole_and_in_parts() {
        let (resize, mut sizes) = mpsc::channel(8);
        let mut inputs = Inputs { stdin: None, resize, sizes: Vec::new() };
        inputs.resize(b"{\"Width\":80,\"Height\":24}\n");
        assert_eq!(sizes.try_recv().unwrap(), (80, 24));
        inputs.resize(b"{\"Width\":100,");
        assert!(sizes.try_recv().is_err());
        inputs.resize(b"\"Height\":30}{\"Width\":101,\"Height\":31}");
        assert_eq!(sizes.try_recv().unwrap(), (101, 31));
        inputs.resize(&[b'x'; SIZES + 1]);
        assert!(inputs.sizes.is_empty());
    }
}
