//! One order, carried out on a call of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::BoxStream;
use gantry_api::{ExecSession, Output, Streams};
use gantry_model::Status;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::channel::Channel;
use crate::convert::status_to_wire;
use crate::wire::exit::How;
use crate::wire::link_client::LinkClient;
use crate::wire::order::What;
use crate::wire::{Exit, FromNode, Opened, Over, Refused, ToNode, from_node, to_node};

/// Messages on their way to the server.
const OUTPUT: usize = 8;
/// Lines of a log that go together when they are there together.
const LINES: usize = 256;
/// How long the server may take to end its side once everything was said. A call that ended earlier would take what is
/// still on its way with it.
const FAREWELL: Duration = Duration::from_secs(30);

type Said = mpsc::Sender<FromNode>;

/// Something of this node that is to be streamed.
enum Opening {
    Log(BoxStream<'static, std::io::Result<Bytes>>),
    Process(ExecSession),
}

pub async fn run(
    session: u64,
    what: Option<What>,
    mut calls: LinkClient<Channel>,
    node: String,
    streams: Arc<dyn Streams>,
) {
    let opening = open(what, &node, &*streams).await;
    let (said, messages) = mpsc::channel(OUTPUT);
    let first = match &opening {
        Ok(_) => from_node::What::Opened(Opened { node, session }),
        Err(status) => from_node::What::Refused(Refused { node, session, status: status_to_wire(status).into() }),
    };
    let _ = said.send(FromNode { what: Some(first) }).await;
    let answer = match calls.session(ReceiverStream::new(messages)).await {
        Ok(answer) => answer.into_inner(),
        // Its client has gone meanwhile, or the link has.
        Err(error) => return tracing::debug!(session, %error, "a session came to nothing"),
    };
    match opening {
        Ok(Opening::Log(lines)) => send_log(lines, said, answer).await,
        Ok(Opening::Process(process)) => run_process(process, said, answer).await,
        Err(_) => {}
    }
}

async fn open(what: Option<What>, node: &str, streams: &dyn Streams) -> Result<Opening, Status> {
    Ok(match what {
        Some(What::Log(log)) => Opening::Log(streams.logs(log.request(node)).await?),
        Some(What::Exec(exec)) => Opening::Process(streams.exec(exec.request(node)).await?),
        Some(What::Attach(exec)) => Opening::Process(streams.attach(exec.request(node)).await?),
        Some(What::Close(_)) | None => {
            let message = "this agent does not know what the server asks for: it is of an older version";
            return Err(Status::bad_request(message));
        }
    })
}

async fn send_log(lines: BoxStream<'static, std::io::Result<Bytes>>, said: Said, mut answer: Streaming<ToNode>) {
    let mut lines = lines.ready_chunks(LINES);
    let send = async move {
        while let Some(piece) = lines.next().await {
            let (output, broken) = together(piece);
            if said.send(FromNode { what: Some(from_node::What::Output(output)) }).await.is_err() {
                return;
            }
            if let Some(why) = broken {
                let _ = said.send(FromNode { what: Some(from_node::What::Broken(why)) }).await;
                return;
            }
        }
        let _ = said.send(FromNode { what: Some(from_node::What::Over(Over {})) }).await;
    };
    tokio::select! {
        () = send => farewell(answer).await,
        () = end(&mut answer) => {}
    }
}

/// Lines in one piece, and why there are no more.
fn together(lines: Vec<std::io::Result<Bytes>>) -> (Bytes, Option<String>) {
    let mut all = BytesMut::new();
    for line in lines {
        match line {
            Ok(line) => all.extend_from_slice(&line),
            Err(error) => return (all.freeze(), Some(error.to_string())),
        }
    }
    (all.freeze(), None)
}

/// The process ends when its session is dropped, so whatever ends here first ends it.
async fn run_process(process: ExecSession, said: Said, answer: Streaming<ToNode>) {
    let ExecSession { stdin, output, resize, exit } = process;
    let gone = said.clone();
    let mut answer = answer;
    tokio::select! {
        () = send_output(output, exit, said) => {}
        // A client that has gone; seen here too while the process takes no input.
        () = gone.closed() => return,
        () = take_input(&mut answer, stdin, resize) => return,
    }
    drop(gone);
    farewell(answer).await;
}

async fn send_output(
    mut output: mpsc::Receiver<(Output, Bytes)>,
    exit: oneshot::Receiver<Result<i32, String>>,
    said: Said,
) {
    while let Some((which, bytes)) = output.recv().await {
        let what = match which {
            Output::Stdout => from_node::What::Output(bytes),
            Output::Stderr => from_node::What::ErrorOutput(bytes),
        };
        if said.send(FromNode { what: Some(what) }).await.is_err() {
            return;
        }
    }
    let how = match exit.await {
        Ok(Ok(code)) => How::Code(code),
        Ok(Err(why)) => How::Unknown(why),
        Err(_) => How::Unknown("the node lost the process".to_owned()),
    };
    let _ = said.send(FromNode { what: Some(from_node::What::Exit(Exit { how: Some(how) })) }).await;
}

/// Until the server ends its side.
async fn take_input(
    answer: &mut Streaming<ToNode>,
    mut stdin: Option<mpsc::Sender<Bytes>>,
    resize: mpsc::Sender<(u16, u16)>,
) {
    while let Ok(Some(message)) = answer.message().await {
        match message.what {
            Some(to_node::What::Input(bytes)) => {
                // A process that no longer reads has closed its end; what still comes is dropped.
                if let Some(input) = &stdin
                    && input.send(bytes).await.is_err()
                {
                    stdin = None;
                }
            }
            Some(to_node::What::InputClosed(_)) => stdin = None,
            Some(to_node::What::Size(size)) => {
                let part = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
                // Only the newest size matters: when the process lags behind, it gets the next one.
                let _ = resize.try_send((part(size.columns), part(size.rows)));
            }
            None => {}
        }
    }
}

async fn end(answer: &mut Streaming<ToNode>) {
    while let Ok(Some(_)) = answer.message().await {}
}

async fn farewell(mut answer: Streaming<ToNode>) {
    let _ = tokio::time::timeout(FAREWELL, end(&mut answer)).await;
}
