//! Channels over SPDY/3.1: a stream each, named by its `streamtype` header. Only what kubectl up to 1.30 speaks: no
//! flow control (its library has none either), no server push, no settings.

mod frame;
mod headers;

use std::collections::HashMap;

use axum::body::Body;
use bytes::Bytes;
use frame::{Codec, Frame};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use gantry_model::Status;
use http::header::{CONNECTION, UPGRADE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio::time::Interval;
use tokio_util::codec::Framed;

use super::{Exit, FAREWELL, Inputs, Line, PATIENCE, split, verdict};
use crate::streams::{ExecRequest, ExecSession, Output};
use crate::wire::reply::Response;

const VERSION: HeaderName = HeaderName::from_static("x-stream-protocol-version");
const PROTOCOL: &str = "v4.channel.k8s.io";
/// Answers to pings and new streams that wait to be written.
const CONTROL: usize = 32;

type Connection = Framed<TokioIo<Upgraded>, Codec>;

pub(super) async fn answer(
    mut head: Parts,
    start: impl AsyncFnOnce() -> Result<ExecSession, Status>,
    wanted: ExecRequest,
    line: Line,
) -> Result<Response, Status> {
    let offered = head.headers.get_all(&VERSION).iter().filter_map(|v| v.to_str().ok());
    if !offered.flat_map(|v| v.split(',')).any(|v| v.trim() == PROTOCOL) {
        let message = format!("none of the client's stream protocols is known here: offer {PROTOCOL} in {VERSION}");
        return Err(Status::bad_request(message));
    }
    let upgrade = head.extensions.remove::<OnUpgrade>();
    let upgrade = upgrade.ok_or_else(|| Status::bad_request("this connection can't be upgraded: use HTTP/1.1"))?;
    let session = start().await?;
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => serve(Framed::new(TokioIo::new(upgraded), Codec::default()), session, wanted, line).await,
            Err(error) => tracing::debug!(%error, "a client went away instead of speaking SPDY"),
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("SPDY/3.1"));
    headers.insert(VERSION, HeaderValue::from_static(PROTOCOL));
    Ok(response)
}

async fn serve(mut connection: Connection, session: ExecSession, wanted: ExecRequest, line: Line) {
    let opened = tokio::time::timeout(PATIENCE, open(&mut connection, &wanted)).await;
    let Ok(Some(streams)) = opened else {
        tracing::debug!("a client did not open the streams that it asked for");
        return;
    };
    let (mut sink, mut stream) = connection.split();
    let (control, answers) = mpsc::channel(CONTROL);
    let (inputs, output, exit) = split(session);
    tokio::select! {
        () = inbound(&mut stream, &streams, inputs, control) => return,
        () = outbound(&mut sink, &streams, Outputs { output, answers, exit, pulse: line.pulse() }) => {}
        () = line.stop.cancelled() => {}
    }
    let _ = sink.send(Frame::GoAway).await;
    // Closing before the client has read everything could cut it off.
    let rest = async { while let Some(Ok(_)) = stream.next().await {} };
    let _ = tokio::time::timeout(FAREWELL, rest).await;
}

/// The channels by name and their stream ids.
struct Streams(HashMap<&'static str, u32>);

impl Streams {
    fn id(&self, name: &str) -> Option<u32> {
        self.0.get(name).copied()
    }

    fn is(&self, name: &str, id: u32) -> bool {
        self.id(name) == Some(id)
    }
}

fn expected(wanted: &ExecRequest) -> Vec<&'static str> {
    [
        ("error", true),
        ("stdin", wanted.stdin),
        ("stdout", wanted.stdout),
        ("stderr", wanted.stderr),
        ("resize", wanted.tty),
    ]
    .into_iter()
    .filter_map(|(name, wanted)| wanted.then_some(name))
    .collect()
}

