//! Small helpers around JSON.

pub use gantry_sdk::api::or_default;

/// Leaves numbers out that are zero, as Kubernetes does with counts.
pub fn is_zero(number: &i64) -> bool {
    *number == 0
}
