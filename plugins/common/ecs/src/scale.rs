//! The part of a service's count that a task set has.

/// Tasks of so many percent, rounded up.
pub fn tasks(desired: u64, percent: f64) -> u64 {
    // In millionths: what a caller wrote with a few digits is exact, and 20 % of 5 is no more than 1.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 100 million")]
    let millionths = (percent.clamp(0.0, 100.0) * 1e6).round() as u64;
    let part = u128::from(desired) * u128::from(millionths);
    u64::try_from(part.div_ceil(100_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_rounded_up() {
        for (desired, percent, want) in [
            (0, 50.0, 0),
            (5, 20.0, 1),
            (6, 20.0, 2),
            (3, 0.1, 1),
            (10, 0.0, 0),
            (7, 100.0, 7),
            (7, 1000.0, 7),
            (7, -1.0, 0),
        ] {
            assert_eq!(tasks(desired, percent), want, "{desired} {percent}");
        }
    }
}
