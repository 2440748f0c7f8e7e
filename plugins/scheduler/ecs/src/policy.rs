//! The policy: tables fed by deltas, verdicts read from them.

use std::collections::BTreeMap;

use gantry_sdk::scheduler::{Class, Delta, Dependency, Policy, Verdict};
use gantry_sdk::{Config, Error, Result, Scheduler};
use scheduler_common::{Fleet, Moved};

use crate::instances::{Instance, Tasks};
use crate::judge::Judge;
use crate::options::Options;
use crate::task::Task;

/// The rules of Amazon ECS about a task and where it may go.
#[derive(Debug, Default)]
pub struct Ecs {
    options: Options,
    fleet: Fleet,
    instances: BTreeMap<u32, Instance>,
    classes: BTreeMap<u32, std::result::Result<Task, String>>,
    tasks: Tasks,
}

impl Scheduler for Ecs {
    /// A strategy compares all candidates, and which attributes count is each task's to say. So everything depends on
    /// everything.
    fn configure(&mut self, config: Config) -> Result<Policy> {
        self.options = config.parse()?;
        Ok(Policy { depends_on: vec![Dependency::Global] })
    }

    fn sync(&mut self, deltas: Vec<Delta>) -> Result<()> {
        deltas.into_iter().try_for_each(|delta| self.take(delta))
    }

    fn evaluate(&mut self, class: u32, nodes: &[u32]) -> Result<Vec<Verdict>> {
        let task =
            self.classes.get_mut(&class).ok_or_else(|| Error::not_found(format!("class {class} is not known")))?;
        let question = self.fleet.question(class)?;
        match task {
            Ok(task) => {
                let mut judge = Judge { options: &self.options, task, instances: &self.instances, tasks: &self.tasks };
                Ok(judge.verdicts(question, nodes))
            }
            Err(why) => {
                let code = question.reasons.unreadable(why);
                let asked = if nodes.is_empty() { self.instances.len() } else { nodes.len() };
                Ok(vec![Verdict::Infeasible(code); asked])
            }
        }
    }

    fn reasons(&mut self, code: u16) -> Vec<String> {
        self.fleet.texts(code)
    }
}

impl Ecs {
    fn take(&mut self, delta: Delta) -> Result<()> {
        match &delta {
            Delta::NodeSet(node) => {
                self.instances.insert(node.id, Instance::of(node));
                self.forget(node.id);
            }
            Delta::NodeGone(id) => {
                self.instances.remove(id);
                self.forget(*id);
            }
            Delta::ClassSet(_) | Delta::ClassGone(_) | Delta::Assign(_) => {}
        }
        let read = match &delta {
            Delta::ClassSet(class) => Some((class.id, read(class))),
            _ => None,
        };
        let gone = match &delta {
            Delta::ClassGone(id) => Some(*id),
            _ => None,
        };
        // Pods that move with a class are still of the old one.
        for moved in self.fleet.take(delta)? {
            self.moved(&moved);
        }
        gone.and_then(|id| self.classes.remove(&id));
        self.classes.extend(read);
        Ok(())
    }

    fn forget(&mut self, node: u32) {
        self.classes.values_mut().flatten().for_each(|task| task.forget(node));
    }

    fn moved(&mut self, moved: &Moved) {
        if let Some(Ok(Task { group: Some(group), .. })) = self.classes.get(&moved.class) {
            self.tasks.change(group, moved.node, moved.count);
        }
    }
}

/// What can't be read is a reason against every instance, and no error: that would stop all other tasks too.
fn read(class: &Class) -> std::result::Result<Task, String> {
    Task::read(class).map_err(|error| error.message)
}
