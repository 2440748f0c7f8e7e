use crate::api::Resource;
use crate::{Error, KindRef, ObjectRef};

/// A call to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `objects::get`
    Get,
    /// `objects::list`
    List,
    /// A creation.
    Create,
    /// An update.
    Update,
    /// A patch.
    Patch,
    /// A deletion.
    Delete,
}

/// A failure that the host is to show: `Fault::on(Verb::Create).of::<Pod>().skip(2).with(Error::exhausted("quota"))`
/// fails the third creation of a pod, and no other.
#[derive(Clone, Debug)]
pub struct Fault {
    verb: Verb,
    kind: Option<KindRef>,
    name: Option<String>,
    skip: u32,
    times: u32,
    pub(super) made: bool,
    pub(super) error: Error,
}

impl Fault {
    /// Fails the next call of this verb.
    pub fn on(verb: Verb) -> Self {
        let error = Error::unavailable("a fault that the test asked for");
        Fault { verb, kind: None, name: None, skip: 0, times: 1, made: false, error }
    }

    /// Only for this kind.
    #[must_use]
    pub fn of<T: Resource>(mut self) -> Self {
        self.kind = Some(KindRef::of::<T>());
        self
    }

    /// Only for objects of this name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_string());
        self
    }

    /// Only after so many calls that go well.
    #[must_use]
    pub fn skip(mut self, calls: u32) -> Self {
        self.skip = calls;
        self
    }

    /// So many times, not once.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// With this error.
    #[must_use]
    pub fn with(mut self, error: Error) -> Self {
        self.error = error;
        self
    }

    /// The write is made all the same; only its answer is lost.
    #[must_use]
    pub fn but_made(mut self) -> Self {
        self.made = true;
        self
    }

    /// Is there a call left that it will strike?
    pub(super) fn waits(&self) -> bool {
        self.times > 0
    }

    /// Does it strike this call? Counts it if so.
    pub(super) fn strikes(&mut self, verb: Verb, target: &ObjectRef) -> bool {
        let meant = self.verb == verb
            && self.kind.as_ref().is_none_or(|kind| *kind == target.kind)
            && self.name.as_ref().is_none_or(|name| *name == target.name);
        if !meant || self.times == 0 {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.times -= 1;
        true
    }
}
