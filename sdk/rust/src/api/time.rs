use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment. Written in whole seconds (`2026-01-02T03:04:05Z`), as the Kubernetes API does; read in any precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Time(Timestamp);

impl Time {
    /// From Unix time in milliseconds. Moments that no calendar has become the last one that it has.
    pub fn from_millis(ms: u64) -> Self {
        Time(i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::MAX))
    }

    /// Unix time in milliseconds; 0 for moments before 1970.
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millisecond()).unwrap_or_default()
    }

    /// From RFC 3339 text.
    pub fn parse(text: &str) -> crate::Result<Self> {
        text.parse().map(Time).map_err(|e| crate::Error::invalid(format!("time {text:?}: {e}")))
    }

    /// How long it has been since `earlier`; zero if that is yet to come.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_millis(self.as_millis().saturating_sub(earlier.as_millis()))
    }

    /// So much later.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Time::from_millis(self.as_millis().saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_second(self.0.as_second()) {
            Ok(seconds) => seconds.fmt(f),
            Err(_) => self.0.fmt(f),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Timestamp::deserialize(deserializer).map(Time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_any_precision_and_written_in_seconds() {
        for text in ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.678901Z", "2026-01-02T04:04:05+01:00"] {
            let time: Time = serde_json::from_value(text.into()).unwrap();
            assert_eq!(serde_json::to_value(time).unwrap(), "2026-01-02T03:04:05Z");
        }
        assert_eq!(Time::from_millis(1_500).as_millis(), 1_500);
        assert_eq!(Time::from_millis(2_000).since(Time::from_millis(500)), Duration::from_millis(1_500));
        assert_eq!(Time::from_millis(500).since(Time::from_millis(2_000)), Duration::ZERO);
    }
}
