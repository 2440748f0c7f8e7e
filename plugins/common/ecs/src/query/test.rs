//! One test of an expression.

use std::borrow::Cow;
use std::cmp::Ordering;

use regex_lite::{Regex, RegexBuilder};

use super::operator::Operator;
use super::subject::Subject;

/// Bytes that a compiled pattern may take, which bounds what a match costs too: it looks at each byte of a value once for
/// each state.
const PATTERN_SIZE: usize = 32 << 10;
/// Groups within each other.
const PATTERN_DEPTH: u32 = 16;

/// `subject operator [argument]`
#[derive(Clone, Debug)]
pub(crate) struct Test {
    pub(crate) subject: Subject,
    pub(crate) operator: Operator,
    /// Its answer is turned round.
    pub(crate) turned: bool,
    pub(crate) values: Vec<String>,
    pub(crate) pattern: Option<Pattern>,
}

impl Test {
    /// What is not there equals nothing, matches nothing and is in no list.
    pub(crate) fn holds(&self, found: &[Cow<'_, str>]) -> bool {
        let with = |value: &str, fits: fn(Ordering) -> bool| {
            self.values.iter().any(|wanted| fits(self.subject.compare(value, wanted)))
        };
        let one = |value: &str| match self.operator {
            Operator::Equal | Operator::In => with(value, Ordering::is_eq),
            Operator::Greater => with(value, Ordering::is_gt),
            Operator::GreaterEqual => with(value, Ordering::is_ge),
            Operator::Less => with(value, Ordering::is_lt),
            Operator::LessEqual => with(value, Ordering::is_le),
            Operator::Matches => self.pattern.as_ref().is_some_and(|pattern| pattern.0.is_match(value)),
            Operator::Exists => true,
        };
        found.iter().any(|value| one(value)) != self.turned
    }
}

/// A pattern that must fit the whole value, as `matches` of Java has it. Of Java's syntax there is what can be matched in
/// time that grows with the value only: no references back, nothing that looks around.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(Regex);

impl Pattern {
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        // Alone first: parentheses that do not match could else be closed by ours.
        let build = |text: &str| RegexBuilder::new(text).size_limit(PATTERN_SIZE).nest_limit(PATTERN_DEPTH).build();
        build(text).and_then(|_| build(&format!("^(?:{text})$"))).map(Self).map_err(|e| format!("invalid pattern: {e}"))
    }
}
