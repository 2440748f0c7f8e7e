//! The sockets.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::responder::{Responder, Step};
use super::wire::Transport;

/// Connections at once; more wait.
const CONNECTIONS: usize = 256;
/// A connection on which nothing comes or goes for so long is closed.
const IDLE: Duration = Duration::from_secs(10);
/// The longest datagram that can come.
const DATAGRAM: usize = 4_096;

/// Answers on these sockets until they fail, or for ever.
pub async fn serve(udp: UdpSocket, tcp: TcpListener, responder: Arc<Responder>) -> io::Result<()> {
    tokio::select! {
        outcome = datagrams(udp, responder.clone()) => outcome,
        outcome = connections(tcp, responder) => outcome,
    }
}

async fn datagrams(socket: UdpSocket, responder: Arc<Responder>) -> io::Result<()> {
    let socket = Arc::new(socket);
    let mut buffer = vec![0; DATAGRAM];
    loop {
        let (length, client) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            // An earlier answer did not reach its client.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(error) => return Err(error),
        };
        let Some(bytes) = buffer.get(..length) else { continue };
        match responder.begin(bytes, Transport::Udp) {
            Step::Answer(answer) => send(&socket, &answer, client).await,
            Step::Silence => {}
            // As many at once as there are permits for it.
            Step::Forward(forward) => {
                let (socket, responder) = (socket.clone(), responder.clone());
                tokio::spawn(async move {
                    if let Some(answer) = responder.forward(*forward).await {
                        send(&socket, &answer, client).await;
                    }
                });
            }
        }
    }
}

/// A client that can't be reached asks again, or has gone.
async fn send(socket: &UdpSocket, answer: &[u8], client: SocketAddr) {
    if let Err(error) = socket.send_to(answer, client).await {
        tracing::debug!(%error, %client, "an answer was not sent");
    }
}

async fn connections(listener: TcpListener, responder: Arc<Responder>) -> io::Result<()> {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let mut open = JoinSet::new();
    loop {
        while open.try_join_next().is_some() {}
        let Ok(permit) = permits.clone().acquire_owned().await else { return Ok(()) };
        let (stream, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => return Err(error),
        };
        let responder = responder.clone();
        open.spawn(async move {
            // Its end is the client's business.
            let _ = connection(stream, &responder).await;
            drop(permit);
        });
    }
}

/// One question after the other.
async fn connection(mut stream: TcpStream, responder: &Responder) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    loop {
        let length = timeout(IDLE, stream.read_u16()).await??;
        buffer.resize(usize::from(length), 0);
        timeout(IDLE, stream.read_exact(&mut buffer)).await??;
        let answer = match responder.begin(&buffer, Transport::Tcp) {
            Step::Answer(answer) => answer,
            Step::Forward(forward) => match responder.forward(*forward).await {
                Some(answer) => answer,
                None => return Ok(()),
            },
            Step::Silence => return Ok(()),
        };
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        let framed = [length.to_be_bytes().as_slice(), &answer].concat();
        timeout(IDLE, stream.write_all(&framed)).await??;
    }
}
