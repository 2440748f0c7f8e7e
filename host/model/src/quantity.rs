//! Amounts of CPU, memory and the like as Kubernetes writes them: `100m`, `1.5Gi`, `2e3`.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

const NANO: i128 = 1_000_000_000;
const MILLI: i128 = 1_000_000;
/// The largest magnitude: 2^63-1 whole units. Greater ones are capped, as Kubernetes does.
const MAX: i128 = i64::MAX as i128 * NANO;
/// No quantity has more digits that matter; a longer text is refused before it costs time.
const LONGEST: usize = 64;

/// Which family of suffixes an amount was written with; it is written again with the same one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `n u m k M G T P E`
    #[default]
    Decimal,
    /// `Ki Mi Gi Ti Pi Ei`
    Binary,
    /// `e3`
    Exponent,
}

/// Why a text is not a quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// The number part is wrong.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Number,
    /// What follows the number is no suffix.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// An exact amount, in steps of a billionth. Equal amounts are equal whatever their format.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Quantity = Quantity { nanos: 0, format: Format::Decimal };

    /// An amount in whole units.
    pub fn from_units(units: i64, format: Format) -> Self {
        Self { nanos: i128::from(units) * NANO, format }
    }

    /// An amount in thousandths.
    pub fn from_milli(milli: i64) -> Self {
        Self { nanos: i128::from(milli) * MILLI, format: Format::Decimal }
    }

    /// Reads a quantity out of an object: a string or a number.
    pub fn from_json(value: &Value) -> Result<Self, QuantityError> {
        match value {
            Value::String(text) => text.parse(),
            Value::Number(number) => number.to_string().parse(),
            _ => Err(QuantityError::Number),
        }
    }

    /// Thousandths, rounded away from zero.
    pub fn milli(&self) -> i64 {
        narrow(divide_up(self.nanos, MILLI))
    }

    /// Whole units, rounded away from zero.
    pub fn value(&self) -> i64 {
        narrow(divide_up(self.nanos, NANO))
    }

    /// Whether it is nothing.
    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    /// Whether it is less than nothing.
    pub fn is_negative(&self) -> bool {
        self.nanos < 0
    }

    /// Whether it is a whole number of units.
    pub fn is_whole(&self) -> bool {
        self.nanos % NANO == 0
    }

    /// The family of suffixes that it is written with.
    pub fn format(&self) -> Format {
        self.format
    }

    fn with(self, nanos: i128) -> Self {
        Self { nanos: nanos.clamp(-MAX, MAX), format: self.format }
    }

    fn write_binary(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut number, mut power) = (self.nanos / NANO, 0usize);
        while number % 1024 == 0 && power + 1 < BINARY.len() {
            number /= 1024;
            power += 1;
        }
        write!(f, "{number}{}", BINARY.get(power).copied().unwrap_or_default())
    }

    fn write_decimal(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut number, mut power) = (self.nanos, 0usize);
        while number % 1000 == 0 && power + 1 < DECIMAL.len() {
            number /= 1000;
            power += 1;
        }
        let exponent = power as i64 * 3 - 9;
        match self.format {
            Format::Exponent if exponent == 0 => write!(f, "{number}"),
            Format::Exponent => write!(f, "{number}e{exponent}"),
            _ => write!(f, "{number}{}", DECIMAL.get(power).copied().unwrap_or_default()),
        }
    }
}

const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];

fn divide_up(number: i128, by: i128) -> i128 {
    let whole = number / by;
    if number % by == 0 { whole } else { whole + number.signum() }
}

fn narrow(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        if text.is_empty() || text.len() > LONGEST {
            return Err(QuantityError::Number);
        }
        let (negative, rest) = match text.as_bytes() {
            [b'-', ..] => (true, text.get(1..)),
            [b'+', ..] => (false, text.get(1..)),
            _ => (false, Some(text)),
        };
        let rest = rest.unwrap_or_default();
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at_checked(end).ok_or(QuantityError::Number)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
            return Err(QuantityError::Number);
        }
        let (format, scale) = scale_of(suffix)?;
        let magnitude = scaled(whole, fraction, scale);
        Ok(Self { nanos: if negative { -magnitude } else { magnitude }, format })
    }
}

/// What the digits are multiplied by.
#[derive(Clone, Copy)]
enum Scale {
    Ten(i64),
    Two(u32),
}

fn scale_of(suffix: &str) -> Result<(Format, Scale), QuantityError> {
    if let Some(power) = DECIMAL.iter().position(|s| *s == suffix) {
        return Ok((Format::Decimal, Scale::Ten(power as i64 * 3 - 9)));
    }
    if let Some(power) = BINARY.iter().position(|s| *s == suffix) {
        return Ok((Format::Binary, Scale::Two(power as u32 * 10)));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).ok_or(QuantityError::Suffix)?;
    let exponent = exponent.strip_prefix('+').unwrap_or(exponent);
    let exponent: i32 = exponent.parse().map_err(|_| QuantityError::Suffix)?;
    Ok((Format::Exponent, Scale::Ten(i64::from(exponent))))
}

