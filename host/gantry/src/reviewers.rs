//! Who looks at writes: the host at what nodes write, then the plugins of the family admission, in the bundle's order.

use std::collections::HashMap;
use std::sync::Arc;

use gantry_control::admission::{self, Away, Options};
use gantry_control::plugins::{self, Refused};
use gantry_control::ranges::{self, Ranges};
use gantry_objects::Objects;
use gantry_objects::admission::{Reviewer, Rule};
use gantry_plugin::{Bundle, Loaded};
use tokio::task::JoinSet;

use crate::identity;

/// Which writes each plugin reviews.
pub type Rules = HashMap<String, Vec<Rule>>;

/// Starts the workers and lets them look at every write from now on.
pub fn start(
    tasks: &mut JoinSet<()>,
    bundle: &Bundle,
    loaded: &[Arc<Loaded>],
    refused: &[Refused],
    rules: &Rules,
    objects: &Objects,
    ranges: Ranges,
) {
    let mut reviewers: Vec<Arc<dyn Reviewer>> = vec![identity::reviewer(), Arc::new(ranges::Review::new(ranges))];
    for entry in &bundle.plugins {
        let plugin = loaded.iter().find(|plugin| plugin.name() == entry.name);
        if let Some(admission) = plugin.and_then(|plugin| plugin.admission()) {
            let rules = rules.get(&entry.name).cloned().unwrap_or_default();
            let mut options = Options::new(&entry.name, admission);
            options.concurrency = entry.instances.map_or(options.concurrency, |n| usize::try_from(n).unwrap_or(1));
            reviewers.push(Arc::new(admission::start(options, rules, tasks)));
        } else if let Some(refused) = refused.iter().find(|refused| refused.name == entry.name) {
            let rules = plugins::remembered(objects, &entry.name);
            reviewers.push(Arc::new(Away::new(&entry.name, &refused.why, rules)));
        }
    }
    objects.reviewed_by(reviewers);
}
