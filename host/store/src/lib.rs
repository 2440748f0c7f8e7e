//! Where objects are kept: one revision counter, durable writes, reads and watches from memory.

mod embedded;
pub mod error;
mod lock;
mod memory;
pub mod traits;

pub use embedded::{Options, Sled};
pub use error::Error;
pub use lock::lock;
pub use traits::{Event, Expect, Op, Page, Range, Store, Watch, Write};
