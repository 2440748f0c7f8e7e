use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::fault::{Fault, Verb};
use super::state::{self, State};
use crate::api::{Resource, Time};
use crate::http::{Request, Response};
use crate::objects::{Event, Propagation, Query, Write, Written, document};
use crate::{Error, KindRef, Level, ObjectRef, Result};

/// A line that the plugin logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its level.
    pub level: Level,
    /// The place in the source.
    pub target: String,
    /// The text.
    pub message: String,
}

/// What stands for the world at the other end of HTTP.
type Transport = Rc<dyn Fn(&Request) -> Result<Response>>;

#[derive(Default)]
struct Inner {
    state: State,
    config: Option<Value>,
    faults: Vec<Fault>,
    events: Vec<Event>,
    lines: Vec<Line>,
    writes: Vec<Write>,
    transport: Option<Transport>,
    requests: Vec<Request>,
}

/// The host of this thread. Clones are the same host.
#[derive(Clone, Default)]
pub struct Host(Rc<RefCell<Inner>>);

thread_local! {
    static CURRENT: RefCell<Host> = RefCell::default();
}

/// Calls the thread's host.
pub fn current<R>(call: impl FnOnce(&Host) -> R) -> R {
    call(&Host::of_thread())
}

impl Host {
    /// An empty host, which from now on is this thread's. Its clock stands at 2026-01-01.
    #[allow(clippy::new_without_default, reason = "`default` does not install the host")]
    pub fn new() -> Self {
        let host = Host::default();
        host.set_now(Time::parse("2026-01-01T00:00:00Z").expect("a valid time"));
        CURRENT.with(|current| current.replace(host.clone()));
        host
    }

    /// The host of this thread, as plugins see it.
    pub fn of_thread() -> Self {
        CURRENT.with(|current| current.borrow().clone())
    }

    /// The plugin's configuration.
    pub fn set_config(&self, config: Value) {
        self.0.borrow_mut().config = Some(config);
    }

    /// The clock, for creation and deletion times.
    pub fn now(&self) -> Time {
        self.0.borrow().state.now
    }

    /// Sets the clock.
    pub fn set_now(&self, now: Time) {
        self.0.borrow_mut().state.now = now;
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        self.set_now(self.now().after(by));
    }

    /// Stores an object as it is, status included, with whatever of its identity is missing; gives back what is stored.
    pub fn add<T: Resource>(&self, object: T) -> T {
        let stored = self.add_json(document(&object).expect("a typed object is JSON"));
        serde_json::from_value(stored).expect("what was stored can be read")
    }

    /// Like `add`, for JSON with apiVersion and kind.
    pub fn add_json(&self, object: Value) -> Value {
        self.0.borrow_mut().state.put(object).expect("the object can be stored")
    }

    /// An object.
    pub fn get<T: Resource>(&self, namespace: &str, name: &str) -> Option<T> {
        let object = self.get_json(&ObjectRef::of::<T>(namespace, name))?;
        Some(serde_json::from_value(object).expect("the object has the shape of its type"))
    }

    /// An object as JSON.
    pub fn get_json(&self, target: &ObjectRef) -> Option<Value> {
        self.0.borrow().state.get(target).ok().cloned()
    }

    /// All objects of a kind, in key order.
    pub fn all<T: Resource + DeserializeOwned>(&self) -> Vec<T> {
        let inner = self.0.borrow();
        let kind = KindRef::of::<T>();
        let objects = inner.state.all(&kind);
        objects.map(|o| serde_json::from_value(o.clone()).expect("the object has the shape of its type")).collect()
    }

    /// Changes an object, status included, as somebody else than the plugin.
    pub fn edit<T: Resource>(&self, namespace: &str, name: &str, change: impl FnOnce(&mut T)) -> T {
        let target = ObjectRef::of::<T>(namespace, name);
        let mut object: T = self.get(namespace, name).unwrap_or_else(|| panic!("{target} is not there to be edited"));
        change(&mut object);
        self.add(object)
    }

    /// Takes an object away at once; its dependents follow in the background.
    pub fn remove(&self, target: &ObjectRef) {
        self.0.borrow_mut().state.remove(target, Propagation::Background);
    }

    /// Does the node's part: pods whose deletion has begun are gone.
    pub fn finish_deletions(&self) {
        let mut inner = self.0.borrow_mut();
        for target in inner.state.terminating() {
            inner.state.remove(&target, Propagation::Background);
        }
    }

    /// Makes a later call fail. Faults are tried in the order in which they were given.
    pub fn fail(&self, fault: Fault) {
        self.0.borrow_mut().faults.push(fault);
    }

    /// Events that the plugin recorded.
    pub fn events(&self) -> Vec<Event> {
        self.0.borrow().events.clone()
    }

