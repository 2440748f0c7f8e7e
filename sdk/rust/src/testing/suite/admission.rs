use super::misspelt;
use crate::admission::{Decision, Request};
use crate::{Admission, Config};

/// Admission: a steady description that the host takes; verdicts that do not depend on what else is in the batch or was
/// asked before, change only where that is allowed, and come for any input. `requests` are writes worth asking about.
pub fn admission<A: Admission>(config: &Config, requests: &[Request]) {
    assert!(A::default().configure(misspelt(config)).is_err(), "an unknown key of the configuration is refused");
    let start = || {
        let mut plugin = A::default();
        plugin.configure(config.clone()).expect("takes its configuration");
        plugin
    };
    let mut plugin = start();
    let rules = plugin.rules();
    assert!(!rules.is_empty(), "a reviewer reviews something");
    assert_eq!(rules, plugin.rules(), "the description stays the same");
    for rule in &rules {
        assert!(!rule.operations.is_empty() && !rule.subresources.is_empty(), "a rule for {} is empty", rule.kind);
        assert!(!rule.mutates || rule.subresources == [""], "only the object itself can be changed ({})", rule.kind);
    }
    assert!(plugin.review_batch(&[]).is_empty(), "no requests, no verdicts");
    let together = plugin.review_batch(requests);
    assert_eq!(together.len(), requests.len(), "one verdict per request");
    assert_eq!(together, plugin.review_batch(requests), "the same question has the same answer");
    for (request, verdict) in requests.iter().zip(&together) {
        let alone = start().review_batch(std::slice::from_ref(request));
        assert_eq!(alone, std::slice::from_ref(verdict), "{request}: neighbours do not matter");
        let judged = Request { may_change: false, ..request.clone() };
        let [verdict] = plugin.review_batch(&[judged]).try_into().expect("one verdict");
        assert!(!matches!(verdict.decision, Decision::Change(_)), "{request}: changed where it was only to be judged");
    }
    for rubbish in ["", "null", "{", "[]", "{\"spec\": 7}", "{\"metadata\": []}"] {
        let odd = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|_| rubbish.as_bytes().to_vec());
        let odd: Vec<Request> =
            requests.iter().map(|r| Request { old: odd(&r.old), new: odd(&r.new), ..r.clone() }).collect();
        assert_eq!(plugin.review_batch(&odd).len(), odd.len(), "an answer to {rubbish:?} too");
    }
}
