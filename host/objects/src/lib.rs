//! What reading and writing an object means: the verbs of the Kubernetes API over a store, for whoever asks
//! (HTTP clients, plugins, the node agent). Defaulting, validation, managed fields, generations, finalizers, graceful
//! deletion and preconditions happen here and nowhere else.

pub mod options;
pub mod recorder;
pub mod verbs;

pub use options::{
    DeleteOptions, FieldValidation, List, ListOptions, Patch, Preconditions, Propagation, Subresource, WatchOptions,
    WriteOptions, Written,
};
pub use verbs::{Change, Changes, Objects};
