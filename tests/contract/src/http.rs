//! The world at the other end of HTTP: a server on loopback that answers with what the thread's `testing::Host` says. So a
//! component makes real requests, through the grants and bounds of the real engine, and meets the same transport as the
//! native plugin.

use std::convert::Infallible;
use std::net::TcpListener;

use anyhow::Result;
use gantry_sdk::http::{Request, Response};
use gantry_sdk::testing::Host;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::runtime::Runtime;

/// Serves while the runtime runs something, on the thread that does. Gives the endpoint.
pub(crate) fn serve(runtime: &Runtime) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let _inside = runtime.enter();
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let base = endpoint.clone();
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let base = base.clone();
            let service = service_fn(move |request| answer(request, base.clone()));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok(endpoint)
}

async fn answer(request: hyper::Request<Incoming>, base: String) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut asked = Request::new(parts.method.as_str(), format!("{base}{path}"));
    for (name, value) in &parts.headers {
        asked = asked.header(name.as_str(), String::from_utf8_lossy(value.as_bytes()));
    }
    asked.body = body.collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
    let Response { status, headers, body } = match Host::of_thread().serve_http(&asked) {
        Ok(answer) => answer,
        Err(error) => Response::new(500, error.to_string()),
    };
    let mut answer = hyper::Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(name, value);
    }
    Ok(answer.body(Full::from(body)).expect("the transport's answer can be sent"))
}
