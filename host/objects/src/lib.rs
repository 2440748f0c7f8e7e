//! What reading and writing an object means: the verbs of the Kubernetes API over a store, for whoever asks
//! (HTTP clients, plugins, the node agent). Defaulting, validation, managed fields, generations, finalizers, graceful
//! deletion and preconditions happen here and nowhere else.

pub mod admission;
mod bind;
mod conform;
mod create;
mod delete;
mod fault;
mod last_applied;
mod list;
mod metadata;
mod next;
pub mod options;
mod patch;
pub mod recorder;
mod scale;
mod special;
mod token;
mod update;
pub mod verbs;
mod watch;

pub use bind::Binding;
pub use options::{
    DeleteOptions, FieldValidation, List, ListOptions, Patch, Preconditions, Propagation, Subresource, User,
    WatchOptions, WriteOptions, Written,
};
pub use scale::scale_of;
pub use verbs::{Change, Objects};
pub use watch::Changes;
