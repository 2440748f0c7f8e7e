//! Speaking with a shim directly, for what containerd has forgotten: a request that is cut off while a shim starts (its
//! sender was killed) leaves a shim that containerd knows nothing of, and nobody else would end.
//!
//! Shims speak ttrpc (<https://github.com/containerd/ttrpc/blob/main/PROTOCOL.md>): a frame's head is its length, the
//! stream's number, its type and flags; then a protobuf message. Three calls of it are all that is needed; the crate `ttrpc`
//! would bring a second protobuf library for them.

use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use prost::Message;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

/// Where every containerd has its shims listen, whatever its own folders are.
const SOCKETS: &str = "/run/containerd/s";
const SERVICE: &str = "containerd.task.v2.Task";
/// The header that says a request's namespace.
const NAMESPACE: &str = "containerd-namespace-ttrpc";
const REQUEST: u8 = 1;
const RESPONSE: u8 = 2;
/// The largest answer that is read.
const LARGEST: usize = 1 << 20;
/// How long all calls of one purpose may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts to delete what was killed just now.
const PAUSE: Duration = Duration::from_millis(20);
/// gRPC's code for what is not there.
const NOT_FOUND: i32 = 5;

#[derive(Message)]
struct Request {
    #[prost(string, tag = "1")]
    service: String,
    #[prost(string, tag = "2")]
    method: String,
    #[prost(bytes = "vec", tag = "3")]
    payload: Vec<u8>,
    #[prost(int64, tag = "4")]
    timeout_nano: i64,
    #[prost(message, repeated, tag = "5")]
    metadata: Vec<Pair>,
}

#[derive(Message)]
struct Pair {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Message)]
struct Response {
    #[prost(message, optional, tag = "1")]
    status: Option<Status>,
}

#[derive(Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// `KillRequest`; the `id` of all requests is a container's.
#[derive(Message)]
struct Kill {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(uint32, tag = "3")]
    signal: u32,
    #[prost(bool, tag = "4")]
    all: bool,
}

/// `DeleteRequest` and `ShutdownRequest`.
#[derive(Message)]
struct Named {
    #[prost(string, tag = "1")]
    id: String,
}

/// A shim's socket.
pub struct Shim {
    socket: PathBuf,
    namespace: String,
}

impl Shim {
    /// The shim of a sandbox. `containerd` is the socket of the containerd that it belongs to.
    pub fn of(containerd: &Path, namespace: &str, sandbox: &str) -> Self {
        let name = containerd.join(namespace).join(sandbox);
        let digest = Sha256::digest(name.as_os_str().as_encoded_bytes());
        Self { socket: Path::new(SOCKETS).join(hex::encode(digest)), namespace: namespace.to_owned() }
    }

    /// Ends and deletes a container that containerd knows no task of. Nothing happens where there is no such shim or it has
    /// no such container.
    pub async fn delete(&self, id: &str) -> Result<(), Error> {
        let deletion = async {
            let Some(mut calls) = self.connect().await? else { return Ok(()) };
            let kill = Kill { id: id.to_owned(), signal: Signal::SIGKILL as u32, all: true };
            // Refused where there is no process yet, or no more.
            let _ = calls.call("Kill", &kill).await?;
            // It is running until the shim has heard of its end.
            while let Some(refusal) = calls.call("Delete", &Named { id: id.to_owned() }).await? {
                if refusal.code == NOT_FOUND {
                    break;
                }
                sleep(PAUSE).await;
            }
            Ok(())
        };
        timeout(PATIENCE, deletion).await?.or_else(unless_gone)
    }

    /// Ends it unless it has containers.
    pub async fn end(&self, sandbox: &str) -> Result<(), Error> {
        let shutdown = async {
            let Some(mut calls) = self.connect().await? else { return Ok(()) };
            let refusal = calls.call("Shutdown", &Named { id: sandbox.to_owned() }).await?;
            refusal.map_or(Ok(()), |refusal| Err(Error::other(refusal.message)))
        };
        timeout(PATIENCE, shutdown).await?.or_else(unless_gone)
    }

