//! Small helpers around JSON.

use serde::{Deserialize, Deserializer};

/// Reads `null` like an absent field.
pub fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// Leaves numbers out that are zero, as Kubernetes does with counts.
pub fn is_zero(number: &i64) -> bool {
    *number == 0
}
