//! The bundle's dialects, on the API's listener or on one of their own.

use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use gantry_api::dialect::{Dialect, Failure, Listener, Locals, Mounts, RESERVED, Socket};
use gantry_api::{Limits, Pki};
use gantry_plugin::bundle::Listen;
use gantry_plugin::{Api, Finding, Loaded, Route};
use http::request::Parts;
use http::{Request, Response};

/// Which requests a plugin wants, and where.
pub struct Mount {
    plugin: String,
    listen: Option<Listen>,
    routes: Vec<Route>,
    /// Where pods ask it.
    local: Vec<SocketAddrV4>,
}

impl Mount {
    /// Of a plugin that is a dialect.
    pub fn of(plugin: &Loaded) -> Option<Self> {
        plugin.api()?;
        let (listen, grants) = (plugin.entry().listen, plugin.grants());
        Some(Self { plugin: plugin.name().to_owned(), listen, routes: grants.routes(), local: grants.local() })
    }

    /// Why it can't be beside those that come before it.
    pub fn clash(&self, others: &[Self]) -> Option<String> {
        let theirs = |address: &SocketAddrV4| others.iter().find(|other| other.local.contains(address));
        if let Some((address, other)) = self.local.iter().find_map(|address| Some((address, theirs(address)?))) {
            return Some(format!("wants what pods ask at {address}, which is asked of {}", other.plugin));
        }
        if self.listen.is_none()
            && let Some(route) = self.routes.iter().find(|route| reserved(route))
        {
            return Some(format!("wants requests with {route}, which the resource API answers: give it a listener"));
        }
        let address = |mount: &Self| mount.listen.map(|listen| listen.address);
        for other in others.iter().filter(|other| address(other) == address(self)) {
            if self.listen != other.listen {
                return Some(format!(
                    "listens where {} does, and not in the same way: one of them says tls",
                    other.plugin
                ));
            }
            let both = |route: &&Route| other.routes.iter().any(|theirs| theirs.overlaps(route));
            if let Some(route) = self.routes.iter().find(both) {
                return Some(format!("wants requests with {route}, some of which are those of {}", other.plugin));
            }
        }
        None
    }
}

/// The path `/` alone is the API's too, but nobody asks it there with a header that means somebody else.
fn reserved(route: &Route) -> bool {
    RESERVED.iter().any(|path| route.overlaps(&Route::below(path)))
        || (!route.has_header() && route.overlaps(&Route::exact("/")))
}

/// Refuses a bundle in which two dialects want the same request.
pub fn check(loaded: &[Arc<Loaded>]) -> Result<()> {
    let mut mounts: Vec<Mount> = Vec::new();
    for mount in loaded.iter().filter_map(|plugin| Mount::of(plugin)) {
        let clash = mount.clash(&mounts);
        ensure!(clash.is_none(), "plugin {} {}", mount.plugin, clash.unwrap_or_default());
        mounts.push(mount);
    }
    Ok(())
}

/// Where pods ask the dialects of a bundle.
pub fn local(loaded: &[Arc<Loaded>]) -> Vec<SocketAddrV4> {
    loaded.iter().filter_map(|plugin| Mount::of(plugin)).flat_map(|mount| mount.local).collect()
}

/// What is mounted now.
pub struct Dialects {
    pki: Arc<Pki>,
    shared: Mounts,
    locals: Locals,
    own: Vec<(Listen, Mounts, Listener)>,
}

impl Dialects {
    /// Nothing yet. `locals` gets those that pods ask.
    pub fn new(pki: Arc<Pki>, locals: Locals) -> Self {
        Self { pki, shared: Mounts::default(), locals, own: Vec::new() }
    }

    /// For the API's listener.
    pub fn shared(&self) -> Mounts {
        self.shared.clone()
    }

