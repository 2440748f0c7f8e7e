//! Requests of the API as messages, and back.

use gantry_api::{ExecRequest, LogRequest};
use gantry_model::Status;

use crate::wire::{Exec, Log};

impl From<LogRequest> for Log {
    fn from(request: LogRequest) -> Self {
        Self {
            namespace: request.namespace,
            pod: request.pod,
            container: request.container,
            follow: request.follow,
            previous: request.previous,
            tail_lines: request.tail_lines,
            since_seconds: request.since_seconds,
            since_time: request.since_time,
            timestamps: request.timestamps,
            limit_bytes: request.limit_bytes,
        }
    }
}

impl Log {
    pub(crate) fn request(self, node: &str) -> LogRequest {
        LogRequest {
            node: node.to_owned(),
            namespace: self.namespace,
            pod: self.pod,
            container: self.container,
            follow: self.follow,
            previous: self.previous,
            tail_lines: self.tail_lines,
            since_seconds: self.since_seconds,
            since_time: self.since_time,
            timestamps: self.timestamps,
            limit_bytes: self.limit_bytes,
        }
    }
}

impl From<ExecRequest> for Exec {
    fn from(request: ExecRequest) -> Self {
        Self {
            namespace: request.namespace,
            pod: request.pod,
            container: request.container,
            command: request.command,
            stdin: request.stdin,
            stdout: request.stdout,
            stderr: request.stderr,
            tty: request.tty,
        }
    }
}

impl Exec {
    pub(crate) fn request(self, node: &str) -> ExecRequest {
        ExecRequest {
            node: node.to_owned(),
            namespace: self.namespace,
            pod: self.pod,
            container: self.container,
            command: self.command,
            stdin: self.stdin,
            stdout: self.stdout,
            stderr: self.stderr,
            tty: self.tty,
        }
    }
}

/// A `Status` as it goes over the wire.
pub(crate) fn status_to_wire(status: &Status) -> Vec<u8> {
    status.to_json().to_string().into_bytes()
}

/// A `Status` that came over the wire.
pub(crate) fn status_from_wire(bytes: &[u8]) -> Status {
    let value = serde_json::from_slice(bytes).unwrap_or_default();
    Status::from_json(&value)
}
