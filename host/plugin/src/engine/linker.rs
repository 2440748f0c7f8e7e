//! What is behind a component's imports.

use wasmtime::component::{HasSelf, Linker};
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings as wasi;
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView};
use wasmtime_wasi_http::p2::bindings::http;
use wasmtime_wasi_http::{WasiHttp, WasiHttpView};

use crate::bindings::plans::gantry::plugin as plans;
use crate::bindings::platform::gantry::plugin as wit;
use crate::grants::Effective;
use crate::host::Host;
use crate::manifest::Family;

/// What of the host is linked for one plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    pub objects: bool,
    pub sockets: bool,
    pub http: bool,
    /// The types of requests and answers, without a way to send any.
    pub http_types: bool,
}

impl Reach {
    /// `objects` belongs to the worlds of controllers and admission; others get it with their first grant of a kind.
    pub(super) fn new(families: &std::collections::BTreeSet<Family>, grants: &Effective) -> Self {
        Self {
            objects: families.iter().any(|f| matches!(f, Family::Controller | Family::Admission | Family::Api))
                || grants.any_object(),
            sockets: grants.wasi().iter().any(|w| w == "sockets"),
            http: grants.asks_http(),
            http_types: families.contains(&Family::Api),
        }
    }

    /// Why an import has nothing behind it; `None` when it has.
    pub(super) fn refusal(self, import: &str) -> Option<&'static str> {
        const UNKNOWN: &str = "this host does not provide it";
        let Some((package, rest)) = import.split_once('/') else { return Some(UNKNOWN) };
        let (interface, version) = rest.split_once('@').unwrap_or((rest, ""));
        if package.starts_with("wasi:") && !version.starts_with("0.2.") {
            return Some("this host provides WASI 0.2");
        }
        match (package, interface) {
            ("gantry:plugin", "types" | "routing" | "plan" | "log" | "config") => None,
            ("gantry:plugin", "objects") if self.objects => None,
            ("gantry:plugin", "objects") => Some("neither its family nor the bundle grants objects"),
            ("wasi:cli" | "wasi:io" | "wasi:clocks" | "wasi:random" | "wasi:filesystem", _) => None,
            ("wasi:sockets", _) if self.sockets => None,
            ("wasi:sockets", _) => {
                Some("the manifest must ask for the WASI capability sockets and the bundle grant it")
            }
            ("wasi:http", "types") if self.http || self.http_types => None,
            ("wasi:http", "outgoing-handler") if self.http => None,
            ("wasi:http", "types" | "outgoing-handler") => {
                Some("the manifest must ask for HTTP and the bundle list the endpoints (grants.http)")
            }
            _ => Some(UNKNOWN),
        }
    }
}

/// A linker with just what a plugin may reach.
pub(super) fn linker(engine: &wasmtime::Engine, reach: Reach) -> wasmtime::Result<Linker<Host>> {
    let mut linker = Linker::new(engine);
    let l = &mut linker;
    wit::types::add_to_linker::<Host, HasSelf<Host>>(l, |host| host)?;
    plans::routing::add_to_linker::<Host, HasSelf<Host>>(l, |host| host)?;
    plans::plan::add_to_linker::<Host, HasSelf<Host>>(l, |host| host)?;
    wit::log::add_to_linker::<Host, HasSelf<Host>>(l, |host| host)?;
    wit::config::add_to_linker::<Host, HasSelf<Host>>(l, |host| host)?;
    if reach.objects {
        wit::objects::add_to_linker::<Host, HasSelf<Host>>(l, |host| host)?;
    }
    wasmtime_wasi::p2::add_to_linker_proxy_interfaces_async(l)?;
    wasi_rest(l)?;
    if reach.sockets {
        wasi_sockets(l)?;
    }
    if reach.http {
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(l)?;
    } else if reach.http_types {
        let options = wasmtime_wasi_http::p2::bindings::LinkOptions::default();
        http::types::add_to_linker::<Host, WasiHttp>(l, &options.into(), Host::http)?;
    }
    Ok(linker)
}

/// What components of common toolchains import beyond the proxy world: the environment is empty, no terminal is there,
/// and the filesystem has the granted directories only.
fn wasi_rest(l: &mut Linker<Host>) -> wasmtime::Result<()> {
    use wasi::{cli, filesystem, random};
    random::insecure::add_to_linker::<Host, wasmtime_wasi::random::WasiRandom>(l, random_ctx)?;
    random::insecure_seed::add_to_linker::<Host, wasmtime_wasi::random::WasiRandom>(l, random_ctx)?;
    cli::exit::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::environment::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::terminal_input::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::terminal_output::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::terminal_stdin::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::terminal_stdout::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::terminal_stderr::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    filesystem::preopens::add_to_linker::<Host, WasiFilesystem>(l, Host::filesystem)?;
    filesystem::types::add_to_linker::<Host, WasiFilesystem>(l, Host::filesystem)
}

fn wasi_sockets(l: &mut Linker<Host>) -> wasmtime::Result<()> {
    use wasi::sockets;
    sockets::tcp::add_to_linker::<Host, WasiSockets>(l, Host::sockets)?;
    sockets::udp::add_to_linker::<Host, WasiSockets>(l, Host::sockets)?;
    sockets::tcp_create_socket::add_to_linker::<Host, WasiSockets>(l, Host::sockets)?;
    sockets::udp_create_socket::add_to_linker::<Host, WasiSockets>(l, Host::sockets)?;
    sockets::instance_network::add_to_linker::<Host, WasiSockets>(l, Host::sockets)?;
    sockets::network::add_to_linker::<Host, WasiSockets>(l, &Default::default(), Host::sockets)?;
    sockets::ip_name_lookup::add_to_linker::<Host, WasiSockets>(l, Host::sockets)
}

fn random_ctx(host: &mut Host) -> &mut wasmtime_wasi::random::WasiRandomCtx {
    wasmtime_wasi::WasiView::ctx(host).ctx.random()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_by_name_and_says_why() {
        let none = Reach { objects: false, sockets: false, http: false, http_types: false };
        let all = Reach { objects: true, sockets: true, http: true, http_types: true };
        let table = [
            ("gantry:plugin/log@0.1.0", true, true),
            ("gantry:plugin/objects@0.1.0", false, true),
            ("gantry:plugin/secrets@0.1.0", false, false),
            ("wasi:io/streams@0.2.6", true, true),
            ("wasi:cli/environment@0.2.0", true, true),
            ("wasi:cli/environment@0.3.0", false, false),
            ("wasi:sockets/tcp@0.2.6", false, true),
            ("wasi:http/outgoing-handler@0.2.6", false, true),
            ("wasi:http/incoming-handler@0.2.6", false, false),
            ("wasi:http/types@0.2.12", false, true),
            ("do-it", false, false),
        ];
        for (import, without, with) in table {
            assert_eq!(none.refusal(import).is_none(), without, "{import}");
            assert_eq!(all.refusal(import).is_none(), with, "{import}");
        }
    }

    #[tokio::test]
    async fn links_without_a_clash() {
        let engine = wasmtime::Engine::default();
        for objects in [false, true] {
            linker(&engine, Reach { objects, sockets: objects, http: objects, http_types: true }).unwrap();
        }
    }
}
