//! Classes of pods, as far as they are tasks.

use ecs_common::placement::{ANNOTATION, Limit, Placement, Rule};
use ecs_common::query::{Expression, Subject};
use gantry_sdk::scheduler::{Class, ClassSpec};
use gantry_sdk::{Error, Result, serde_json};

/// Whose tasks are counted together: a cluster and a group in it.
pub type Group = (String, String);

/// What one class asks for.
#[derive(Clone, Debug, Default)]
pub struct Task {
    /// Nothing for a pod that is no task.
    pub group: Option<Group>,
    /// No other task of the group may be where it goes.
    pub distinct: bool,
    /// Which instances it may go to: by what stays as it is while tasks come and go.
    pub fixed: Vec<Expression>,
    /// The same by the tasks that are there.
    pub moving: Vec<Expression>,
    /// What `fixed` says of instances, as far as it was asked.
    pub known: Vec<Option<bool>>,
    /// At least one.
    pub rules: Vec<Rule>,
}

impl Task {
    /// Reads a class. An error is about its pods alone.
    pub fn read(class: &Class) -> Result<Self> {
        let spec = ClassSpec::parse(class)?;
        let Some(text) = spec.annotations.get(ANNOTATION) else { return Ok(Self::any()) };
        let invalid = |what: String| Error::invalid(format!("annotation {ANNOTATION}: {what}"));
        let placement: Placement = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
        let mut task = Self { group: Some((placement.cluster, placement.group)), ..Self::any() };
        if !placement.strategy.is_empty() {
            task.rules = placement.strategy.iter().map(|s| s.rule().map_err(invalid)).collect::<Result<_>>()?;
        }
        for constraint in &placement.constraints {
            match constraint.limit().map_err(invalid)? {
                Limit::DistinctInstance => task.distinct = true,
                Limit::MemberOf(expression) if moves(&expression) => task.moving.push(expression),
                Limit::MemberOf(expression) => task.fixed.push(expression),
            }
        }
        Ok(task)
    }

    /// A pod without wishes.
    pub fn any() -> Self {
        Self { rules: vec![Rule::Random], ..Self::default() }
    }

    /// An instance is another one now.
    pub fn forget(&mut self, id: u32) {
        self.known.get_mut(id as usize).into_iter().for_each(|known| *known = None);
    }
}

fn moves(expression: &Expression) -> bool {
    expression.subjects().iter().any(|subject| matches!(subject, Subject::RunningTasksCount | Subject::TaskGroup))
}
