//! How long to wait before the next try. The kubelet's figures: ten seconds, doubled up to five minutes, forgotten
//! after ten good minutes.

use std::time::Duration;

use jiff::Timestamp;

/// The first wait.
pub const FIRST: u32 = 10;
/// The longest wait.
pub const LONGEST: u32 = 300;
/// A container that ran this long starts over without waiting.
pub const FORGET: Duration = Duration::from_secs(600);

/// The wait, in seconds, that follows one of `delay` seconds.
pub fn next(delay: u32) -> u32 {
    if delay == 0 { FIRST } else { delay.saturating_mul(2).min(LONGEST) }
}

/// How many seconds to wait after the end of a container that was started after a wait chain at `delay`.
pub fn after_run(delay: u32, started: Option<Timestamp>, ended: Timestamp) -> u32 {
    let ran = started.map(|started| crate::time::between(started, ended)).unwrap_or_default();
    if ran >= FORGET { 0 } else { delay }
}

/// As messages show it: `10s`, `1m20s`, `5m0s`.
pub fn show(seconds: u32) -> String {
    if seconds < 60 { format!("{seconds}s") } else { format!("{}m{}s", seconds / 60, seconds % 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_five_minutes() {
        let mut waits = vec![0];
        while waits.len() < 9 {
            waits.push(next(*waits.last().unwrap()));
        }
        assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300, 300]);
    }

    #[test]
    fn ten_good_minutes_are_forgiven() {
        let at = |s| Timestamp::from_second(s).unwrap();
        for (started, ended, want) in
            [(Some(at(0)), at(599), 160), (Some(at(0)), at(600), 0), (None, at(1000), 160), (Some(at(9)), at(0), 160)]
        {
            assert_eq!(after_run(160, started, ended), want, "{started:?} {ended}");
        }
    }

    #[test]
    fn waits_read_like_the_kubelets() {
        assert_eq!([10, 80, 300].map(show), ["10s", "1m20s", "5m0s"]);
    }
}
