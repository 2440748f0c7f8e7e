//! What is counted of a plugin's requests.

use std::time::Instant;

use metrics::{Gauge, Histogram};

/// The metrics of one plugin.
pub(super) struct Tally {
    plugin: String,
    seconds: Histogram,
    open: Gauge,
}

/// A request under way. Counted when it ends, also when whoever asked is gone before that.
pub(super) struct Open<'a> {
    tally: &'a Tally,
    began: Instant,
    outcome: &'static str,
}

impl Open<'_> {
    /// How it ended: `answered`, `denied`, `limit`, `too-large`, `timeout`, `unsigned` or `failed`.
    pub(super) fn end(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.tally.open.decrement(1.0);
        self.tally.seconds.record(self.began.elapsed());
        let (plugin, outcome) = (self.tally.plugin.clone(), self.outcome);
        metrics::counter!("gantry_plugin_http_requests_total", "plugin" => plugin, "outcome" => outcome).increment(1);
    }
}

impl Tally {
    pub(super) fn new(plugin: &str) -> Self {
        let plugin = plugin.to_owned();
        Self {
            seconds: metrics::histogram!("gantry_plugin_http_seconds", "plugin" => plugin.clone()),
            open: metrics::gauge!("gantry_plugin_http_open", "plugin" => plugin.clone()),
            plugin,
        }
    }

    pub(super) fn open(&self) -> Open<'_> {
        self.open.increment(1.0);
        Open { tally: self, began: Instant::now(), outcome: "abandoned" }
    }

    pub(super) fn moved(&self, direction: &'static str, bytes: usize) {
        let plugin = self.plugin.clone();
        metrics::counter!("gantry_plugin_http_bytes_total", "plugin" => plugin, "direction" => direction)
            .increment(bytes as u64);
    }
}
