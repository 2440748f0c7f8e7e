//! What can be asked about.

use gantry_sdk::api::Time;

use super::operator::Operator;

/// The subject of a test.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// `agentConnected`: `true` or `false`.
    AgentConnected,
    /// `agentVersion`: numbers with dots between.
    AgentVersion,
    /// `attribute:NAME`
    Attribute(String),
    /// `ec2InstanceId`
    Ec2InstanceId,
    /// `registeredAt`: a moment.
    RegisteredAt,
    /// `runningTasksCount`
    RunningTasksCount,
    /// `task:group`: the groups of the tasks on it.
    TaskGroup,
}

const PREFIX: &str = "attribute:";
/// Characters of an attribute's name.
const MOST_NAME: usize = 128;

impl Subject {
    pub(super) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "agentConnected" => Self::AgentConnected,
            "agentVersion" => Self::AgentVersion,
            "ec2InstanceId" => Self::Ec2InstanceId,
            "registeredAt" => Self::RegisteredAt,
            "runningTasksCount" => Self::RunningTasksCount,
            "task:group" => Self::TaskGroup,
            word => {
                let name = word.strip_prefix(PREFIX).filter(|name| !name.is_empty() && name.len() <= MOST_NAME)?;
                Self::Attribute(name.to_owned())
            }
        })
    }

    /// Its word.
    pub fn name(&self) -> String {
        match self {
            Self::AgentConnected => "agentConnected".to_owned(),
            Self::AgentVersion => "agentVersion".to_owned(),
            Self::Attribute(name) => format!("{PREFIX}{name}"),
            Self::Ec2InstanceId => "ec2InstanceId".to_owned(),
            Self::RegisteredAt => "registeredAt".to_owned(),
            Self::RunningTasksCount => "runningTasksCount".to_owned(),
            Self::TaskGroup => "task:group".to_owned(),
        }
    }

    /// Which operators ECS takes for it.
    pub(super) fn takes(&self, operator: Operator) -> bool {
        let equal = matches!(operator, Operator::Equal);
        let order =
            matches!(operator, Operator::Greater | Operator::GreaterEqual | Operator::Less | Operator::LessEqual);
        match self {
            Self::Attribute(_) => true,
            Self::AgentVersion | Self::RegisteredAt | Self::RunningTasksCount => equal || order,
            Self::AgentConnected | Self::Ec2InstanceId | Self::TaskGroup => {
                equal || matches!(operator, Operator::In | Operator::Matches)
            }
        }
    }

    /// What is wrong with a value to compare with.
    pub(super) fn objection(&self, value: &str) -> Option<&'static str> {
        match self {
            Self::AgentConnected if !matches!(value, "true" | "false") => Some("true or false is expected"),
            Self::AgentVersion if version(value).is_none() => Some("a version, as 1.2.3, is expected"),
            Self::RegisteredAt if moment(value).is_none() => {
                Some("a date, as 2018-06-18 or 2018-06-18T22:28:28Z, is expected")
            }
            Self::RunningTasksCount if value.parse::<u64>().is_err() => Some("a number is expected"),
            _ => None,
        }
    }

    /// How two values stand to each other. What can't be compared as the subject's kind is compared as text.
    pub(super) fn compare(&self, one: &str, other: &str) -> std::cmp::Ordering {
        let as_texts = || one.cmp(other);
        match self {
            Self::AgentVersion => version(one).zip(version(other)).map_or_else(as_texts, |(a, b)| a.cmp(&b)),
            Self::RegisteredAt => moment(one).zip(moment(other)).map_or_else(as_texts, |(a, b)| a.cmp(&b)),
            Self::RunningTasksCount | Self::Attribute(_) => {
                let number = |text: &str| text.parse::<f64>().ok().filter(|n| n.is_finite());
                let numbers = number(one).zip(number(other)).and_then(|(a, b)| a.partial_cmp(&b));
                numbers.unwrap_or_else(as_texts)
            }
            _ => as_texts(),
        }
    }
}

/// `1.2.3`, also with a `v` before it and with something after a hyphen or plus.
fn version(text: &str) -> Option<Vec<u64>> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let text = text.split(['-', '+']).next()?;
    let mut parts: Vec<u64> = text.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    while parts.last() == Some(&0) {
        parts.pop();
    }
    Some(parts)
}

/// A date, or a date and a time of day with or without zone.
fn moment(text: &str) -> Option<Time> {
    let (date, clock) = text.split_once('T').unwrap_or((text, "00:00:00Z"));
    let zone = clock.ends_with('Z') || clock.get(8..).is_some_and(|rest| rest.contains(['+', '-']));
    Time::parse(&format!("{date}T{clock}{}", if zone { "" } else { "Z" })).ok()
}
