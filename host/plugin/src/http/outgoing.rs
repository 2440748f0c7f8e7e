//! One instance's side of outgoing HTTP: what `wasi:http` asks the host for.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::Gate;
use super::fail::Failure;
use crate::bindings::platform::gantry::plugin::log::Level;
use crate::host::{Lines, Logger};
use crate::instance::Meter;

/// Left of a call's time for the guest to hear that a request failed, and to answer for it.
const RESERVE: Duration = Duration::from_millis(500);

type Answer = Result<(Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

/// The hooks of one instance.
pub(crate) struct Outgoing {
    gate: Option<Arc<Gate>>,
    /// Whether a call may have effects: a review may not.
    effects: bool,
    meter: Arc<Meter>,
    logger: Arc<Logger>,
    lines: Lines,
}

impl Outgoing {
    pub(crate) fn new(
        gate: Option<Arc<Gate>>,
        effects: bool,
        meter: Arc<Meter>,
        logger: Arc<Logger>,
        lines: Lines,
    ) -> Self {
        Self { gate, effects, meter, logger, lines }
    }
}

impl WasiHttpHooks for Outgoing {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        // A call that waits too long for the host is ended whatever it waits for, and its instance with it: a request is
        // given up before that, so that the guest can say what was wrong.
        let mut left = self.meter.left().saturating_sub(RESERVE);
        if let Some(asked) = options.and_then(|options| options.first_byte_timeout) {
            left = left.min(asked);
        }
        let (gate, effects) = (self.gate.clone(), self.effects);
        let (logger, lines) = (self.logger.clone(), self.lines.clone());
        Box::new(async move {
            let place = place(request.uri());
            match ask(gate, effects, request, left).await {
                Ok(answer) => Ok((answer.map(body), nothing_more())),
                Err(Failure { error, why, .. }) => {
                    logger.write(&lines, Level::Warn, "http", &format!("request to {place}: {why}"));
                    Err(error)
                }
            }
        })
    }
}

async fn ask(
    gate: Option<Arc<Gate>>,
    effects: bool,
    request: Request<WasiBody>,
    left: Duration,
) -> Result<Response<Bytes>, Failure> {
    match gate {
        None => Err(Failure::denied("the bundle grants no requests")),
        Some(gate) if !effects => Err(gate.deny("a review makes no requests")),
        Some(gate) => gate.ask(request, left).await,
    }
}

/// Without what may be secret: path, query, user.
fn place(uri: &Uri) -> String {
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", uri.scheme_str().unwrap_or("?"), uri.host().unwrap_or("?"))
}

fn body(bytes: Bytes) -> WasiBody {
    Full::new(bytes).map_err(Error::from).boxed_unsync()
}

/// The whole answer is there: no task has to go on for the rest of it.
fn nothing_more() -> Box<dyn Future<Output = Result<(), Error>> + Send> {
    Box::new(std::future::ready(Ok(())))
}
