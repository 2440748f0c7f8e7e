//! A session as the API sees it. Dropping it, whichever part, ends the node's call.

use std::io;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use gantry_api::{ExecSession, Output};
use tokio::sync::{mpsc, oneshot};
use tonic::Streaming;

use super::node::{Call, Close, Opened};
use crate::wire::exit::How;
use crate::wire::{Exit, FromNode, InputClosed, Size, ToNode, from_node, to_node};

/// Pieces of output or input that wait. Beyond that HTTP/2's own flow control holds the other side back.
const WAITING: usize = 8;

type Ended = oneshot::Sender<Result<i32, String>>;

/// The lines of a log.
pub fn log(opened: Opened) -> BoxStream<'static, io::Result<Bytes>> {
    let pieces = stream::unfold(Some(opened), |opened| async move {
        let mut opened = opened?;
        let error = match opened.call.from.message().await.map(|message| message.and_then(|message| message.what)) {
            Ok(Some(from_node::What::Output(bytes))) => return Some((Ok(bytes), Some(opened))),
            Ok(Some(from_node::What::Over(_))) => {
                opened.close.over();
                return None;
            }
            Ok(Some(from_node::What::Broken(why))) => {
                opened.close.over();
                why
            }
            _ => lost(opened.close.node()),
        };
        Some((Err(io::Error::other(error)), None))
    });
    pieces.boxed()
}

/// A process.
pub fn process(opened: Opened, stdin: bool) -> ExecSession {
    let (input, inputs) = mpsc::channel(WAITING);
    let (resize, sizes) = mpsc::channel(WAITING);
    let (output, outputs) = mpsc::channel(WAITING);
    let (ended, exit) = oneshot::channel();
    tokio::spawn(async move {
        let Opened { call: Call { from, to }, close } = opened;
        // Two jobs, since a process may well stop reading while it writes.
        tokio::select! {
            () = send_outputs(close, from, output, ended) => {}
            () = send_inputs(to, inputs, sizes) => {}
        }
    });
    ExecSession { stdin: stdin.then_some(input), output: outputs, resize, exit }
}

async fn send_outputs(
    mut close: Close,
    mut from: Streaming<FromNode>,
    output: mpsc::Sender<(Output, Bytes)>,
    ended: Ended,
) {
    let outcome = loop {
        let message = tokio::select! {
            message = from.message() => message,
            // The client has gone.
            () = output.closed() => return,
        };
        let piece = match message {
            Ok(Some(FromNode { what: Some(from_node::What::Output(bytes)) })) => (Output::Stdout, bytes),
            Ok(Some(FromNode { what: Some(from_node::What::ErrorOutput(bytes)) })) => (Output::Stderr, bytes),
            Ok(Some(FromNode { what: Some(from_node::What::Exit(Exit { how: Some(how) })) })) => {
                close.over();
                break match how {
                    How::Code(code) => Ok(code),
                    How::Unknown(why) => Err(why),
                };
            }
            _ => break Err(lost(close.node())),
        };
        if output.send(piece).await.is_err() {
            return;
        }
    };
    drop(output);
    let _ = ended.send(outcome);
}

/// Goes on until the outputs are over.
async fn send_inputs(
    to: mpsc::Sender<ToNode>,
    mut inputs: mpsc::Receiver<Bytes>,
    mut sizes: mpsc::Receiver<(u16, u16)>,
) {
    let (mut reading, mut sizing) = (true, true);
    while reading || sizing {
        let what = tokio::select! {
            bytes = inputs.recv(), if reading => match bytes {
                Some(bytes) => to_node::What::Input(bytes),
                None => {
                    reading = false;
                    to_node::What::InputClosed(InputClosed {})
                }
            },
            size = sizes.recv(), if sizing => match size {
                Some((columns, rows)) => to_node::What::Size(Size { columns: columns.into(), rows: rows.into() }),
                None => {
                    sizing = false;
                    continue;
                }
            },
        };
        if to.send(ToNode { what: Some(what) }).await.is_err() {
            break;
        }
    }
    // Keeps the call open: that it ends would mean that nobody wants the output any more.
    std::future::pending::<()>().await;
}

fn lost(node: &str) -> String {
    format!("error dialing backend: the connection to node \"{node}\" broke off")
}
