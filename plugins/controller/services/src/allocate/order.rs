//! In which order numbers are tried.

use std::hash::Hasher;

use fnv::FnvHasher;

/// Every number below `size` once: first those from `band` on, beginning somewhere that depends on `seed`, then those
/// below it. What users pick by hand is usually low, and so stays free for long.
pub fn candidates(size: u64, band: u64, seed: &str) -> impl Iterator<Item = u64> {
    let band = band.min(size);
    let upper = size - band;
    let start = if upper == 0 { 0 } else { hash(seed) % upper };
    let high = (0..upper).map(move |n| band + (start + n) % upper);
    high.chain(0..band)
}

/// FNV: the same everywhere.
pub fn hash(text: &str) -> u64 {
    let mut hasher = FnvHasher::default();
    hasher.write(text.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_once_and_low_ones_last() {
        for (size, band) in [(10, 3), (1, 0), (5, 9), (256, 16), (0, 0)] {
            let all: Vec<u64> = candidates(size, band, "seed").collect();
            let mut sorted = all.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..size).collect::<Vec<_>>(), "{size} {band}");
            let first_low = all.iter().position(|n| *n < band).unwrap_or(all.len());
            assert!(all.iter().skip(first_low).all(|n| *n < band), "{all:?}");
        }
        assert_ne!(candidates(1_000, 0, "a").next(), candidates(1_000, 0, "b").next());
    }
}
