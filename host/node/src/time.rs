//! Instants as the API writes them.

use jiff::{Timestamp, Unit};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The API keeps whole seconds: what is to compare equal after a write and a read must have no more.
pub fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// As a field of an object.
pub fn api(at: Timestamp) -> Time {
    Time(seconds(at))
}

/// A `MicroTime` field.
pub fn micros(at: Timestamp) -> String {
    let rounded = at.round(Unit::Microsecond).unwrap_or(at);
    format!("{rounded:.6}")
}

/// A `Time` field.
pub fn rfc3339(at: Timestamp) -> String {
    format!("{:.0}", seconds(at))
}

/// `from` and so many seconds later.
pub fn after(from: Timestamp, duration: std::time::Duration) -> Timestamp {
    from.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// How long `later` is after `earlier`; zero if it is not.
pub fn between(earlier: Timestamp, later: Timestamp) -> std::time::Duration {
    std::time::Duration::try_from(later.duration_since(earlier)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_read_as_the_api_writes_them() {
        let at = Timestamp::from_nanosecond(1_700_000_000_123_456_789).unwrap();
        assert_eq!(rfc3339(at), "2023-11-14T22:13:20Z");
        assert_eq!(micros(at), "2023-11-14T22:13:20.123457Z");
        assert_eq!(between(at, after(at, std::time::Duration::from_secs(3))).as_secs(), 3);
        assert_eq!(between(after(at, std::time::Duration::from_secs(3)), at).as_secs(), 0);
    }
}