/// The magnitude in nanos: exact, rounded up beyond nine decimals, capped at [`MAX`].
fn scaled(whole: &str, fraction: &str, scale: Scale) -> i128 {
    let mut digits = format!("{whole}{fraction}");
    // The number is `digits` times ten to the power of `power` in nanos.
    let mut power = 9 - fraction.len() as i64;
    if let Scale::Ten(exponent) = scale {
        power += exponent;
    }
    let digits_kept = digits.trim_start_matches('0').to_owned();
    digits = digits_kept;
    if digits.is_empty() {
        return 0;
    }
    if digits.len() as i64 + power > 39 {
        return MAX;
    }
    // Binary scales multiply before decimals are cut off.
    let factor = match scale {
        Scale::Two(bits) => 1u128 << bits,
        Scale::Ten(_) => 1,
    };
    rounded(&digits, power, factor).map_or(MAX, |n| n.min(MAX))
}

/// `digits * 10^power * factor` rounded up to a whole number; `None` when it is too large.
fn rounded(digits: &str, power: i64, factor: u128) -> Option<i128> {
    // Digits far below a nano only matter for rounding up: cut them and remember that something was there.
    let keep = digits.len().min(if factor == 1 { 38 } else { 20 });
    let (head, tail) = digits.split_at_checked(keep)?;
    let dust = tail.bytes().any(|b| b != b'0');
    let power = power + tail.len() as i64;
    let number = head.parse::<u128>().ok()?.checked_mul(factor)?;
    let number = if power >= 0 {
        number.checked_mul(10u128.checked_pow(u32::try_from(power).ok()?)?)?
    } else {
        let Some(by) = u32::try_from(-power).ok().and_then(|p| 10u128.checked_pow(p)) else { return Some(1) };
        number.div_ceil(by)
    };
    let number = i128::try_from(number).ok()?;
    Some(if dust && number < MAX && power >= 0 { number + 1 } else { number })
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        // Small and fractional amounts would lose digits or sense with binary suffixes.
        let binary = self.format == Format::Binary && self.is_whole() && self.nanos.abs() >= 1024 * NANO;
        if binary {
            self.write_binary(f)
        } else if self.format == Format::Binary {
            Quantity { format: Format::Decimal, ..*self }.write_decimal(f)
        } else {
            self.write_decimal(f)
        }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl Hash for Quantity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.nanos.hash(state);
    }
}

impl Add for Quantity {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        let format = if self.nanos == 0 { other } else { self };
        format.with(self.nanos + other.nanos)
    }
}

impl Sub for Quantity {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        let format = if self.nanos == 0 { other } else { self };
        format.with(self.nanos - other.nanos)
    }
}

impl AddAssign for Quantity {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Quantity {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Neg for Quantity {
    type Output = Self;
    fn neg(self) -> Self {
        self.with(-self.nanos)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Quantity::from_json(&Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Quantity {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn texts_become_canonical() {
        for (text, want) in [
            ("0", "0"),
            ("-0", "0"),
            ("0Gi", "0"),
            ("1", "1"),
            ("+1", "1"),
            ("100m", "100m"),
            ("0.1", "100m"),
            ("1.5", "1500m"),
            (".5", "500m"),
            ("5.", "5"),
            ("1000m", "1"),
            ("1500", "1500"),
            ("2000", "2k"),
            ("1Ki", "1Ki"),
            ("1024Ki", "1Mi"),
            ("1.5Gi", "1536Mi"),
            ("1023", "1023"),
            ("0.5Ki", "512"),
            ("0.001Ki", "1024m"),
            ("1e3", "1e3"),
            ("1E3", "1e3"),
            ("1E", "1E"),
            ("15e-1", "1500e-3"),
            ("100e0", "100"),
            ("1u", "1u"),
            ("1n", "1n"),
            ("0.1n", "1n"),
            ("-0.1n", "-1n"),
            ("-1.5Gi", "-1536Mi"),
            ("9223372036854775807", "9223372036854775807"),
            ("9223372036854775808", "9223372036854775807"),
            ("1e400", "9223372036854775807e0"),
            ("1e-400", "1e-9"),
            ("1k", "1k"),
            ("64Mi", "64Mi"),
            ("3.33Gi", "3575560273920m"),
        ] {
            let want = want.strip_suffix("e0").unwrap_or(want);
            assert_eq!(parsed(text).to_string(), want, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", ".", "-", "1.2.3", "1x", "Gi", "1 Gi", "1KI", "1e", "1e1.5", "0x10", "1ki", "--1", "1é"] {
            assert!(text.parse::<Quantity>().is_err(), "{text}");
        }
    }

    #[test]
    fn rounding_is_up() {
        for (text, milli, value) in [
            ("1", 1000, 1),
            ("1m", 1, 1),
            ("1u", 1, 1),
            ("1500m", 1500, 2),
            ("-1500m", -1500, -2),
            ("1Ki", 1_024_000, 1024),
        ] {
            assert_eq!((parsed(text).milli(), parsed(text).value()), (milli, value), "{text}");
        }
    }

    #[test]
    fn formats_do_not_matter_to_order() {
        assert_eq!(parsed("1Ki"), parsed("1024"));
        assert!(parsed("1G") < parsed("1Gi"));
        assert!(parsed("-1") < parsed("1m"));
        assert_eq!((parsed("1Gi") + parsed("512Mi")).to_string(), "1536Mi");
        assert_eq!((parsed("1") - parsed("1500m")).to_string(), "-500m");
    }

    proptest! {
        #[test]
        fn canonical_text_reads_back_the_same(text in "[+-]?[0-9]{1,12}(\\.[0-9]{0,9})?(n|u|m|k|M|G|T|Ki|Mi|Gi|e[0-9]|e-[0-9])?") {
            let once = parsed(&text);
            let again = parsed(&once.to_string());
            prop_assert_eq!(once, again);
            prop_assert_eq!(once.to_string(), again.to_string());
        }
    }
}
