//! The deployment circuit breaker, as far as its numbers are shown too.
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html>

/// The threshold is half of the desired count, within these.
const FEWEST: u32 = 3;
const MOST: u32 = 200;

/// Failures after which a deployment is given up.
pub fn threshold(desired: u32) -> u32 {
    desired.div_ceil(2).clamp(FEWEST, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_is_half_of_what_is_wanted_within_bounds() {
        for (desired, want) in [(0, 3), (1, 3), (6, 3), (7, 4), (25, 13), (400, 200), (401, 200), (5000, 200)] {
            assert_eq!(threshold(desired), want, "{desired}");
        }
    }
}
