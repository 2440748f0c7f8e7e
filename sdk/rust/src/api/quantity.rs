use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{Error, Result};

/// An amount in the Kubernetes notation: `500m`, `1.5Gi`, `2e3`, or a plain number. Kept as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Quantity(pub String);

/// A number or a text: `maxSurge: 1` or `maxSurge: 25%`, `port: 80` or `port: http`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum IntOrString {
    /// A number.
    Int(i64),
    /// A text.
    String(String),
}

impl Quantity {
    /// In whole units, rounded up.
    pub fn value(&self) -> Result<u64> {
        self.scaled(0)
    }

    /// In thousandths, rounded up.
    pub fn milli(&self) -> Result<u64> {
        self.scaled(3)
    }

    /// The amount times 10^`digits`, rounded up. Negative amounts are refused; huge ones become the largest number.
    fn scaled(&self, digits: i32) -> Result<u64> {
        let wrong = || Error::invalid(format!("quantity {:?} is not valid", self.0));
        let unsigned = self.0.strip_prefix('+').unwrap_or(&self.0);
        let number_end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(number_end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return Err(wrong());
        }
        let (base_factor, exponent) = suffix_value(suffix).ok_or_else(wrong)?;
        // Digits after the 18th can't change a rounded-up result by more than one unit.
        let fraction = fraction.get(..18).unwrap_or(fraction);
        let mantissa = format!("{whole}{fraction}");
        let mantissa: u128 = match mantissa.len() {
            0..=36 => mantissa.parse().map_err(|_| wrong())?,
            _ => return Ok(u64::MAX),
        };
        let exponent = exponent + digits - i32::try_from(fraction.len()).map_err(|_| wrong())?;
        Ok(shift(mantissa.saturating_mul(base_factor), exponent))
    }
}

/// `n` times 10^`exponent`, rounded up.
fn shift(n: u128, exponent: i32) -> u64 {
    let power = 10_u128.checked_pow(exponent.unsigned_abs());
    let shifted = match (power, exponent >= 0) {
        (Some(power), true) => n.saturating_mul(power),
        (Some(power), false) => n.div_ceil(power),
        (None, true) => {
            if n == 0 {
                0
            } else {
                u128::MAX
            }
        }
        (None, false) => u128::from(n > 0),
    };
    u64::try_from(shifted).unwrap_or(u64::MAX)
}

/// A suffix as a factor and a power of ten.
fn suffix_value(suffix: &str) -> Option<(u128, i32)> {
    Some(match suffix {
        "" => (1, 0),
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "E" => (1, 18),
        "Ki" => (1 << 10, 0),
        "Mi" => (1 << 20, 0),
        "Gi" => (1 << 30, 0),
        "Ti" => (1 << 40, 0),
        "Pi" => (1 << 50, 0),
        "Ei" => (1 << 60, 0),
        _ => (1, suffix.strip_prefix(['e', 'E'])?.parse().ok()?),
    })
}

impl From<&str> for Quantity {
    fn from(text: &str) -> Self {
        Quantity(text.to_string())
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Text(String),
            Number(serde_json::Number),
        }
        Ok(Quantity(match Form::deserialize(deserializer)? {
            Form::Text(text) => text,
            Form::Number(number) => number.to_string(),
        }))
    }
}

impl IntOrString {
    /// The number, or the percentage of `total`, rounded up or down. A text that is no percentage is invalid.
    pub fn of_total(&self, total: i64, round_up: bool) -> Result<i64> {
        match self {
            IntOrString::Int(n) => Ok(*n),
            IntOrString::String(text) => {
                let percent = text.strip_suffix('%').and_then(|p| p.parse::<i64>().ok());
                let percent = percent.ok_or_else(|| Error::invalid(format!("{text:?} is not a percentage")))?;
                let product = percent.saturating_mul(total);
                Ok(if round_up { product.saturating_add(99).div_euclid(100) } else { product.div_euclid(100) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_in_all_notations() {
        let cases = [
            ("0", 0, 0),
            ("1", 1, 1_000),
            ("500m", 1, 500),
            ("1.5", 2, 1_500),
            (".5", 1, 500),
            ("1.", 1, 1_000),
            ("+2", 2, 2_000),
            ("100n", 1, 1),
            ("1.5Gi", 1_610_612_736, 1_610_612_736_000),
            ("128974848", 128_974_848, 128_974_848_000),
            ("129e6", 129_000_000, 129_000_000_000),
            ("129M", 129_000_000, 129_000_000_000),
            ("123Mi", 128_974_848, 128_974_848_000),
            ("1E", 1_000_000_000_000_000_000, u64::MAX),
            ("1E3", 1_000, 1_000_000),
            ("1Ei", 1 << 60, u64::MAX),
            ("1e-3", 1, 1),
        ];
        for (text, value, milli) in cases {
            assert_eq!(Quantity::from(text).value().unwrap(), value, "{text}");
            assert_eq!(Quantity::from(text).milli().unwrap(), milli, "{text}");
        }
        for text in ["", "-1", "abc", "1.2.3", "1Q", "Mi", "1e", "1+1", "++1"] {
            assert!(Quantity::from(text).value().is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_are_quantities_too() {
        let quantities: Vec<Quantity> = serde_json::from_str(r#"[1, 0.5, "2Gi"]"#).unwrap();
        assert_eq!(quantities, ["1", "0.5", "2Gi"].map(Quantity::from));
    }

    #[test]
    fn percentages_round_as_asked() {
        let quarter = IntOrString::String("25%".into());
        assert_eq!(quarter.of_total(10, true).unwrap(), 3);
        assert_eq!(quarter.of_total(10, false).unwrap(), 2);
        assert_eq!(IntOrString::Int(4).of_total(10, true).unwrap(), 4);
        assert!(IntOrString::String("many".into()).of_total(10, true).is_err());
    }
}
