//! What the host finds out about a plugin: never an answer of the plugin itself.

/// A call that gave no answer. Marks the plugin, not the object: the input is tried again, with backoff.
#[derive(Clone, Debug, thiserror::Error)]
#[error("plugin {plugin} {version}: {call}: {finding}")]
pub struct Fault {
    /// The plugin's name.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// `scheduler.evaluate`
    pub call: String,
    /// What happened.
    pub finding: Finding,
}

/// How a call ended without an answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Finding {
    /// The guest trapped (panic, unreachable, out of bounds). `backtrace` and `log` (its last lines) may be empty.
    #[error("trapped: {message}")]
    Trap {
        /// The trap and, where the guest could say it, the panic message.
        message: String,
        /// The WASM backtrace.
        backtrace: String,
        /// The plugin's last log lines.
        log: Vec<String>,
    },
    /// Its deadline passed.
    #[error("ran longer than its deadline of {0} ms")]
    Deadline(u64),
    /// It asked for more memory than its limit.
    #[error("needed more memory than its limit of {0} bytes")]
    Memory(u64),
    /// The answer has another shape than the contract says (a list of another length, an id never given out).
    #[error("answered against the contract: {0}")]
    Nonsense(String),
    /// It could not be instantiated, or is waiting after too many faults.
    #[error("is not available: {0}")]
    Unavailable(String),
}
