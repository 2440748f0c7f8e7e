//! The task metadata endpoint, version 4: what a container hears of its own task, over plain HTTP at an address of its node.
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html>
//!
//! Whose task it is the host says; the path only says which of its containers is meant. What nobody here knows is left out.

mod container;
mod stats;
mod task;
mod view;

use ecs_common::metadata;
use gantry_sdk::dialect::http::{Method, Request, Response, StatusCode};
use gantry_sdk::dialect::{Call, Caller};
use gantry_sdk::{Value, json};

use crate::dialect::answered;
use crate::fault::Fault;
use crate::object::Task;
use crate::operations::Context;
use crate::options::Options;
use view::View;

/// What is asked of a container, in the order of the words that its refusal has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    Container,
    Stats,
    Task,
    TaskWithTags,
    TaskStats,
}

const WISHES: [(&str, Wish); 5] = [
    ("", Wish::Container),
    ("/stats", Wish::Stats),
    ("/task", Wish::Task),
    ("/taskWithTags", Wish::TaskWithTags),
    ("/task/stats", Wish::TaskStats),
];

/// Why there is no answer: a code, and words, which are the whole answer as a JSON string.
type Refusal = (StatusCode, String);

/// Answers a pod.
pub fn handle(options: &Options, call: &Call, caller: &Caller, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
    let context = Context { options, call, caller: String::new() };
    match answer(&context, caller, request) {
        Ok(value) => answered(StatusCode::OK, "application/json", &value),
        Err((code, words)) => answered(code, "application/json", &json!(words)),
    }
}

fn answer(context: &Context<'_>, caller: &Caller, request: &Request<Vec<u8>>) -> Result<Value, Refusal> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here".to_owned()));
    }
    let path = request.uri().path();
    let rest = path.strip_prefix("/v4/").ok_or_else(|| nothing(path))?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (id, what) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let wish = WISHES.iter().find(|(path, _)| *path == what).map(|(_, wish)| *wish).ok_or_else(|| nothing(path))?;
    let view = find(context, caller, id).map_err(ours)?.ok_or_else(|| unknown(wish, id))?;
    match wish {
        Wish::Container => Ok(container::shown(&view, view.asks)),
        Wish::Stats => stats::of(&view).ok_or_else(|| {
            let id = view.runtime_id(view.asks).unwrap_or_default();
            (StatusCode::INTERNAL_SERVER_ERROR, format!("Unable to get container stats for: {id}"))
        }),
        Wish::Task => Ok(task::shown(&view, false)),
        Wish::TaskWithTags => Ok(task::shown(&view, true)),
        Wish::TaskStats => Ok(stats::all(&view)),
    }
}

/// The task of the pod that asks, if the id is one of its own.
fn find<'a>(context: &'a Context<'a>, caller: &'a Caller, id: &str) -> Result<Option<View<'a>>, Fault> {
    let own =
        metadata::parse(id).filter(|(task, _)| *task == caller.name && caller.namespace == context.options.namespace);
    let Some((name, asks)) = own else { return Ok(None) };
    let Some(task) = context.get::<Task>(name)? else { return Ok(None) };
    View::new(context, caller, task, asks)
}

fn nothing(path: &str) -> Refusal {
    (StatusCode::NOT_FOUND, format!("404 page not found: {path}"))
}

/// In ECS's words, by which its clients tell that they have the wrong address.
fn unknown(wish: Wish, id: &str) -> Refusal {
    let what = match wish {
        Wish::Container => {
            "V4 container metadata handler: unable to get container ID from request: unable to get docker ID"
        }
        Wish::Stats => "V4 container handler: unable to get task arn from request: unable to get task Arn",
        Wish::Task | Wish::TaskWithTags => {
            "V4 task metadata handler: unable to get task arn from request: unable to get task Arn"
        }
        Wish::TaskStats => "V4 task stats handler: unable to get task arn from request: unable to get task Arn",
    };
    (StatusCode::NOT_FOUND, format!("{what} from v3 endpoint ID: {id}"))
}

fn ours(fault: Fault) -> Refusal {
    (StatusCode::INTERNAL_SERVER_ERROR, fault.message)
}
