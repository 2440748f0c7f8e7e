//! From a request to an answer.

use ecs_common::ids::uuid;
use gantry_sdk::dialect::http::header::CONTENT_TYPE;
use gantry_sdk::dialect::http::{HeaderValue, Request, Response, StatusCode};
use gantry_sdk::dialect::{Call, Caller};
use gantry_sdk::{Config, Dialect, Value, json, serde_json};

use crate::fault::{Fault, Result};
use crate::operations::{self, Context};
use crate::options::Options;
use crate::{credentials, facts, metadata, signature};

const TARGET: &str = "x-amz-target";
const PREFIX: &str = "AmazonEC2ContainerServiceV20141113.";
const JSON: &str = "application/x-amz-json-1.1";
const REQUEST_ID: &str = "x-amzn-requestid";

/// The dialect.
#[derive(Default)]
pub struct Ecs {
    options: Options,
}

impl Dialect for Ecs {
    fn configure(&mut self, config: Config) -> gantry_sdk::Result<()> {
        self.options = Options::parse(&config)?;
        Ok(())
    }

    fn handle(&mut self, call: &Call, request: Request<Vec<u8>>) -> Response<Vec<u8>> {
        // Whoever comes by way of a node is a container, whatever it asks.
        match Caller::of(&request) {
            Ok(None) => {}
            Ok(Some(caller)) => return metadata::handle(&self.options, call, &caller, &request),
            Err(error) => return answered(StatusCode::INTERNAL_SERVER_ERROR, JSON, &json!(error.message)),
        }
        let (status, body) = match self.answer(call, &request) {
            Ok(answer) => (StatusCode::OK, answer),
            Err(fault) => (fault.status, json!({"__type": fault.code, "message": fault.message})),
        };
        let mut response = answered(status, JSON, &body);
        if let Ok(id) = HeaderValue::from_str(&uuid(&call.id)) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    }
}

/// An answer of this type.
pub fn answered(status: StatusCode, content: &'static str, body: &Value) -> Response<Vec<u8>> {
    let mut response = Response::new(body.to_string().into_bytes());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content));
    response
}

impl Ecs {
    fn answer(&self, call: &Call, request: &Request<Vec<u8>>) -> Result<Value> {
        let claim = signature::claim(request)?;
        let secret = credentials::secret_key(&self.options, claim.key)?;
        let unknown =
            || Fault::new("UnrecognizedClientException", "The security token included in the request is invalid.");
        signature::verify(&claim, request, &secret.ok_or_else(unknown)?, &self.options.region, call.now_ms)?;
        let target = request.headers().get(TARGET).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let operation = target.strip_prefix(PREFIX).filter(|name| facts::is_operation(name));
        let operation = operation.ok_or_else(|| Fault::new("UnknownOperationException", ""))?;
        let mut body = read(request.body())?;
        facts::check(operation, &body)?;
        strip(&mut body);
        let context = Context { options: &self.options, call, caller: self.options.caller_arn(claim.key) };
        let answer = operations::run(operation, &context, &body);
        context.audit(operation, answer.as_ref().err());
        answer
    }
}

fn read(body: &[u8]) -> Result<Value> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(body).map_err(|error| Fault::new("SerializationException", error.to_string()))
}

/// Takes members out that are null: they say nothing, and nobody after this has to know.
fn strip(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, value| !value.is_null());
            members.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}
