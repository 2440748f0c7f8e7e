//! Ranges that are written into a Node by hand, or by its agent: no other node may have them.

use std::time::Instant;

use async_trait::async_trait;
use gantry_model::status::{Cause, Reason};
use gantry_objects::admission::{Down, Operation, Request, Reviewer, Rule, Verdict};
use ipnet::IpNet;
use serde_json::Value;

use super::{Ranges, texts};

const HOST: &str = "gantry:host";

/// Holds a Node's ranges against those of all others.
pub struct Review {
    rules: [Rule; 1],
    ranges: Ranges,
}

impl Review {
    /// Against these.
    pub fn new(ranges: Ranges) -> Self {
        let rule = Rule {
            group: String::new(),
            kind: "Node".to_owned(),
            operations: vec![Operation::Create, Operation::Update],
            subresources: vec![String::new()],
            mutates: false,
            refuses_when_down: true,
        };
        Self { rules: [rule], ranges }
    }

    fn judge(&self, node: &str, new: &Value, by_allocator: bool) -> Result<(), Cause> {
        let texts = texts(new);
        let mut ranges: Vec<IpNet> = Vec::new();
        for (at, text) in texts.iter().enumerate() {
            let invalid = |why: &str| Cause::invalid(format!("spec.podCIDRs[{at}]"), &Value::from(*text), why);
            let range: IpNet = text.parse().map_err(|_| invalid("must be a range in CIDR notation"))?;
            if range != range.trunc() {
                return Err(invalid(&format!("must begin where the range begins: {}", range.trunc())));
            }
            if ranges.iter().any(|other| other.addr().is_ipv4() == range.addr().is_ipv4()) {
                return Err(invalid("may have one range of each address family"));
            }
            ranges.push(range);
        }
        if by_allocator {
            return Ok(());
        }
        self.ranges.pool().claim(node, &ranges, Instant::now()).map_err(|taken| Cause {
            reason: "FieldValueForbidden".to_owned(),
            message: format!("Forbidden: {taken}"),
            field: "spec.podCIDRs".to_owned(),
        })
    }
}

#[async_trait]
impl Reviewer for Review {
    fn name(&self) -> &str {
        "host:node-ranges"
    }

    fn rules(&self) -> &[Rule] {
        &self.rules
    }

    async fn review(&self, request: Request) -> Result<Verdict, Down> {
        let (old, new) = request.objects()?;
        if texts(&new).is_empty() || texts(&old) == texts(&new) || request.dry_run {
            return Ok(Verdict::allow());
        }
        // The allocator has taken them from the same pool.
        let ours = request.user.name == HOST && self.ranges.has(&request.name, &texts(&new));
        Ok(match self.judge(&request.name, &new, ours) {
            Ok(()) => Verdict::allow(),
            Err(cause) => Verdict::deny(Reason::Invalid, cause.message.clone(), vec![cause]),
        })
    }
}
