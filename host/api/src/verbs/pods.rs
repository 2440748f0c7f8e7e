//! What only Pods and Namespaces have: logs, processes, binding, eviction, finalization.

use std::sync::Arc;

use axum::body::Body;
use futures::StreamExt;
use gantry_model::status::Cause;
use gantry_model::{Kind, Record, Status};
use gantry_objects::{Binding, Patch};
use http::StatusCode;
use http::request::Parts;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::delete::{options_of, success};
use super::write::expect_type;
use super::{Call, no_such_path};
use crate::remote;
use crate::streams::{ExecRequest, LogRequest};
use crate::wire::body::{self, Media};
use crate::wire::query::invalid_option;
use crate::wire::reply::{self, Response};

const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

impl Call<'_> {
    fn pod(&self) -> Result<Arc<Record>, Status> {
        let kind = self.app.objects.kinds().by_resource("", "v1", "pods").ok_or_else(no_such_path)?;
        self.app.objects.get(&kind, &self.target.namespace, &self.target.name)
    }

    pub(crate) async fn pod_log(&self) -> Result<Response, Status> {
        let pod = self.pod()?.value();
        let query = self.query;
        let mut request = LogRequest {
            node: String::new(),
            namespace: self.target.namespace.to_string(),
            pod: self.target.name.to_string(),
            container: container(&pod, query.get("container"))?,
            follow: query.flag("follow")?,
            previous: query.flag("previous")?,
            tail_lines: query.number("tailLines")?,
            since_seconds: query.number("sinceSeconds")?,
            since_time: query.get("sinceTime").map(time).transpose()?,
            timestamps: query.flag("timestamps")?,
            limit_bytes: query.number("limitBytes")?,
        };
        if request.since_seconds.is_some() && request.since_time.is_some() {
            let detail = "at most one of sinceTime or sinceSeconds may be specified";
            return Err(invalid_option(Cause::forbidden("sinceSeconds", detail)));
        }
        request.node = assigned(&pod)?;
        let lines = self.app.streams.logs(request).await?;
        let lines = lines.take_until(self.app.stop.clone().cancelled_owned());
        Ok(reply::stream(reply::TEXT, Body::from_stream(lines)))
    }

    pub(crate) async fn pod_exec(&self, head: Parts, body: Incoming) -> Result<Response, Status> {
        let pod = self.pod()?.value();
        let query = self.query;
        // A terminal has one output.
        let tty = query.flag("tty")?;
        let mut request = ExecRequest {
            node: String::new(),
            namespace: self.target.namespace.to_string(),
            pod: self.target.name.to_string(),
            container: container(&pod, query.get("container"))?,
            command: query.all("command"),
            stdin: query.flag("stdin")?,
            stdout: query.flag("stdout")?,
            stderr: query.flag("stderr")? && !tty,
            tty,
        };
        let attach = self.target.subresource == "attach";
        if !attach && request.command.is_empty() {
            return Err(Status::bad_request("you must specify at least one command for the container"));
        }
        if !(request.stdin || request.stdout || request.stderr) {
            return Err(Status::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
        }
        request.node = assigned(&pod)?;
        remote::answer(self.app, request, attach, head, body).await
    }

    /// Puts a pod on a node, once.
    pub(crate) async fn pod_bind(&self, head: &Parts, body: Incoming) -> Result<Response, Status> {
        let mut binding = body::object(Media::of(&head.headers)?, &self.body(head, body).await?)?;
        expect_type(&mut binding, "v1", "Binding")?;
        let node = binding.pointer("/target/name").and_then(Value::as_str).unwrap_or_default();
        let target = binding.pointer("/target/kind").and_then(Value::as_str).unwrap_or("Node");
        if node.is_empty() || target != "Node" {
            let cause = Cause::required("target.name", "a binding names a Node");
            return Err(Status::invalid("", "Binding", &self.target.name, vec![cause]));
        }
        let uid = binding.pointer("/metadata/uid").and_then(Value::as_str).filter(|uid| !uid.is_empty());
        let (namespace, name) = (&*self.target.namespace, &*self.target.name);
        let (user, dry_run) = (Some(self.user.identity()), self.query.dry_run()?);
        let binding = Binding { namespace, name, uid, revision: None, node, user, dry_run };
        self.app.objects.bind(&binding).await?;
        Ok(reply::value(StatusCode::CREATED, &success(json!({}))))
    }

    /// Deletes a pod the polite way.
    pub(crate) async fn pod_evict(&self, kind: &Arc<Kind>, head: &Parts, body: Incoming) -> Result<Response, Status> {
        let mut eviction = body::object(Media::of(&head.headers)?, &self.body(head, body).await?)?;
        expect_type(&mut eviction, "policy/v1", "Eviction")?;
        let mut options = match eviction.get("deleteOptions") {
            Some(options) if !options.is_null() => options_of(options)?,
            _ => Default::default(),
        };
        options.dry_run |= self.query.dry_run()?;
        options.user = Some(self.user.identity().clone());
        self.app.objects.delete(kind, &self.target.namespace, &self.target.name, &options).await?;
        Ok(reply::value(StatusCode::CREATED, &success(json!({}))))
    }

    /// Sets the finalizers of a Namespace, which its deletion waits for.
    pub(crate) async fn finalize(&self, kind: &Arc<Kind>, head: &Parts, body: Incoming) -> Result<Response, Status> {
        let form = super::read::accepted(&head.headers)?;
        let mut namespace = body::object(Media::of(&head.headers)?, &self.body(head, body).await?)?;
        expect_type(&mut namespace, "v1", "Namespace")?;
        let finalizers = namespace.pointer("/spec/finalizers").cloned().unwrap_or_else(|| json!([]));
        let options = self.write_options(head)?;
        let patch = Patch::Merge(json!({ "spec": { "finalizers": finalizers } }));
        let written = self.app.objects.patch(kind, "", &self.target.name, patch, &options).await?;
        self.show(kind, &written.record, form, StatusCode::OK)
    }
}

