//! Lines for the host's log, and panics that say where.

use std::sync::Once;

use crate::host;

pub use crate::contract::platform::gantry::plugin::log::Level;

/// Writes one line; the macros `error!` to `trace!` call it with the place in the source.
pub fn write(level: Level, target: &str, message: &str) {
    host::log(level, target, message);
}

/// Makes panics log their place and message before the trap, which itself says neither. Called at the first call into
/// the plugin.
#[cfg_attr(not(target_arch = "wasm32"), allow(dead_code))]
pub(crate) fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            let place = info.location().map(|l| format!("{}:{}:{}", l.file(), l.line(), l.column()));
            let message = info.payload_as_str().unwrap_or("(no message)");
            write(Level::Error, place.as_deref().unwrap_or_default(), &format!("panicked: {message}"));
        }));
    });
}

/// Logs at a level: `log!(Level::Info, "{n} pods")`.
#[macro_export]
macro_rules! log {
    ($level:expr, $($arg:tt)+) => {
        $crate::logging::write($level, concat!(file!(), ":", line!()), &format!($($arg)+))
    };
}

/// Something failed that a person should look at.
#[macro_export]
macro_rules! error {
    ($($arg:tt)+) => { $crate::log!($crate::Level::Error, $($arg)+) };
}

/// Something is odd but dealt with.
#[macro_export]
macro_rules! warn {
    ($($arg:tt)+) => { $crate::log!($crate::Level::Warn, $($arg)+) };
}

/// Worth knowing in normal running.
#[macro_export]
macro_rules! info {
    ($($arg:tt)+) => { $crate::log!($crate::Level::Info, $($arg)+) };
}

/// For somebody who looks for a fault.
#[macro_export]
macro_rules! debug {
    ($($arg:tt)+) => { $crate::log!($crate::Level::Debug, $($arg)+) };
}

/// Every step.
#[macro_export]
macro_rules! trace {
    ($($arg:tt)+) => { $crate::log!($crate::Level::Trace, $($arg)+) };
}
