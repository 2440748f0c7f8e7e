//! ReplicaSets: as many pods of a template as wanted.

pub mod object;
pub mod pass;
pub mod plan;
pub mod pod;
pub mod rank;
pub mod status;

pub use object::ReplicaSet;