/// The container that a request means.
fn container(pod: &Value, asked: Option<&str>) -> Result<String, Status> {
    let name = pod.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let names = |list: &str| -> Vec<String> {
        let containers = pod.pointer(list).and_then(Value::as_array).into_iter().flatten();
        containers.filter_map(|c| c.get("name").and_then(Value::as_str)).map(str::to_owned).collect()
    };
    let (main, init) = (names("/spec/containers"), names("/spec/initContainers"));
    if let Some(asked) = asked {
        return match main.iter().chain(&init).any(|c| c == asked) {
            true => Ok(asked.to_owned()),
            false => Err(Status::bad_request(format!("container {asked} is not valid for pod {name}"))),
        };
    }
    let chosen = pod.pointer("/metadata/annotations").and_then(|a| a.get(DEFAULT_CONTAINER)).and_then(Value::as_str);
    match (chosen, main.as_slice()) {
        (Some(chosen), _) if main.iter().any(|c| c == chosen) => Ok(chosen.to_owned()),
        (_, [only]) => Ok(only.clone()),
        _ => {
            let list = main.join(" ");
            let message = format!("a container name must be specified for pod {name}, choose one of: [{list}]");
            Err(Status::bad_request(message))
        }
    }
}

/// The node of a pod.
fn assigned(pod: &Value) -> Result<String, Status> {
    let node = pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default();
    if node.is_empty() {
        let name = pod.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        return Err(Status::bad_request(format!("pod {name} does not have a host assigned")));
    }
    Ok(node.to_owned())
}

fn time(text: &str) -> Result<String, Status> {
    match text.parse::<jiff::Timestamp>() {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(Status::bad_request(format!("query parameter sinceTime={text:?} is not an RFC 3339 time"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_container_is_named_chosen_or_the_only_one() {
        let one = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}]}});
        let two = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}, {"name": "b"}], "initContainers": [{"name": "i"}]}});
        let mut marked = two.clone();
        marked["metadata"]["annotations"] = json!({DEFAULT_CONTAINER: "b"});
        assert_eq!(container(&one, None).unwrap(), "a");
        assert_eq!(container(&two, Some("i")).unwrap(), "i");
        assert_eq!(container(&marked, None).unwrap(), "b");
        assert!(container(&two, None).unwrap_err().message.contains("[a b]"));
        assert!(container(&two, Some("x")).is_err());
    }
}
