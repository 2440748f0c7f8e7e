//! Amounts of resources, as pods write them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Thousandths of what a quantity says, rounded up; `None` when it does not parse.
pub fn millis(text: &str) -> Option<i128> {
    text.parse::<gantry_model::quantity::Quantity>().ok().map(|quantity| i128::from(quantity.milli()))
}

/// An amount by name, in thousandths.
pub fn amount(amounts: Option<&BTreeMap<String, Quantity>>, name: &str) -> Option<i128> {
    millis(&amounts?.get(name)?.0)
}

/// An amount by name, in whole units, rounded up.
pub fn whole(amounts: Option<&BTreeMap<String, Quantity>>, name: &str) -> Option<i64> {
    i64::try_from(div_up(amount(amounts, name)?, 1000)).ok()
}

/// Rounds up.
pub fn div_up(value: i128, by: i128) -> i128 {
    value.div_euclid(by) + i128::from(value.rem_euclid(by) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read() {
        for (text, want) in [
            ("1", Some(1000)),
            ("500m", Some(500)),
            ("1.5", Some(1500)),
            ("0.1Gi", Some(107_374_182_400)),
            ("1Ki", Some(1_024_000)),
            ("2e3", Some(2_000_000)),
            ("5E-1", Some(500)),
            ("100u", Some(1)),
            ("-2", Some(-2000)),
            ("", None),
            ("Gi", None),
            ("1x", None),
        ] {
            assert_eq!(millis(text), want, "{text}");
        }
    }
}
