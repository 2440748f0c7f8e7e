//! What the measuring programs of this folder share.

pub mod component;
