//! A plugin that reviewed and can't be loaded now.

use async_trait::async_trait;
use gantry_objects::admission::{Down, Request, Reviewer, Rule, Verdict};

/// Stands for a plugin that the bundle names and that is not loaded, with the rules that it had when it ran last: what
/// it wants refused while it is down stays refused.
pub struct Away {
    plugin: String,
    why: String,
    rules: Vec<Rule>,
}

impl Away {
    /// For the plugin of this name, which is not loaded because of `why`.
    pub fn new(plugin: &str, why: &str, rules: Vec<Rule>) -> Self {
        Self { plugin: plugin.to_owned(), why: why.to_owned(), rules }
    }
}

#[async_trait]
impl Reviewer for Away {
    fn name(&self) -> &str {
        &self.plugin
    }

    fn rules(&self) -> &[Rule] {
        &self.rules
    }

    async fn review(&self, _: Request) -> Result<Verdict, Down> {
        Err(Down::Away(format!("it is not loaded: {}", self.why)))
    }
}
