//! Dialects: a pool of instances, each of which answers one request at a time.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime::component::InstancePre;
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyIndices};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use super::described::{Describe, Described};
use crate::bindings::api::{ApiPlugin, ApiPluginIndices};
use crate::family::{Api, Call, Error};
use crate::grants::Effective;
use crate::host::Host;
use crate::instance::{Recipe, Slot, World, call, unavailable};

/// The interface that a dialect may leave out.
const CONFIGURED: &str = "gantry:plugin/api@0.1.0";
/// Bytes of an answer's body.
const ANSWER: usize = 16 << 20;
/// For what of an answer is still on its way when the guest has returned; it is in memory by then.
const REST: Duration = Duration::from_secs(1);

/// `api-plugin`, and `wasi:http/incoming-handler` beside it.
pub(crate) struct ApiWorld;

/// Where an instance's exports are.
pub(crate) struct ApiPre {
    pre: InstancePre<Host>,
    configure: Option<ApiPluginIndices>,
    handler: ProxyIndices,
}

/// An instance's exports.
pub(crate) struct ApiExports {
    configure: Option<ApiPlugin>,
    handler: Proxy,
}

impl World for ApiWorld {
    type Pre = ApiPre;
    type Exports = ApiExports;
    const WRITES: bool = true;

    fn pre(pre: InstancePre<Host>) -> wasmtime::Result<ApiPre> {
        let configured = pre.component().get_export_index(None, CONFIGURED).is_some();
        let configure = if configured { Some(ApiPluginIndices::new(&pre)?) } else { None };
        Ok(ApiPre { configure, handler: ProxyIndices::new(&pre)?, pre })
    }

    async fn instantiate(pre: &ApiPre, store: &mut Store<Host>) -> wasmtime::Result<ApiExports> {
        let instance = pre.pre.instantiate_async(&mut *store).await?;
        let configure = pre.configure.as_ref().map(|indices| indices.load(&mut *store, &instance)).transpose()?;
        Ok(ApiExports { configure, handler: pre.handler.load(&mut *store, &instance)? })
    }
}

impl Describe for ApiWorld {
    type Description = ();
    const NAME: &'static str = "api.configure";
    const WHAT: &'static str = "requests";

    async fn describe(slot: &mut Slot<Self>) -> Call<Result<(), Error>> {
        let config = slot.plugin().config.clone();
        call!(slot, Self::NAME, |exports, store| async {
            match &exports.configure {
                Some(configure) => configure.gantry_plugin_api().call_configure(store, &config).await,
                None => Ok(Ok(())),
            }
        })
    }

    fn check((): &(), _: &Effective) -> Result<(), Error> {
        Ok(())
    }

    fn same((): &(), (): &()) -> bool {
        true
    }
}

pub(crate) struct ApiPool {
    pool: Described<ApiWorld>,
}

impl ApiPool {
    pub(crate) fn new(recipe: Arc<Recipe<ApiWorld>>, instances: u32) -> Self {
        Self { pool: Described::new(recipe, instances) }
    }
}

#[async_trait]
impl Api for ApiPool {
    async fn configure(&self) -> Call<Result<(), Error>> {
        self.pool.description().await
    }

    async fn handle(&self, mut request: Request<Bytes>) -> Call<Response<Bytes>> {
        const NAME: &str = "api.handle";
        let mut loan = self.pool.take(NAME).await?;
        let Some(slot) = &mut loan.slot else { return Err(unavailable(self.pool.plugin(), NAME, "it has no slot")) };
        slot.plugin().health.moved_in(request.body().len());
        if request.uri().authority().is_none() {
            // The interface wants to know a host's name, which HTTP/1.0 need not say.
            let host = request.headers_mut().entry(header::HOST).or_insert(HeaderValue::from_static("localhost"));
            // Not the plugin's fault, so it must not be called with it.
            if host.to_str().is_err() {
                let mut refused = Response::new(Bytes::from_static(b"the Host header is no text\n"));
                *refused.status_mut() = StatusCode::BAD_REQUEST;
                return Ok(refused);
            }
        }
        match answered(slot, NAME, request).await? {
            Ok(response) => {
                slot.plugin().health.moved_out(response.body().len());
                Ok(response)
            }
            Err(what) => Err(slot.nonsense(NAME, what)),
        }
    }
}

/// Calls the guest, and takes its answer out of its hands meanwhile: it writes a body only as fast as somebody reads it.
async fn answered(
    slot: &mut Slot<ApiWorld>,
    name: &'static str,
    request: Request<Bytes>,
) -> Call<Result<Response<Bytes>, String>> {
    let (sender, receiver) = oneshot::channel();
    let mut reading = pin!(whole(receiver));
    let mut early = None;
    let called = {
        let mut calling = pin!(async {
            call!(slot, name, |exports, store| async {
                let request = request
                    .map(|body| Full::new(body).map_err(|never| -> wasmtime_wasi_http::Error { match never {} }));
                let mut http = store.data_mut().http();
                let request = http.new_incoming_request(Scheme::Http, request)?;
                let answer = http.new_response_outparam(sender)?;
                exports.handler.wasi_http_incoming_handler().call_handle(store, request, answer).await
            })
        });
        loop {
            tokio::select! {
                biased;
                answer = &mut reading, if early.is_none() => early = Some(answer),
                called = &mut calling => break called,
            }
        }
    };
    called?;
    // A guest that keeps its answer, or the end of it, must not keep the caller.
    Ok(match early {
        Some(answer) => answer,
        None => {
            tokio::time::timeout(REST, reading).await.unwrap_or_else(|_| Err("an answer without an end".to_owned()))
        }
    })
}

type Given = Result<Response<HyperOutgoingBody>, ErrorCode>;

async fn whole(receiver: oneshot::Receiver<Given>) -> Result<Response<Bytes>, String> {
    let response = match receiver.await {
        Ok(Ok(response)) => response,
        Ok(Err(code)) => return Err(format!("an error instead of an answer: {code:?}")),
        Err(_) => return Err("no answer".to_owned()),
    };
    let (head, body) = response.into_parts();
    match Limited::new(body, ANSWER).collect().await {
        Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
        Err(error) => Err(format!("an answer whose body has no good end, or more than {ANSWER} bytes: {error}")),
    }
}
