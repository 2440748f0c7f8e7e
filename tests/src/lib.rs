//! A control plane on this machine, for tests and for `cargo xtask up`: containerd, the host, kubectl.

pub mod containerd;
pub mod kubectl;
pub mod process;
pub mod stack;
pub mod wait;

pub use kubectl::Kubectl;
pub use process::Process;
pub use stack::Stack;
pub use wait::wait_for;
