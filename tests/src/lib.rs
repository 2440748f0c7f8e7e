//! A control plane on this machine, for tests and for `cargo xtask up`: containerd, the host, kubectl.

pub mod case;
pub mod containerd;
pub mod dns;
pub mod fleet;
pub mod kubectl;
pub mod left;
pub mod manifests;
pub mod moto;
pub mod netns;
pub mod outside;
pub mod pair;
pub mod process;
pub mod stack;
pub mod suite;
pub mod traces;
pub mod traffic;
pub mod wait;
pub mod watch;

pub use case::Case;
pub use fleet::Fleet;
pub use kubectl::Kubectl;
pub use moto::Moto;
pub use outside::Outside;
pub use pair::Pair;
pub use process::Process;
pub use stack::Stack;
pub use suite::Suite;
pub use wait::wait_for;
pub use watch::Watch;
