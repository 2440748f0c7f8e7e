//! Programs and real sockets in network namespaces.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use gantry_node::network::netns::within;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a program in a namespace and gives what it says.
pub async fn run(place: &Path, line: &str) -> String {
    let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let text = line.to_owned();
    within(Some(place), move || {
        let output = Command::new(&words[0]).args(&words[1..]).output()?;
        assert!(output.status.success(), "{text}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    })
    .await
    .unwrap()
}

/// A server in a namespace that says to each client which address it sees it by, then echoes.
pub async fn serve(place: &Path, port: u16) {
    let listener = within(Some(place), move || TcpListener::bind(("0.0.0.0", port))).await.unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || -> io::Result<()> {
                writeln!(stream, "{}", stream.peer_addr()?.ip())?;
                io::copy(&mut stream.try_clone()?, &mut stream).map(drop)
            });
        }
    });
}

/// Connects from a namespace, and gives what the server sees.
pub async fn connect(place: &Path, to: impl ToString, port: u16) -> io::Result<(TcpStream, IpAddr)> {
    let to = SocketAddr::new(to.to_string().parse().unwrap(), port);
    within(Some(place), move || {
        let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let text = line(&mut stream)?;
        Ok((stream, text.parse().map_err(io::Error::other)?))
    })
    .await
}

/// Whom the server sees.
pub async fn seen(place: &Path, to: impl ToString, port: u16) -> String {
    let to = to.to_string();
    match connect(place, &to, port).await {
        Ok((_, address)) => address.to_string(),
        Err(error) => format!("{to}:{port}: {error}"),
    }
}

pub fn line(stream: &mut TcpStream) -> io::Result<String> {
    let mut text = String::new();
    let mut byte = [0];
    loop {
        stream.read_exact(&mut byte)?;
        match byte[0] {
            b'\n' => return Ok(text),
            other => text.push(other.into()),
        }
    }
}
