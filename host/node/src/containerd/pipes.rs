//! Named pipes between the shim and the agent.
//!
//! The shim holds both ends of a process's pipes open while it runs, so an agent that restarts finds in them what was
//! written meanwhile, and a process only waits once a pipe is full.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tokio::net::unix::pipe;

/// What a pipe holds before its writer waits: the most that Linux gives by default. Taken only as it fills.
const ROOM: i32 = 1024 * 1024;

/// The pipes of one process.
#[derive(Clone, Debug)]
pub struct Pipes {
    dir: PathBuf,
    stdin: bool,
    tty: bool,
}

impl Pipes {
    /// Makes those that are missing. A terminal has no standard error of its own.
    pub fn make(dir: &Path, stdin: bool, tty: bool) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let pipes = Self { dir: dir.to_owned(), stdin, tty };
        for path in [pipes.stdin(), Some(pipes.stdout()), pipes.stderr()].into_iter().flatten() {
            match mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR) {
                Ok(()) | Err(nix::Error::EEXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(pipes)
    }

    pub fn stdin(&self) -> Option<PathBuf> {
        self.stdin.then(|| self.dir.join("stdin"))
    }

    pub fn stdout(&self) -> PathBuf {
        self.dir.join("stdout")
    }

    pub fn stderr(&self) -> Option<PathBuf> {
        (!self.tty).then(|| self.dir.join("stderr"))
    }

    /// The reading ends of both outputs. They end once the shim has closed them, never before it opened them.
    pub fn outputs(&self) -> io::Result<(pipe::Receiver, Option<pipe::Receiver>)> {
        let stderr = self.stderr().map(|path| reader(&path)).transpose()?;
        Ok((reader(&self.stdout())?, stderr))
    }

    /// The writing end of standard input. It can be opened before the shim has the other end.
    pub fn input(&self) -> io::Result<Option<pipe::Sender>> {
        self.stdin().map(|path| pipe::OpenOptions::new().read_write(true).open_sender(path)).transpose()
    }

    /// As containerd wants a path.
    pub fn text(path: Option<PathBuf>) -> String {
        path.map(|p| p.display().to_string()).unwrap_or_default()
    }

    /// Removes the pipes of processes whose agent ended. A shim that still waits for a reader of one gets it, or it would
    /// wait for ever.
    pub fn remove_left(parent: &Path) {
        for dir in fs::read_dir(parent).into_iter().flatten().flatten() {
            for name in ["stdout", "stderr"] {
                // Not there for a terminal.
                drop(pipe::OpenOptions::new().open_receiver(dir.path().join(name)));
            }
            Self::remove(&dir.path());
        }
    }

    /// Removes them and their folder.
    pub fn remove(dir: &Path) {
        if let Err(error) = fs::remove_dir_all(dir)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::debug!(dir = %dir.display(), %error, "pipes stay");
        }
    }
}

fn reader(path: &Path) -> io::Result<pipe::Receiver> {
    let receiver = pipe::OpenOptions::new().open_receiver(path)?;
    // A machine may allow less; then the process waits earlier.
    if let Err(error) = fcntl(&receiver, FcntlArg::F_SETPIPE_SZ(ROOM)) {
        tracing::debug!(%error, "a pipe keeps its size");
    }
    Ok(receiver)
}
