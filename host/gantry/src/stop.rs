//! When to stop, and when to read the bundle again.

use anyhow::Result;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ctrl-C or SIGTERM.
pub struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// Signals are caught from here on.
    pub fn new() -> Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Until one comes. May be dropped and called again.
    pub async fn wanted(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// SIGHUP.
pub struct Reload {
    hangup: Signal,
}

impl Reload {
    /// Signals are caught from here on.
    pub fn new() -> Result<Self> {
        Ok(Self { hangup: signal(SignalKind::hangup())? })
    }

    /// Until one comes. May be dropped and called again.
    pub async fn wanted(&mut self) {
        if self.hangup.recv().await.is_none() {
            std::future::pending().await
        }
    }
}