/// Accepts streams until all that the request needs are open.
async fn open(connection: &mut Connection, wanted: &ExecRequest) -> Option<Streams> {
    let mut missing = expected(wanted);
    let mut streams = HashMap::new();
    while !missing.is_empty() {
        match connection.next().await?.ok()? {
            Frame::Open { id, headers } => {
                let kind = headers.iter().find(|(name, _)| name == "streamtype").map(|(_, value)| value.as_str());
                let Some(at) = missing.iter().position(|name| Some(*name) == kind) else {
                    connection.send(Frame::Reset { id }).await.ok()?;
                    continue;
                };
                streams.insert(missing.swap_remove(at), id);
                connection.send(Frame::Accept { id }).await.ok()?;
            }
            Frame::Ping(id) => connection.send(Frame::Ping(id)).await.ok()?,
            Frame::GoAway => return None,
            _ => {}
        }
    }
    Some(Streams(streams))
}

/// Ends when the client has gone.
async fn inbound(
    stream: &mut SplitStream<Connection>,
    streams: &Streams,
    mut inputs: Inputs,
    control: mpsc::Sender<Frame>,
) {
    while let Some(Ok(frame)) = stream.next().await {
        match frame {
            Frame::Data { id, bytes, last } if streams.is("stdin", id) => {
                inputs.stdin(bytes).await;
                if last {
                    inputs.close_stdin();
                }
            }
            Frame::Data { id, bytes, .. } if streams.is("resize", id) => inputs.resize(&bytes),
            Frame::Reset { id } if streams.is("stdin", id) => inputs.close_stdin(),
            // An even one is the answer to one of ours.
            Frame::Ping(id) if id % 2 == 1 => {
                let _ = control.send(Frame::Ping(id)).await;
            }
            Frame::Open { id, .. } => {
                let _ = control.send(Frame::Reset { id }).await;
            }
            Frame::GoAway => return,
            _ => {}
        }
    }
}

/// What goes to the client.
struct Outputs {
    output: mpsc::Receiver<(Output, Bytes)>,
    answers: mpsc::Receiver<Frame>,
    exit: Exit,
    pulse: Interval,
}

/// Ends when everything was said, or can't be.
async fn outbound(sink: &mut SplitSink<Connection, Frame>, streams: &Streams, outputs: Outputs) {
    let Outputs { mut output, mut answers, mut exit, mut pulse } = outputs;
    let (mut running, mut ping) = (true, 0_u32);
    loop {
        let frame = tokio::select! {
            Some(frame) = answers.recv() => Some(frame),
            piece = output.recv(), if running => match piece {
                Some((from, bytes)) => data(streams, from, bytes),
                None => {
                    running = false;
                    None
                }
            },
            verdict = verdict(&mut exit), if !running => {
                let _ = finish(sink, streams, verdict.to_string().into()).await;
                return;
            }
            _ = pulse.tick() => {
                // A server's pings have even numbers.
                ping = ping.wrapping_add(2);
                Some(Frame::Ping(ping))
            }
        };
        if let Some(frame) = frame
            && sink.send(frame).await.is_err()
        {
            return;
        }
    }
}

fn data(streams: &Streams, from: Output, bytes: Bytes) -> Option<Frame> {
    let name = match from {
        Output::Stdout => "stdout",
        Output::Stderr => "stderr",
    };
    streams.id(name).map(|id| Frame::Data { id, bytes, last: false })
}

/// Ends the outputs, then says how it went.
async fn finish(
    sink: &mut SplitSink<Connection, Frame>,
    streams: &Streams,
    verdict: Bytes,
) -> Result<(), frame::Error> {
    for name in ["stdout", "stderr"] {
        if let Some(id) = streams.id(name) {
            sink.feed(Frame::Data { id, bytes: Bytes::new(), last: true }).await?;
        }
    }
    if let Some(id) = streams.id("error") {
        sink.feed(Frame::Data { id, bytes: verdict, last: false }).await?;
        sink.feed(Frame::Data { id, bytes: Bytes::new(), last: true }).await?;
    }
    sink.flush().await
}
