//! Medians and spreads.

use std::fmt;
use std::time::Duration;

/// One figure, measured several times.
#[derive(Clone, Debug, Default)]
pub struct Series(Vec<f64>);

impl Series {
    pub fn add(&mut self, value: f64) {
        let at = self.0.partition_point(|other| *other < value);
        self.0.insert(at, value);
    }

    pub fn add_millis(&mut self, value: Duration) {
        self.add(value.as_secs_f64() * 1e3);
    }

    /// The value that this share of the samples does not exceed.
    pub fn at(&self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1) as f64;
        self.0.get((last * share).round() as usize).copied().unwrap_or(f64::NAN)
    }

    /// The middle one, or the mean of the two in the middle.
    pub fn median(&self) -> f64 {
        let half = self.0.len() / 2;
        match (self.0.len() % 2, self.0.get(half), self.0.get(half.wrapping_sub(1))) {
            (0, Some(upper), Some(lower)) => f64::midpoint(*upper, *lower),
            (_, Some(middle), _) => *middle,
            _ => f64::NAN,
        }
    }
}

impl FromIterator<f64> for Series {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Self(sorted)
    }
}

/// The median, with the least and the most.
impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [middle, least, most] = [self.median(), self.at(0.0), self.at(1.0)].map(short);
        if self.0.len() < 2 { write!(f, "{middle}") } else { write!(f, "{middle} ({least} to {most})") }
    }
}

/// A number with as many digits as it is worth: 12,345, 123, 1.23.
pub fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1e3 => thousands(value.round()),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_an_even_number_is_between_two() {
        let table: [(&[f64], f64); 4] =
            [(&[3.0], 3.0), (&[4.0, 1.0], 2.5), (&[9.0, 1.0, 5.0], 5.0), (&[4.0, 1.0, 3.0, 2.0], 2.5)];
        for (values, median) in table {
            assert_eq!(values.iter().copied().collect::<Series>().median(), median, "{values:?}");
        }
        assert!(Series::default().median().is_nan());
    }

    #[test]
    fn adding_keeps_the_order() {
        let mut series = Series::default();
        for value in [5.0, 1.0, 3.0] {
            series.add(value);
        }
        assert_eq!(series.to_string(), "3.00 (1.00 to 5.00)");
        assert_eq!(series.at(0.99), 5.0);
    }

    #[test]
    fn numbers_are_short() {
        let table = [
            (0.123, "0.12"),
            (12.34, "12.3"),
            (123.4, "123"),
            (1234.0, "1,234"),
            (-1234.4, "-1,234"),
            (999_999.6, "1,000,000"),
        ];
        for (value, text) in table {
            assert_eq!(short(value), text);
        }
    }
}
