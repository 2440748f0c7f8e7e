//! Ids that are made from what they stand for: the same for the same.

use sha2::{Digest, Sha256};

/// The first digits of a hash; 64 at most.
pub fn digest(text: &str, digits: usize) -> String {
    let mut all = hex::encode(Sha256::digest(text));
    all.truncate(digits);
    all
}

/// 32 digits in the form of a UUID.
pub fn uuid(digits: &str) -> String {
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_their_form() {
        assert_eq!(digest("a", 8), "ca978112");
        assert_eq!(digest("a", 999).len(), 64);
        assert_eq!(uuid("0123456789abcdef0123456789abcdef"), "01234567-89ab-cdef-0123-456789abcdef");
    }
}
