//! Where objects are kept: one revision counter, durable writes, reads and watches from memory.

pub mod error;
pub mod traits;

pub use error::Error;
pub use traits::{Event, Expect, Op, Page, Range, Store, Watch, Write};
