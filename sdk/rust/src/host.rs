//! Where calls to the host go: to the imports in a component, to the thread's `testing::Host` in a native build. The
//! rest of the crate knows only these functions.

use crate::http::{Request, Response};
use crate::objects::{Event, Query, Write, Written};
use crate::{Error, Level, ObjectRef};

#[cfg(target_arch = "wasm32")]
mod imports {
    use super::{Error, Event, Level, ObjectRef, Query, Request, Response, Write, Written};
    use crate::contract::platform::gantry::plugin;

    pub fn config() -> String {
        plugin::config::get()
    }

    pub fn log(level: Level, target: &str, message: &str) {
        plugin::log::write(level, target, message);
    }

    pub fn get(target: &ObjectRef) -> Result<Vec<u8>, Error> {
        plugin::objects::get(target)
    }

    pub fn list(query: &Query) -> Result<Vec<u8>, Error> {
        plugin::objects::list(query)
    }

    pub fn apply(writes: &[Write]) -> Vec<Result<Written, Error>> {
        plugin::objects::apply(writes)
    }

    pub fn record_events(events: &[Event]) {
        plugin::objects::record_events(events);
    }

    pub fn http(request: &Request) -> Result<Response, Error> {
        crate::wasi_http::send(request)
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod imports {
    use super::{Error, Event, Level, ObjectRef, Query, Request, Response, Write, Written};
    use crate::testing::current;

    pub fn config() -> String {
        current(|host| host.config_text())
    }

    pub fn log(level: Level, target: &str, message: &str) {
        current(|host| host.log(level, target, message));
    }

    pub fn get(target: &ObjectRef) -> Result<Vec<u8>, Error> {
        current(|host| host.serve_get(target))
    }

    pub fn list(query: &Query) -> Result<Vec<u8>, Error> {
        current(|host| host.serve_list(query))
    }

    pub fn apply(writes: &[Write]) -> Vec<Result<Written, Error>> {
        current(|host| host.serve_apply(writes))
    }

    pub fn record_events(events: &[Event]) {
        current(|host| host.record(events));
    }

    pub fn http(request: &Request) -> Result<Response, Error> {
        current(|host| host.serve_http(request))
    }
}

pub use imports::*;