    /// Lines that the plugin logged.
    pub fn lines(&self) -> Vec<Line> {
        self.0.borrow().lines.clone()
    }

    /// Writes that the plugin asked for since the last call, those that failed included.
    pub fn take_writes(&self) -> Vec<Write> {
        std::mem::take(&mut self.0.borrow_mut().writes)
    }

    /// Whether a fault waits for a call that has not come.
    pub(super) fn faults_left(&self) -> bool {
        self.0.borrow().faults.iter().any(Fault::waits)
    }

    /// Answers the plugin's requests over HTTP from now on. An error stands for an endpoint that is not granted or not
    /// reached. What it has to remember it keeps in cells. Without this every request is refused.
    pub fn answer_http(&self, transport: impl Fn(&Request) -> Result<Response> + 'static) {
        self.0.borrow_mut().transport = Some(Rc::new(transport));
    }

    /// Requests over HTTP that the plugin made since the last call, those that were refused included.
    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.0.borrow_mut().requests)
    }

    /// Answers one request as the plugin would be answered: for a transport of a test's own in front of this host.
    pub fn serve_http(&self, request: &Request) -> Result<Response> {
        self.0.borrow_mut().requests.push(request.clone());
        let transport = self.0.borrow().transport.clone();
        match transport {
            Some(transport) => transport(request),
            None => Err(Error::forbidden(format!("{} {}: no endpoint is granted", request.method, request.url))),
        }
    }

    /// How many objects there are of each kind.
    pub(super) fn counts(&self) -> BTreeMap<KindRef, usize> {
        self.0.borrow().state.counts()
    }

    /// Changes since a position: object and state, and the new position.
    pub(super) fn changes(&self, since: usize) -> (Vec<(ObjectRef, Value)>, usize) {
        let inner = self.0.borrow();
        let journal = &inner.state.journal;
        (journal.get(since..).unwrap_or_default().to_vec(), journal.len())
    }

    pub(crate) fn config_text(&self) -> String {
        self.0.borrow().config.clone().unwrap_or_else(|| json!({})).to_string()
    }

    pub(crate) fn log(&self, level: Level, target: &str, message: &str) {
        let line = Line { level, target: target.to_string(), message: message.to_string() };
        self.0.borrow_mut().lines.push(line);
    }

    pub(crate) fn record(&self, events: &[Event]) {
        self.0.borrow_mut().events.extend_from_slice(events);
    }

    pub(crate) fn serve_get(&self, target: &ObjectRef) -> Result<Vec<u8>> {
        self.struck(Verb::Get, target).map_or(Ok(()), |fault| Err(fault.error))?;
        self.0.borrow().state.get(target).map(|object| object.to_string().into_bytes())
    }

    pub(crate) fn serve_list(&self, query: &Query) -> Result<Vec<u8>> {
        let target = ObjectRef { kind: query.kind.clone(), namespace: query.namespace.clone(), name: String::new() };
        self.struck(Verb::List, &target).map_or(Ok(()), |fault| Err(fault.error))?;
        self.0.borrow().state.list(query).map(|list| list.to_string().into_bytes())
    }

    pub(crate) fn serve_apply(&self, writes: &[Write]) -> Vec<Result<Written>> {
        self.0.borrow_mut().writes.extend_from_slice(writes);
        writes.iter().map(|write| self.serve_write(write)).collect()
    }

    fn serve_write(&self, write: &Write) -> Result<Written> {
        let (verb, target) = meant(write)?;
        let fault = self.struck(verb, &target);
        if let Some(Fault { made: false, error, .. }) = fault {
            return Err(error);
        }
        let answer = self.0.borrow_mut().state.write(write);
        fault.map_or(answer, |fault| Err(fault.error))
    }

    fn struck(&self, verb: Verb, target: &ObjectRef) -> Option<Fault> {
        self.0.borrow_mut().faults.iter_mut().find_map(|fault| fault.strikes(verb, target).then(|| fault.clone()))
    }
}

/// What a write does, and to which object.
fn meant(write: &Write) -> Result<(Verb, ObjectRef)> {
    let named = |bytes: &[u8]| -> Result<ObjectRef> {
        let mut object: Value = serde_json::from_slice(bytes)?;
        if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            let generated = meta.get("generateName").cloned().unwrap_or_default();
            meta.entry("name").or_insert(generated);
        }
        state::reference(&object).map_err(|e: Error| e.context("write"))
    };
    Ok(match write {
        Write::Create(bytes) => (Verb::Create, named(bytes)?),
        Write::Update(bytes) => (Verb::Update, named(bytes)?),
        Write::Patch(patch) => (Verb::Patch, patch.target.clone()),
        Write::Delete(deletion) => (Verb::Delete, deletion.target.clone()),
    })
}
