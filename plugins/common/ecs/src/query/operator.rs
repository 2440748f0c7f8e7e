//! Operators, in their two ways of writing.

/// What a test does. Those with a `not` in ECS are the same, turned round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    Exists,
    In,
    Matches,
}

/// How it is written, what it does, and whether it is turned round. Of two signs with the same beginning the longer first.
const WRITTEN: [(&str, Operator, bool); 22] = [
    ("==", Operator::Equal, false),
    ("!=", Operator::Equal, true),
    (">=", Operator::GreaterEqual, false),
    ("<=", Operator::LessEqual, false),
    (">", Operator::Greater, false),
    ("<", Operator::Less, false),
    ("=~", Operator::Matches, false),
    ("!~", Operator::Matches, true),
    ("!exists", Operator::Exists, true),
    ("!in", Operator::In, true),
    ("equals", Operator::Equal, false),
    ("not_equals", Operator::Equal, true),
    ("greater_than_equal", Operator::GreaterEqual, false),
    ("greater_than", Operator::Greater, false),
    ("less_than_equal", Operator::LessEqual, false),
    ("less_than", Operator::Less, false),
    ("exists", Operator::Exists, false),
    ("not_exists", Operator::Exists, true),
    ("in", Operator::In, false),
    ("not_in", Operator::In, true),
    ("matches", Operator::Matches, false),
    ("not_matches", Operator::Matches, true),
];

/// The operator that a text begins with: its length, what it does, and whether it is turned round.
pub(crate) fn read(text: &str) -> Option<(usize, Operator, bool)> {
    let ends = |sign: &str| {
        let word = sign.ends_with(|c: char| c.is_ascii_alphabetic());
        let next = text.get(sign.len()..).and_then(|rest| rest.chars().next());
        !word || next.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '_')
    };
    let found = WRITTEN.iter().find(|(sign, ..)| text.starts_with(sign) && ends(sign));
    found.map(|(sign, operator, turned)| (sign.len(), *operator, *turned))
}
