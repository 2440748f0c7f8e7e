//! Channels over a WebSocket: the first byte of each binary message is the channel.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use bytes::{BufMut, Bytes, BytesMut};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use gantry_model::Status;
use http::HeaderValue;
use http::request::Parts;
use tokio::sync::mpsc;
use tokio::time::Interval;

use super::{Exit, FAREWELL, Inputs, Line, split, verdict};
use crate::streams::{ExecRequest, ExecSession, Output};
use crate::wire::reply::Response;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// Only in version 5: the byte after it is the channel that ends.
const CLOSE: u8 = 255;
/// Version 4 differs only in that standard input can't end before the connection does.
const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];
const MESSAGE: usize = 1 << 20;
/// Clients read before they have said what is to become of outputs, and drop what comes until then (kubectl: "Unknown stream
/// id"). Nothing tells when they have. The process runs meanwhile.
const SETTLING: Duration = Duration::from_millis(50);

pub(super) async fn answer(
    mut head: Parts,
    start: impl AsyncFnOnce() -> Result<ExecSession, Status>,
    wanted: ExecRequest,
    line: Line,
) -> Result<Response, Status> {
    let upgrade = WebSocketUpgrade::from_request_parts(&mut head, &()).await;
    let upgrade = upgrade.map_err(|e| Status::bad_request(format!("this is not a WebSocket request: {e}")))?;
    let mut upgrade = upgrade.max_message_size(MESSAGE).max_frame_size(MESSAGE);
    let asked: Vec<HeaderValue> = upgrade.requested_protocols().cloned().collect();
    let Some(protocol) = PROTOCOLS.iter().find(|p| asked.iter().any(|a| a == **p)) else {
        let message = format!("none of the client's WebSocket subprotocols is known here: use one of {PROTOCOLS:?}");
        return Err(Status::bad_request(message));
    };
    let session = start().await?;
    upgrade.set_selected_protocol(HeaderValue::from_static(protocol));
    Ok(upgrade.on_upgrade(move |socket| serve(socket, session, wanted, line)))
}

async fn serve(socket: WebSocket, session: ExecSession, wanted: ExecRequest, line: Line) {
    let (mut sink, mut stream) = socket.split();
    let (inputs, output, exit) = split(session);
    // Tells clients that wait for a first sign that the connection works.
    let hello = if wanted.stdout {
        STDOUT
    } else if wanted.stderr {
        STDERR
    } else {
        ERROR
    };
    if sink.send(Message::Binary(Bytes::copy_from_slice(&[hello]))).await.is_err() {
        return;
    }
    tokio::select! {
        () = inbound(&mut stream, inputs) => return,
        () = outbound(&mut sink, output, exit, line.pulse()) => {}
        () = line.stop.cancelled() => {}
    }
    let bye = CloseFrame { code: close_code::NORMAL, reason: "".into() };
    let _ = sink.send(Message::Close(Some(bye))).await;
    // Closing before the client has read everything could cut it off.
    let rest = async { while let Some(Ok(_)) = stream.next().await {} };
    let _ = tokio::time::timeout(FAREWELL, rest).await;
}

/// Ends when the client has gone.
async fn inbound(stream: &mut SplitStream<WebSocket>, mut inputs: Inputs) {
    while let Some(Ok(message)) = stream.next().await {
        let mut bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Close(_) => return,
            _ => continue,
        };
        if bytes.is_empty() {
            continue;
        }
        let channel = bytes.split_to(1);
        match channel.first() {
            Some(&STDIN) => inputs.stdin(bytes).await,
            Some(&RESIZE) => inputs.resize(&bytes),
            Some(&CLOSE) if bytes.first() == Some(&STDIN) => inputs.close_stdin(),
            _ => {}
        }
    }
}

/// Ends when everything was said, or can't be.
async fn outbound(
    sink: &mut SplitSink<WebSocket, Message>,
    mut output: mpsc::Receiver<(Output, Bytes)>,
    mut exit: Exit,
    mut pulse: Interval,
) {
    let mut running = true;
    tokio::time::sleep(SETTLING).await;
    loop {
        let message = tokio::select! {
            piece = output.recv(), if running => match piece {
                Some((Output::Stdout, bytes)) => message(STDOUT, &bytes),
                Some((Output::Stderr, bytes)) => message(STDERR, &bytes),
                None => {
                    running = false;
                    continue;
                }
            },
            verdict = verdict(&mut exit), if !running => {
                let _ = sink.send(message(ERROR, verdict.to_string().as_bytes())).await;
                return;
            }
            _ = pulse.tick() => Message::Ping(Bytes::new()),
        };
        if sink.send(message).await.is_err() {
            return;
        }
    }
}

fn message(channel: u8, bytes: &[u8]) -> Message {
    let mut message = BytesMut::with_capacity(bytes.len() + 1);
    message.put_u8(channel);
    message.extend_from_slice(bytes);
    Message::Binary(message.freeze())
}
