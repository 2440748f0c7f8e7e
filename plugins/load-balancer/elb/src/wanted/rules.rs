//! Rules of one listener, in the order in which they are asked.

use super::condition::conditions;
use super::{Action, Condition, Result, Unfit, unfit};
use crate::object::{Http, Rule as Given};

/// A rule of AWS. Its priority is its place in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// All of these.
    pub conditions: Vec<Condition>,
    /// What becomes of what is so.
    pub action: Action,
}

/// What requests at a listener of this name meet: its rules, and what becomes of all others. The first rule without
/// conditions is for all others; what comes after it is never asked.
pub fn rules(http: &Http, listener: &str, group: &dyn Fn(&str) -> Option<String>) -> Result<(Vec<Rule>, Action)> {
    let mut given: Vec<&Given> = http
        .rules
        .iter()
        .filter(|rule| rule.listeners.is_empty() || rule.listeners.iter().any(|l| l == listener))
        .collect();
    given.sort_by_key(|rule| rule.priority);
    let mut rules = Vec::new();
    for (at, rule) in given.into_iter().enumerate() {
        let named = |Unfit(what): Unfit| Unfit(format!("rule {} of listener {listener}: {what}", at + 1));
        let action = action(rule, group).map_err(named)?;
        for conditions in conditions(&rule.condition).map_err(named)? {
            if conditions.is_empty() {
                return Ok((rules, action));
            }
            rules.push(Rule { conditions, action: action.clone() });
        }
    }
    Ok((rules, Action::nobody()))
}

fn action(rule: &Given, group: &dyn Fn(&str) -> Option<String>) -> Result<Action> {
    match (&rule.action.forward, &rule.action.response, &rule.action.redirect) {
        (Some(to), ..) => Action::forward(to, group),
        (_, Some(response), _) => Action::respond(response),
        (_, _, Some(redirect)) => Action::redirect(redirect),
        _ => unfit("it says not what becomes of requests"),
    }
}
