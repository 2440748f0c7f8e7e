//! Questions by outcome, and how long they take.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Records of the tables.
    Answered,
    /// The name is there, and has none of that type.
    NoData,
    /// The name is not there.
    NoName,
    /// Others were asked, and said something.
    Forwarded,
    /// Others were asked in vain, or too many are being asked.
    Failed,
    /// Nothing that can be answered.
    Refused,
}

impl Outcome {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Answered, "answered"),
        (Self::NoData, "nodata"),
        (Self::NoName, "nxdomain"),
        (Self::Forwarded, "forwarded"),
        (Self::Failed, "failed"),
        (Self::Refused, "refused"),
    ];
}

/// Held, so that a question costs no look at a registry.
pub(super) struct Meter {
    queries: Vec<(Outcome, Counter)>,
    table: Histogram,
    upstream: Histogram,
    forwarding: Gauge,
}

impl Meter {
    pub(super) fn new() -> Self {
        let counter = |(outcome, name)| (outcome, metrics::counter!("gantry_dns_queries_total", "outcome" => name));
        Self {
            queries: Outcome::ALL.into_iter().map(counter).collect(),
            table: metrics::histogram!("gantry_dns_seconds", "from" => "table"),
            upstream: metrics::histogram!("gantry_dns_seconds", "from" => "upstream"),
            forwarding: metrics::gauge!("gantry_dns_forwarding"),
        }
    }

    /// A question was answered from the tables.
    pub(super) fn here(&self, outcome: Outcome, took: Duration) {
        self.count(outcome);
        self.table.record(took.as_secs_f64());
    }

    /// Others are asked.
    pub(super) fn asking(&self) {
        self.forwarding.increment(1.0);
    }

    /// They have answered, or have not.
    pub(super) fn asked(&self, outcome: Outcome, took: Duration) {
        self.forwarding.decrement(1.0);
        self.count(outcome);
        self.upstream.record(took.as_secs_f64());
    }

    /// Without a look anywhere.
    pub(super) fn count(&self, outcome: Outcome) {
        self.queries.iter().filter(|(of, _)| *of == outcome).for_each(|(_, counter)| counter.increment(1));
    }
}