    /// `None`: nobody listens.
    async fn connect(&self) -> Result<Option<Calls>, Error> {
        match UnixStream::connect(&self.socket).await {
            Ok(stream) => Ok(Some(Calls { stream, namespace: self.namespace.clone(), number: 1 })),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A shim that ends while it is spoken with has ended.
fn unless_gone(error: Error) -> Result<(), Error> {
    match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    }
}

/// Calls one after the other on one connection.
struct Calls {
    stream: UnixStream,
    namespace: String,
    /// A client's streams have odd numbers.
    number: u32,
}

impl Calls {
    /// The answer is why it was refused.
    async fn call(&mut self, method: &str, payload: &impl Message) -> Result<Option<Status>, Error> {
        let request = Request {
            service: SERVICE.to_owned(),
            method: method.to_owned(),
            payload: payload.encode_to_vec(),
            timeout_nano: i64::try_from(PATIENCE.as_nanos()).unwrap_or(i64::MAX),
            metadata: vec![Pair { key: NAMESPACE.to_owned(), value: self.namespace.clone() }],
        };
        self.stream.write_all(&frame(self.number, &request.encode_to_vec())).await?;
        let answer = self.answer().await?;
        self.number = self.number.wrapping_add(2);
        let response =
            Response::decode(answer.as_slice()).map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
        Ok(response.status.filter(|status| status.code != 0))
    }

    async fn answer(&mut self) -> Result<Vec<u8>, Error> {
        let length = self.stream.read_u32().await?;
        let (number, kind, _flags) =
            (self.stream.read_u32().await?, self.stream.read_u8().await?, self.stream.read_u8().await?);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if kind != RESPONSE || number != self.number || length > LARGEST {
            let why = format!("a frame of type {kind}, stream {number} and {length} bytes in the place of an answer");
            return Err(Error::new(ErrorKind::InvalidData, why));
        }
        let mut data = vec![0; length];
        self.stream.read_exact(&mut data).await?;
        Ok(data)
    }
}

fn frame(number: u32, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &number.to_be_bytes(), &[REQUEST, 0], data].concat()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use serde_json::json;
    use tempfile::TempDir;
    use tokio::net::UnixListener;

    use super::*;

    #[derive(Message)]
    struct Create {
        #[prost(string, tag = "1")]
        id: String,
        #[prost(string, tag = "2")]
        bundle: String,
    }

    /// A real shim whose containerd takes events and knows nothing.
    struct Orphan {
        dir: TempDir,
        shim: Shim,
        _events: UnixListener,
        _log: fs::File,
    }

    impl Orphan {
        fn start() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let containerd = dir.path().join("containerd.sock");
            let events = UnixListener::bind(dir.path().join("containerd.sock.ttrpc")).unwrap();
            let bundle = dir.path().join("bundle");
            fs::create_dir_all(bundle.join("rootfs/bin")).unwrap();
            fs::copy("/bin/busybox", bundle.join("rootfs/bin/busybox")).expect("busybox-static is installed");
            let spec = json!({
                "ociVersion": "1.0.2",
                "process": {"args": ["/bin/busybox", "sleep", "1000"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
                "root": {"path": "rootfs"},
                "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
                "annotations": {"io.containerd.runc.v2.group": "box"},
                "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}]},
            });
            fs::write(bundle.join("config.json"), spec.to_string()).unwrap();
            // It writes its log into a pipe that containerd reads.
            nix::unistd::mkfifo(&bundle.join("log"), nix::sys::stat::Mode::S_IRWXU).unwrap();
            let log = fs::File::options().read(true).write(true).open(bundle.join("log")).unwrap();
            let namespace = Self::namespace(&dir);
            let started = Command::new("containerd-shim-runc-v2")
                .args(["-namespace", &namespace, "-id", "one", "-address"])
                .arg(&containerd)
                .arg("start")
                .env("TTRPC_ADDRESS", dir.path().join("containerd.sock.ttrpc"))
                .current_dir(&bundle)
                .output()
                .expect("containerd is installed");
            assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
            let shim = Shim::of(&containerd, &namespace, "box");
            let says = String::from_utf8(started.stdout).unwrap();
            assert_eq!(says, format!("unix://{}", shim.socket.display()), "it listens elsewhere");
            Self { dir, shim, _events: events, _log: log }
        }

        fn namespace(dir: &TempDir) -> String {
            let name = dir.path().file_name().unwrap().to_string_lossy();
            format!("shim-{}", name.trim_start_matches('.').to_lowercase())
        }

        async fn create(&self) {
            let bundle = self.dir.path().join("bundle").display().to_string();
            let mut calls = self.shim.connect().await.unwrap().unwrap();
            let refusal = calls.call("Create", &Create { id: "one".to_owned(), bundle }).await.unwrap();
            assert!(refusal.is_none(), "{refusal:?}");
        }

        async fn is_gone(&self) -> bool {
            self.shim.connect().await.unwrap().is_none()
        }
    }

    impl Drop for Orphan {
        fn drop(&mut self) {
            // What a failed test leaves.
            let runc = Path::new("/run/containerd/runc").join(Self::namespace(&self.dir));
            let _ = Command::new("runc").arg("--root").arg(&runc).args(["delete", "--force", "one"]).output();
            for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
                let line = fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
                if line.split('\0').any(|word| word == self.shim.namespace) {
                    let pid = process.file_name().to_string_lossy().parse().unwrap();
                    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL);
                }
            }
            let _ = fs::remove_dir(runc);
        }
    }

    #[tokio::test]
    async fn what_containerd_has_forgotten_goes() {
        let orphan = Orphan::start();
        orphan.create().await;
        orphan.shim.end("box").await.unwrap();
        assert!(!orphan.is_gone().await, "it has a container");
        orphan.shim.delete("another").await.unwrap();
        orphan.shim.delete("one").await.unwrap();
        orphan.shim.delete("one").await.unwrap();
        orphan.shim.end("box").await.unwrap();
        let gone = async {
            while !orphan.is_gone().await {
                sleep(PAUSE).await;
            }
        };
        timeout(PATIENCE, gone).await.expect("it ends");
        orphan.shim.end("box").await.unwrap();
        orphan.shim.delete("one").await.unwrap();
    }
}
