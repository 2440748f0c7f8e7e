//! The HTTP side of the Kubernetes API: who asks, what a path names, how bodies and answers look. What reading and
//! writing an object means is decided in `gantry-objects`; nothing here knows a kind beyond Pods, Namespaces and the
//! approval of CertificateSigningRequests.

mod access;
mod app;
pub mod auth;
pub mod dialect;
mod discovery;
mod impersonation;
mod openapi;
pub mod pki;
mod protobuf;
mod remote;
mod route;
pub mod server;
pub mod streams;
mod verbs;
mod wire;

pub use access::{Attributes, Authorizer, NODES, VIEWERS};
pub use auth::{Authenticator, Tokens, User};
pub use pki::Pki;
pub use server::{Handle, Limits, Options, Paths, Server, Tls};
pub use streams::{ExecRequest, ExecSession, LogRequest, Output, Streams};
