//! What a running instance sees of the host: its log, its configuration, the objects and the HTTP endpoints it is granted,
//! and a WASI with nothing behind it.

mod limits;
mod log;
mod objects;

use std::path::PathBuf;
use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

pub(crate) use limits::Limits;
pub(crate) use log::{Lines, Logger};

use crate::bindings::plans::gantry::plugin as plans;
use crate::bindings::platform::gantry::plugin as wit;
use crate::family::Objects;
use crate::grants::Effective;
use crate::http::{Gate, Outgoing};
use crate::instance::{Health, Meter};

/// What all instances of a plugin have in common.
pub(crate) struct Plugin {
    pub name: String,
    pub version: String,
    /// JSON.
    pub config: String,
    pub grants: Effective,
    pub objects: Arc<dyn Objects>,
    /// Directories on the host by the name under which the guest sees them.
    pub directories: Vec<(String, PathBuf)>,
    pub sockets: bool,
    /// The way out for HTTP, if it is granted any.
    pub http: Option<Arc<Gate>>,
    /// Bytes that one instance may have.
    pub memory: u64,
    pub deadline: std::time::Duration,
    /// Of the engine's clock.
    pub tick: std::time::Duration,
    pub logger: Arc<Logger>,
    pub health: Health,
}

/// The data of one store.
pub(crate) struct Host {
    pub plugin: Arc<Plugin>,
    pub limits: Limits,
    pub lines: Lines,
    pub meter: Arc<Meter>,
    /// Whether it may have effects at all (write objects, make requests): a review may not, whatever its plugin is granted.
    pub writes: bool,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outgoing: Outgoing,
    table: ResourceTable,
}

impl Host {
    pub(crate) fn new(plugin: Arc<Plugin>, writes: bool) -> wasmtime::Result<Self> {
        let lines = Lines::default();
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(plugin.logger.stream(lines.clone(), "stdout"));
        wasi.stderr(plugin.logger.stream(lines.clone(), "stderr"));
        for (name, path) in &plugin.directories {
            wasi.preopened_dir(path, format!("/{name}"), FsPerms::ReadWrite)?;
        }
        // The defaults of the protocols are wasmtime's to change; these are ours.
        wasi.allow_tcp(plugin.sockets).allow_udp(plugin.sockets).allow_ip_name_lookup(plugin.sockets);
        if plugin.sockets {
            wasi.inherit_network();
        }
        let meter = Arc::new(Meter::new(plugin.deadline, plugin.tick));
        let outgoing = Outgoing::new(plugin.http.clone(), writes, meter.clone(), plugin.logger.clone(), lines.clone());
        Ok(Self {
            limits: Limits::new(plugin.memory),
            lines,
            writes,
            meter,
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            outgoing,
            table: ResourceTable::new(),
            plugin,
        })
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Host {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.outgoing, table: &mut self.table, ctx: &mut self.http }
    }
}

impl wit::types::Host for Host {}
impl plans::routing::Host for Host {}
impl plans::plan::Host for Host {}

impl wit::config::Host for Host {
    fn get(&mut self) -> wasmtime::Result<String> {
        Ok(self.plugin.config.clone())
    }
}

impl wit::log::Host for Host {
    fn write(&mut self, level: wit::log::Level, target: String, message: String) -> wasmtime::Result<()> {
        self.plugin.logger.write(&self.lines, level, &target, &message);
        Ok(())
    }
}
