//! A dialect that says back what it hears, or fails, as the path has it.

use std::sync::Arc;

use bytes::Bytes;
use gantry_api::dialect::{Dialect, Failure, Mounts};
use http::request::Parts;
use http::{Request, Response, StatusCode};

struct Parrot;

#[async_trait::async_trait]
impl Dialect for Parrot {
    fn name(&self) -> &str {
        "parrot"
    }

    fn matches(&self, head: &Parts) -> bool {
        head.headers.contains_key("x-parrot")
    }

    async fn answer(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Failure> {
        let mut response = Response::new(request.body().clone());
        match request.uri().path() {
            "/fault" => return Err(Failure::Fault("trapped: a secret".to_owned())),
            "/away" => return Err(Failure::Away("halted".to_owned())),
            "/stranger" => *response.status_mut() = StatusCode::FORBIDDEN,
            "/slow" => tokio::time::sleep(std::time::Duration::from_secs(2)).await,
            "/wait" => tokio::time::sleep(std::time::Duration::from_millis(300)).await,
            _ => {}
        }
        Ok(response)
    }
}

pub fn parrot() -> Arc<dyn Dialect> {
    Arc::new(Parrot)
}

pub fn dialects() -> Mounts {
    let mounts = Mounts::default();
    mounts.set([parrot()]);
    mounts
}
