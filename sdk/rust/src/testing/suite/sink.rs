use super::misspelt;
use crate::sink::{Batch, LogRecord, Origin, Outcome};
use crate::{Config, Label, Sink};

/// Sinks: a batch without records is taken; any batch that keeps the contract's shape is taken or put off, again and
/// again, whatever its records say.
pub fn sink<S: Sink>(config: &Config) {
    assert!(S::default().configure(misspelt(config)).is_err(), "an unknown key of the configuration is refused");
    let mut plugin = S::default();
    plugin.configure(config.clone()).expect("takes its configuration");
    let nothing = Batch { origins: Vec::new(), records: Vec::new() };
    assert_eq!(plugin.write(nothing), Outcome::Accepted, "an empty batch is taken");
    for body in ["", "a line", "two\nlines", "\"quoted\" \u{1F600} \u{7}", &"long ".repeat(20_000)] {
        offer(&mut plugin, body);
        // At least once: the same batch may come again.
        offer(&mut plugin, body);
    }
}

fn offer<S: Sink>(plugin: &mut S, body: &str) {
    let outcome = plugin.write(batch(body));
    let about: String = body.chars().take(20).collect();
    assert!(!matches!(outcome, Outcome::Rejected(_)), "a record is no reason to reject: {outcome:?} for {about:?}");
}

/// One record of each of two containers, and one of an origin about which nothing is known.
fn batch(body: &str) -> Batch {
    let container = |name: &str| Origin {
        attributes: vec![
            Label::new("k8s.namespace.name", "default"),
            Label::new("k8s.pod.name", "web-1"),
            Label::new("k8s.container.name", name),
        ],
    };
    let record = |origin: u32| LogRecord {
        origin,
        time_unix_nano: 1_767_225_600_000_000_000 + u64::from(origin),
        severity_number: 9,
        body: body.to_string(),
        attributes: vec![Label::new("log.iostream", "stdout")],
    };
    let origins = vec![container("app"), container("side/../car"), Origin { attributes: Vec::new() }];
    Batch { origins, records: (0..3).map(record).collect() }
}
