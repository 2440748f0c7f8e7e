//! The cluster query language: expressions that choose container instances, in constraints of placement (`memberOf`) and
//! filters of lists.
//!
//! Bounded in length, depth, tests and the cost of patterns, so that whoever may write one can't make it expensive.

mod cursor;
mod operator;
mod parser;
mod subject;
mod test;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use subject::Subject;
use test::Test;

/// Characters of an expression; as ECS has it.
pub const MOST_LENGTH: usize = 2_000;

/// What is asked about an instance.
pub trait Facts {
    /// What the instance has of a subject: nothing, one value, or (tasks) several.
    fn values(&self, subject: &Subject) -> Vec<Cow<'_, str>>;
}

/// Why a text is no expression, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Characters before the place, counted from 0.
    pub position: usize,
    /// For people.
    pub what: String,
}

impl std::fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at position {}", self.what, self.position)
    }
}

impl std::error::Error for SyntaxError {}

/// An expression, read.
#[derive(Clone, Debug)]
pub struct Expression(Term);

#[derive(Clone, Debug)]
pub(crate) enum Term {
    All(Vec<Term>),
    Any(Vec<Term>),
    Not(Box<Term>),
    Test(Test),
}

impl Expression {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        parser::parse(text).map(Self)
    }

    /// Whether it chooses an instance.
    pub fn chooses(&self, facts: &impl Facts) -> bool {
        self.0.holds(facts)
    }

    /// Every subject that it asks about.
    pub fn subjects(&self) -> Vec<&Subject> {
        let mut all = Vec::new();
        self.0.subjects(&mut all);
        all
    }
}

impl Term {
    fn holds(&self, facts: &impl Facts) -> bool {
        match self {
            Self::All(terms) => terms.iter().all(|term| term.holds(facts)),
            Self::Any(terms) => terms.iter().any(|term| term.holds(facts)),
            Self::Not(term) => !term.holds(facts),
            Self::Test(test) => test.holds(&facts.values(&test.subject)),
        }
    }

    fn subjects<'a>(&'a self, into: &mut Vec<&'a Subject>) {
        match self {
            Self::All(terms) | Self::Any(terms) => terms.iter().for_each(|term| term.subjects(into)),
            Self::Not(term) => term.subjects(into),
            Self::Test(test) => into.push(&test.subject),
        }
    }
}
