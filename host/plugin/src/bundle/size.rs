//! Sizes in bundles: `64Mi`.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

/// A number of bytes, written with `Ki`, `Mi` or `Gi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

impl Size {
    /// In bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let shift = match text.get(digits.len()..)? {
            "" => 0,
            "Ki" => 10,
            "Mi" => 20,
            "Gi" => 30,
            _ => return None,
        };
        digits.parse::<u64>().ok()?.checked_mul(1 << shift).filter(|bytes| *bytes > 0).map(Self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is not a size such as 64Mi")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sizes() {
        let table = [
            ("64Mi", Some(64 << 20)),
            ("1Gi", Some(1 << 30)),
            ("7", Some(7)),
            ("0", None),
            ("Mi", None),
            ("1Tx", None),
        ];
        for (text, want) in table {
            assert_eq!(Size::parse(text).map(Size::bytes), want, "{text}");
        }
    }
}