    /// Mounts those of a bundle, and no others. Listeners that are there before and after go on. An error is of the first
    /// address that can't be had; all others are served.
    pub async fn follow(&mut self, loaded: &[Arc<Loaded>]) -> Result<()> {
        let all: Vec<(Option<Listen>, Arc<dyn Dialect>)> = loaded.iter().filter_map(Spoken::of).collect();
        let at = |place: Option<Listen>| all.iter().filter(move |(listen, _)| *listen == place).map(|(_, d)| d.clone());
        self.shared.set(at(None));
        self.locals.set(loaded.iter().filter_map(|plugin| Some((plugin.grants().local(), Spoken::of(plugin)?.1))));
        let mut wanted: Vec<Listen> = all.iter().filter_map(|(listen, _)| *listen).collect();
        wanted.dedup();
        let (kept, gone) = std::mem::take(&mut self.own).into_iter().partition(|(listen, ..)| wanted.contains(listen));
        self.own = kept;
        for (_, _, listener) in gone {
            listener.stop().await;
        }
        // What goes on must not be asked by the old rules while addresses are looked for.
        for (listen, mounts, _) in &self.own {
            mounts.set(at(Some(*listen)));
        }
        let mut outcome = Ok(());
        for listen in wanted {
            if self.own.iter().any(|(known, ..)| *known == listen) {
                continue;
            }
            match self.listen(listen).await {
                Ok(mounts) => mounts.set(at(Some(listen))),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome
    }

    async fn listen(&mut self, listen: Listen) -> Result<Mounts> {
        let tls = listen.tls.then(|| self.pki.tls()).transpose()?;
        let mounts = Mounts::default();
        let socket = Socket { address: listen.address, tls, limits: Limits::default() };
        let listener = Listener::start(socket, mounts.clone()).await.context("a dialect has no listener")?;
        let address: SocketAddr = listener.address();
        tracing::info!(%address, tls = listen.tls, "dialects are spoken here");
        self.own.push((listen, mounts.clone(), listener));
        Ok(mounts)
    }

    /// Stops their own listeners.
    pub async fn stop(self) {
        for (_, _, listener) in self.own {
            listener.stop().await;
        }
    }
}

/// A plugin behind the trait of the API.
struct Spoken {
    plugin: Arc<Loaded>,
    api: Arc<dyn Api>,
    routes: Vec<Route>,
}

impl Spoken {
    fn of(plugin: &Arc<Loaded>) -> Option<(Option<Listen>, Arc<dyn Dialect>)> {
        let spoken = Self { api: plugin.api()?, routes: plugin.grants().routes(), plugin: plugin.clone() };
        Some((plugin.entry().listen, Arc::new(spoken)))
    }
}

#[async_trait]
impl Dialect for Spoken {
    fn name(&self) -> &str {
        self.plugin.name()
    }

    fn matches(&self, head: &Parts) -> bool {
        self.routes.iter().any(|route| route.matches(head))
    }

    async fn answer(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Failure> {
        self.api.handle(request).await.map_err(|fault| match fault.finding {
            Finding::Unavailable(_) => Failure::Away(fault.to_string()),
            _ => Failure::Fault(fault.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(plugin: &str, listen: &str, routes: &str) -> Mount {
        #[derive(serde::Deserialize)]
        struct Text {
            listen: Option<Listen>,
            routes: Vec<Route>,
        }
        let text: Text = toml::from_str(&format!("{listen}\nroutes = [{routes}]")).unwrap();
        Mount { plugin: plugin.to_owned(), listen: text.listen, routes: text.routes, local: Vec::new() }
    }

    #[test]
    fn no_address_for_pods_is_for_two() {
        let of = |plugin: &str, local: &[&str]| Mount {
            local: local.iter().map(|address| address.parse().unwrap()).collect(),
            ..mount(plugin, "", "")
        };
        let first = of("first", &["169.254.170.2:80"]);
        let clash = of("second", &["169.254.1.1:80", "169.254.170.2:80"]).clash(std::slice::from_ref(&first));
        assert_eq!(clash.unwrap(), "wants what pods ask at 169.254.170.2:80, which is asked of first");
        assert!(of("second", &["169.254.170.2:81"]).clash(&[first]).is_none());
    }

    const ONE: &str = "{ path = \"/\", header = \"x-amz-target\", prefix = \"One.\" }";
    const TWO: &str = "{ path = \"/\", header = \"x-amz-target\", prefix = \"Two.\" }";
    const ALL: &str = "{ path-prefix = \"/\" }";
    const A: &str = "listen = { address = \"127.0.0.1:81\" }";
    const PLAIN: &str = "listen = { address = \"127.0.0.1:81\", tls = false }";
    const ANY: &str = "listen = { address = \"127.0.0.1:0\" }";
    const B: &str = "listen = { address = \"127.0.0.1:82\" }";

    #[test]
    fn no_request_is_for_two() {
        for (first, second, want) in [
            (("", ONE), ("", TWO), None),
            (("", ONE), ("", ONE), Some("some of which are those of first")),
            (("", ONE), (A, ONE), None),
            ((A, ALL), (B, ALL), None),
            ((A, ALL), (A, ONE), Some("some of which are those of first")),
            ((A, ONE), (PLAIN, TWO), Some("not in the same way")),
            ((ANY, ONE), (ANY, ALL), Some("some of which are those of first")),
        ] {
            let (one, two) = (mount("first", first.0, first.1), mount("second", second.0, second.1));
            let clash = two.clash(&[one]);
            assert_eq!(clash.is_some(), want.is_some(), "{first:?} {second:?}: {clash:?}");
            assert!(clash.unwrap_or_default().contains(want.unwrap_or_default()));
        }
    }

    #[test]
    fn what_the_resource_api_answers_stays_its_own() {
        for (routes, good) in [
            (ONE, true),
            ("{ path-prefix = \"/v1.41\" }", true),
            (ALL, false),
            ("{ path = \"/\" }", false),
            ("{ path-prefix = \"/api\" }", false),
            ("{ path-prefix = \"/apis/x\", header = \"x-mine\" }", false),
            ("{ path = \"/healthz\" }", false),
        ] {
            assert_eq!(mount("one", "", routes).clash(&[]).is_none(), good, "{routes}");
            assert!(mount("one", A, routes).clash(&[]).is_none(), "{routes} on its own listener");
        }
    }
}
