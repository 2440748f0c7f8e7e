//! Alarms of CloudWatch.

use std::time::Duration;

use gantry_sdk::{Value, json};

use super::{Failure, ask};

const TARGET: &str = "GraniteServiceVersion20100801.DescribeAlarms";
/// How long what comes of other alarms takes to show.
const COMPOSITE: u64 = 300;
/// The longest that an alarm of CloudWatch looks back.
const LONGEST: u64 = 86_400;
/// Names of one question, and alarms of one answer.
const MOST: usize = 100;

/// How alarms are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alarms {
    /// Names of those in the state `ALARM`.
    pub raised: Vec<String>,
    /// Names of those that there are not.
    pub missing: Vec<String>,
    /// As long as the slowest of them takes to see what has happened.
    pub span: Duration,
}

/// Asks how these are.
pub fn describe(endpoint: &str, names: &[String]) -> Result<Alarms, Failure> {
    let mut alarms = Alarms::default();
    for names in names.chunks(MOST) {
        let asked = json!({"AlarmNames": names, "AlarmTypes": ["MetricAlarm", "CompositeAlarm"], "MaxRecords": MOST});
        read(&ask(endpoint, "1.0", TARGET, &asked)?, names, &mut alarms);
    }
    Ok(alarms)
}

fn read(answer: &Value, names: &[String], alarms: &mut Alarms) {
    let list = |key: &str| answer.get(key).and_then(Value::as_array).into_iter().flatten();
    let text = |of: &Value, key: &str| of.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let metric = list("MetricAlarms").map(|alarm| (alarm, seconds(alarm)));
    let composite = list("CompositeAlarms").map(|alarm| (alarm, COMPOSITE));
    let mut known = Vec::new();
    for (alarm, seconds) in metric.chain(composite) {
        let name = text(alarm, "AlarmName");
        if text(alarm, "StateValue") == "ALARM" {
            alarms.raised.push(name.clone());
        }
        alarms.span = alarms.span.max(Duration::from_secs(seconds.min(LONGEST)));
        known.push(name);
    }
    alarms.missing.extend(names.iter().filter(|name| !known.contains(name)).cloned());
}

/// The periods that it looks at, together.
fn seconds(alarm: &Value) -> u64 {
    let number = |of: &Value, path: &str| of.pointer(path).and_then(Value::as_f64).unwrap_or(0.0);
    let metrics = alarm.get("Metrics").and_then(Value::as_array).into_iter().flatten();
    let inner = metrics.map(|metric| number(metric, "/MetricStat/Period").max(number(metric, "/Period")));
    let period = inner.fold(number(alarm, "/Period"), f64::max);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by the longest")]
    let seconds = (period * number(alarm, "/EvaluationPeriods").max(1.0)).clamp(0.0, LONGEST as f64) as u64;
    seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_and_spans_are_read() {
        let answer = json!({
            "MetricAlarms": [
                {"AlarmName": "a", "StateValue": "ALARM", "Period": 60, "EvaluationPeriods": 2, "Metrics": []},
                {"AlarmName": "b", "StateValue": "INSUFFICIENT_DATA", "EvaluationPeriods": 3,
                    "Metrics": [{"MetricStat": {"Period": 50}}, {"Expression": "m1 * 2"}]},
            ],
            "CompositeAlarms": [{"AlarmName": "c", "StateValue": "OK"}],
        });
        let names = ["a", "b", "c", "d"].map(str::to_owned);
        let mut alarms = Alarms::default();
        read(&answer, &names, &mut alarms);
        let want = Alarms { raised: vec!["a".into()], missing: vec!["d".into()], span: Duration::from_secs(300) };
        assert_eq!(alarms, want);
        for (alarm, want) in [
            (json!({"Period": 60, "EvaluationPeriods": 2}), 120),
            (json!({"Metrics": [{"MetricStat": {"Period": 50}}, {"Period": 70}], "EvaluationPeriods": 3}), 210),
            (json!({"Period": 86400, "EvaluationPeriods": 7}), 86400),
            (json!({}), 0),
        ] {
            assert_eq!(seconds(&alarm), want, "{alarm}");
        }
    }
}
