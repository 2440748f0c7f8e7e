//! An endpoint that says who it is and what it was asked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

/// It ends, with its connections, when it is dropped.
pub struct Endpoint {
    pub address: String,
    pub connections: Arc<AtomicUsize>,
    pub healthy: Arc<AtomicBool>,
    /// Checks that it answered with a failure.
    pub failures: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<()>,
}

impl Endpoint {
    pub async fn start(name: &str) -> Self {
        Self::at(name, "127.0.0.1:0").await
    }

    pub async fn at(name: &str, address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let (connections, healthy) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
        let failures = Arc::new(AtomicUsize::new(0));
        let (count, name) = (connections.clone(), name.to_owned());
        let health = (healthy.clone(), failures.clone());
        let task = tokio::spawn(async move {
            let mut serving = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (name, (well, failures)) = (name.clone(), health.clone());
                serving.spawn(async move { drop(serve(stream, &name, &well, &failures).await) });
            }
        });
        Self { address: address.to_string(), connections, healthy, failures, _task: AbortOnDropHandle::new(task) }
    }
}

async fn serve(stream: TcpStream, name: &str, well: &AtomicBool, failures: &AtomicUsize) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut head, mut length, mut chunked) = (String::new(), 0, false);
        loop {
            let begun = head.len();
            if stream.read_line(&mut head).await? == 0 {
                return Ok(());
            }
            let line = head[begun..].trim().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            chunked |= line.starts_with("transfer-encoding:") && line.contains("chunked");
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        if chunked {
            let mut line = String::new();
            while !line.ends_with("0\r\n\r\n") && stream.read_line(&mut line).await? > 0 {}
            length = line.len();
        }
        let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
        if path.starts_with("/echo") {
            let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
            stream.write_all(head.as_bytes()).await?;
            let (mut from, mut to) = tokio::io::split(stream);
            return tokio::io::copy(&mut from, &mut to).await.map(drop);
        }
        if path.starts_with("/slow") {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        if path.starts_with("/never") {
            std::future::pending::<()>().await;
        }
        let sick = path == "/well" && !well.load(Ordering::SeqCst);
        failures.fetch_add(sick.into(), Ordering::SeqCst);
        let status = if sick { "500 Not Well" } else { "200 OK" };
        let text = format!("{name} {length}\n{head}");
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nKeep-Alive: timeout=5\r\nX-Own: yes\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n{text}",
            text.len()
        );
        stream.write_all(answer.as_bytes()).await?;
    }
}
