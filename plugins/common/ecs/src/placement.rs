//! A task's wishes about its place, as its pod carries them.

use serde::{Deserialize, Serialize};

use crate::query::{Expression, Subject};

/// `spec.schedulerName` of tasks' pods: the word by which ECS's own placement is known in a bundle. It is another one than
/// that of pods which did not ask, so that both kinds can be on at once, each placed by its own rules.
pub const SCHEDULER: &str = "ecs";

/// The annotation with `Placement`, in JSON. Its prefix makes it a part of what tells pods apart for schedulers.
pub const ANNOTATION: &str = "scheduling.ecs.gantry.dev/placement";

/// What decides on a task's place besides its size. Tasks with the same are placed as one class of pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Placement {
    /// The cluster's name.
    pub cluster: String,
    /// `family:web`, `service:web`, or as the caller of RunTask named it. Tasks are spread among those of their group.
    pub group: String,
    /// Where it must not go: those of the definition and those of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<Constraint>,
    /// What is best of the rest, the most important first. None: a random one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub strategy: Vec<Strategy>,
}

/// As in ECS's API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Constraint {
    /// `distinctInstance` or `memberOf`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of `memberOf`, in the cluster query language.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub expression: String,
}

/// As in ECS's API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Strategy {
    /// `spread`, `binpack` or `random`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What to spread over, or to fill up.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// A constraint, read.
#[derive(Clone, Debug)]
pub enum Limit {
    /// No two tasks of the group on one instance.
    DistinctInstance,
    /// Only instances that it chooses.
    MemberOf(Expression),
}

impl Constraint {
    /// Reads it. An error is in ECS's words where they are known.
    pub fn limit(&self) -> Result<Limit, String> {
        match (self.kind.as_str(), self.expression.as_str()) {
            ("distinctInstance", "") => Ok(Limit::DistinctInstance),
            ("distinctInstance", _) => Err("distinctInstance expression should not be specified.".to_owned()),
            ("memberOf", "") => Err("memberOf expression should be specified.".to_owned()),
            ("memberOf", text) => {
                member(text).map(Limit::MemberOf).map_err(|what| format!("Invalid expression {text:?}: {what}."))
            }
            (kind, _) => Err(format!("The placement constraint {kind:?} is not one of distinctInstance and memberOf.")),
        }
    }
}

/// What schedulers do not know of a node can't be asked.
fn member(text: &str) -> Result<Expression, String> {
    let expression = Expression::parse(text).map_err(|error| error.to_string())?;
    let unknown = |subject: &&&Subject| matches!(subject, Subject::AgentVersion | Subject::RegisteredAt);
    match expression.subjects().iter().find(unknown) {
        Some(subject) => Err(format!("{} is for filters of lists here, not for placement", subject.name())),
        None => Ok(expression),
    }
}

/// A strategy, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Where the fewest tasks of the group are: by instance.
    SpreadInstances,
    /// The same by an attribute of instances.
    SpreadAttribute(String),
    /// Where the least cpu is left.
    BinpackCpu,
    /// Where the least memory is left.
    BinpackMemory,
    /// Anywhere.
    Random,
}

impl Strategy {
    /// Reads it. An error is in ECS's words.
    pub fn rule(&self) -> Result<Rule, String> {
        // What names the same in lower case is meant: ECS writes CPU and MEMORY so itself.
        let field = self.field.as_str();
        match (self.kind.as_str(), field.to_ascii_lowercase().as_str()) {
            ("random", "") => Ok(Rule::Random),
            ("spread", "instanceid" | "host") => Ok(Rule::SpreadInstances),
            ("spread", _) => match field.strip_prefix("attribute:").filter(|name| !name.is_empty()) {
                Some(name) => Ok(Rule::SpreadAttribute(name.to_owned())),
                None => Err(format!("The field {field:?} is not valid for the placement strategy spread.")),
            },
            ("binpack", "cpu") => Ok(Rule::BinpackCpu),
            ("binpack", "memory") => Ok(Rule::BinpackMemory),
            ("binpack" | "random", _) => {
                Err(format!("The field {field:?} is not valid for the placement strategy {}.", self.kind))
            }
            (kind, _) => Err(format!("The placement strategy {kind:?} is not one of random, spread and binpack.")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_are_read() {
        let table = [
            ("distinctInstance", "", None),
            ("distinctInstance", "x", Some("should not be specified")),
            ("memberOf", "attribute:stack == a", None),
            ("memberOf", "", Some("should be specified")),
            ("memberOf", "attribute:stack = a", Some("an operator is expected, not \"=\" at position 16")),
            ("memberOf", "not(registeredAt > 2018-06-18)", Some("registeredAt is for filters")),
            ("near", "", Some("\"near\" is not one of")),
        ];
        for (kind, expression, want) in table {
            let read = Constraint { kind: kind.to_owned(), expression: expression.to_owned() }.limit();
            let said = read.err().unwrap_or_default();
            assert!(
                said.contains(want.unwrap_or_default()) && said.is_empty() == want.is_none(),
                "{expression}: {said}"
            );
        }
    }

    #[test]
    fn strategies_are_read() {
        let table = [
            ("random", "", Some(Rule::Random)),
            ("random", "cpu", None),
            ("spread", "instanceId", Some(Rule::SpreadInstances)),
            ("spread", "host", Some(Rule::SpreadInstances)),
            ("spread", "attribute:ecs.os-type", Some(Rule::SpreadAttribute("ecs.os-type".to_owned()))),
            ("spread", "attribute:", None),
            ("spread", "cpu", None),
            ("binpack", "CPU", Some(Rule::BinpackCpu)),
            ("binpack", "memory", Some(Rule::BinpackMemory)),
            ("binpack", "", None),
            ("pack", "cpu", None),
        ];
        for (kind, field, expected) in table {
            let strategy = Strategy { kind: kind.to_owned(), field: field.to_owned() };
            assert_eq!(strategy.rule().ok(), expected, "{kind} {field}");
        }
    }
}
