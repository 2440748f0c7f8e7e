//! Requests and answers: queries, bodies, content types, encodings. Nothing here knows a verb.

pub(crate) mod body;
pub(crate) mod compress;
pub(crate) mod negotiate;
pub(crate) mod query;
pub(crate) mod reader;
pub(crate) mod reply;
