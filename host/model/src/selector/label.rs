//! Label selectors, as text (`app=web,tier in (a, b),!old`) and as objects (`matchLabels`, `matchExpressions`).

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::SelectorError;
use crate::validate::names;

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Has one of the values.
    In,
    /// Has none of the values, or there is no such label.
    NotIn,
    /// There is such a label.
    Exists,
    /// There is no such label.
    DoesNotExist,
    /// Is a whole number greater than the value.
    Gt,
    /// Is a whole number less than the value.
    Lt,
}

/// One term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// How.
    pub operator: Operator,
    /// In order, each once.
    pub values: Vec<String>,
}

impl Requirement {
    /// A term; says what is wrong with its key or values.
    pub fn new(key: &str, operator: Operator, mut values: Vec<String>) -> Result<Self, SelectorError> {
        if let Some(problem) = names::qualified_name(key).into_iter().next() {
            return Err(SelectorError::Label(format!("key: Invalid value: \"{key}\": {problem}")));
        }
        let wanted = match operator {
            Operator::In | Operator::NotIn => !values.is_empty(),
            Operator::Exists | Operator::DoesNotExist => values.is_empty(),
            Operator::Gt | Operator::Lt => matches!(values.as_slice(), [one] if one.parse::<i64>().is_ok()),
        };
        if !wanted {
            let detail = match operator {
                Operator::In | Operator::NotIn => "for 'in', 'notin' operators, values set can't be empty",
                Operator::Exists | Operator::DoesNotExist => "values set must be empty for exists and does not exist",
                Operator::Gt | Operator::Lt => "for 'Gt', 'Lt' operators, exactly one integer value is required",
            };
            return Err(SelectorError::Operator(format!("values: Invalid value: {values:?}: {detail}")));
        }
        for value in &values {
            if let Some(problem) = names::label_value(value).into_iter().next() {
                return Err(SelectorError::Label(format!("values[0][{key}]: Invalid value: \"{value}\": {problem}")));
            }
        }
        values.sort();
        values.dedup();
        Ok(Self { key: key.to_owned(), operator, values })
    }

    /// Whether it holds of these labels.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let label = labels.get(&self.key);
        let number = |text: &String| text.parse::<i64>().ok();
        let limit = || self.values.first().and_then(number);
        match self.operator {
            Operator::In => label.is_some_and(|v| self.values.contains(v)),
            Operator::NotIn => label.is_none_or(|v| !self.values.contains(v)),
            Operator::Exists => label.is_some(),
            Operator::DoesNotExist => label.is_none(),
            Operator::Gt => label.and_then(number).zip(limit()).is_some_and(|(have, limit)| have > limit),
            Operator::Lt => label.and_then(number).zip(limit()).is_some_and(|(have, limit)| have < limit),
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, operator, values } = self;
        let list = values.join(",");
        match (operator, values.len()) {
            (Operator::In, 1) => write!(f, "{key}={list}"),
            (Operator::In, _) => write!(f, "{key} in ({list})"),
            (Operator::NotIn, 1) => write!(f, "{key}!={list}"),
            (Operator::NotIn, _) => write!(f, "{key} notin ({list})"),
            (Operator::Exists, _) => write!(f, "{key}"),
            (Operator::DoesNotExist, _) => write!(f, "!{key}"),
            (Operator::Gt, _) => write!(f, "{key}>{list}"),
            (Operator::Lt, _) => write!(f, "{key}<{list}"),
        }
    }
}

/// Terms that all must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
    nothing: bool,
}

impl LabelSelector {
    /// Matches everything.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Matches nothing.
    pub fn nothing() -> Self {
        Self { requirements: Vec::new(), nothing: true }
    }

    /// Labels that must all be there with these values. They are not checked to be labels that can be.
    pub fn of_labels<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let term = |(key, value): (&str, &str)| Requirement {
            key: key.to_owned(),
            operator: Operator::In,
            values: vec![value.to_owned()],
        };
        Self { requirements: labels.into_iter().map(term).collect(), nothing: false }
    }

    /// Reads the text of a `labelSelector` parameter. The empty text matches everything.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut parser = Parser { tokens: tokens(text), at: 0 };
        let mut requirements = Vec::new();
        if parser.peek() != Token::End {
            loop {
                requirements.push(parser.requirement()?);
                match parser.next() {
                    Token::End => break,
                    Token::Comma => {}
                    other => return Err(found(&other, "',' or 'end of string'")),
                }
            }
        }
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Self { requirements, nothing: false })
    }

    /// Reads a `metav1.LabelSelector`. No selector (`null`) matches nothing, an empty one everything.
    pub fn from_value(value: &Value) -> Result<Self, SelectorError> {
        let Some(map) = value.as_object() else {
            return if value.is_null() {
                Ok(Self::nothing())
            } else {
                Err(SelectorError::Operator("a label selector must be an object".to_owned()))
            };
        };
        let mut requirements = Vec::new();
        for (key, value) in map.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
            let value = value.as_str().unwrap_or_default().to_owned();
            requirements.push(Requirement::new(key, Operator::In, vec![value])?);
        }
        for term in map.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
            requirements.push(expression(term)?);
        }
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Self { requirements, nothing: false })
    }

    /// Whether all terms hold of these labels.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        !self.nothing && self.requirements.iter().all(|r| r.matches(labels))
    }

    /// Whether every set of labels matches.
    pub fn is_everything(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }

    /// Whether no set of labels matches, whatever it is.
    pub fn is_nothing(&self) -> bool {
        self.nothing
    }

    /// The terms, by key.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, requirement) in self.requirements.iter().enumerate() {
            write!(f, "{}{requirement}", if n == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

fn expression(term: &Value) -> Result<Requirement, SelectorError> {
    let text = |name: &str| term.get(name).and_then(Value::as_str).unwrap_or_default();
    let operator = match text("operator") {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        other => return Err(SelectorError::Operator(format!("\"{other}\" is not a valid label selector operator"))),
    };
    let values = term.get("values").and_then(Value::as_array).into_iter().flatten();
    let values = values.map(|v| v.as_str().unwrap_or_default().to_owned()).collect();
    Requirement::new(text("key"), operator, values)
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Comma,
    Open,
    Close,
    Bang,
    Equal,
    NotEqual,
    Greater,
    Less,
    End,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Token::Word(word) => word,
            Token::Comma => ",",
            Token::Open => "(",
            Token::Close => ")",
            Token::Bang => "!",
            Token::Equal => "=",
            Token::NotEqual => "!=",
            Token::Greater => ">",
            Token::Less => "<",
            Token::End => "",
        })
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let token = match c {
            c if c.is_whitespace() => continue,
            ',' => Token::Comma,
            '(' => Token::Open,
            ')' => Token::Close,
            '>' => Token::Greater,
            '<' => Token::Less,
            '!' if chars.next_if_eq(&'=').is_some() => Token::NotEqual,
            '!' => Token::Bang,
            '=' => {
                chars.next_if_eq(&'=');
                Token::Equal
            }
            c => {
                let mut word = String::from(c);
                let inside = |c: &char| !c.is_whitespace() && !matches!(c, ',' | '(' | ')' | '>' | '<' | '!' | '=');
                while let Some(c) = chars.next_if(inside) {
                    word.push(c);
                }
                Token::Word(word)
            }
        };
        out.push(token);
    }
    out
}

fn found(token: &Token, expected: &str) -> SelectorError {
    SelectorError::Syntax(format!("found '{token}', expected: {expected}"))
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Token {
        self.tokens.get(self.at).cloned().unwrap_or(Token::End)
    }

    fn next(&mut self) -> Token {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        if self.peek() == Token::Bang {
            self.at += 1;
            let key = self.word("identifier")?;
            return Requirement::new(&key, Operator::DoesNotExist, Vec::new());
        }
        let key = self.word("!, identifier, or 'end of string'")?;
        let operator = match self.peek() {
            Token::End | Token::Comma => return Requirement::new(&key, Operator::Exists, Vec::new()),
            Token::Equal => Operator::In,
            Token::NotEqual => Operator::NotIn,
            Token::Greater => Operator::Gt,
            Token::Less => Operator::Lt,
            Token::Word(word) if word == "in" => {
                self.at += 1;
                return Requirement::new(&key, Operator::In, self.set()?);
            }
            Token::Word(word) if word == "notin" => {
                self.at += 1;
                return Requirement::new(&key, Operator::NotIn, self.set()?);
            }
            other => return Err(found(&other, "in, notin, =, ==, !=, gt, lt")),
        };
        self.at += 1;
        let value = self.value()?;
        Requirement::new(&key, operator, vec![value])
    }

    fn word(&mut self, expected: &str) -> Result<String, SelectorError> {
        match self.next() {
            Token::Word(word) => Ok(word),
            other => Err(found(&other, expected)),
        }
    }

    /// A value may be missing, which is the empty one.
    fn value(&mut self) -> Result<String, SelectorError> {
        match self.peek() {
            Token::End | Token::Comma => Ok(String::new()),
            Token::Word(word) => {
                self.at += 1;
                Ok(word)
            }
            other => Err(found(&other, "identifier")),
        }
    }

    fn set(&mut self) -> Result<Vec<String>, SelectorError> {
        if self.next() != Token::Open {
            self.at -= 1;
            return Err(found(&self.peek(), "'('"));
        }
        let mut values = Vec::new();
        loop {
            match self.next() {
                Token::Word(word) => {
                    values.push(word);
                    match self.next() {
                        Token::Comma if self.peek() == Token::Close => values.push(String::new()),
                        Token::Comma => continue,
                        Token::Close => return Ok(values),
                        other => return Err(found(&other, "',' or ')'")),
                    }
                }
                Token::Comma => values.push(String::new()),
                Token::Close if values.is_empty() => return Ok(vec![String::new()]),
                Token::Close => return Ok(values),
                other => return Err(found(&other, "',', ')' or identifier")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn labels(text: &str) -> BTreeMap<String, String> {
        text.split(',').filter_map(|l| l.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }

    #[test]
    fn texts_match_labels() {
        for (text, set, want) in [
            ("", "a=b", true),
            ("x=y", "x=y", true),
            ("x==y,z=w", "x=y,z=w", true),
            ("x!=y,z!=w", "x=z,z=a", true),
            ("x!=y", "", true),
            ("x!=y", "x=y", false),
            ("x=", "x=", true),
            ("x=", "", false),
            ("x= ,z= ", "x=,z=", true),
            ("x in (a, b)", "x=b", true),
            ("x in (a,b)", "x=c", false),
            ("x notin (a,b)", "x=c", true),
            ("x notin (a,b)", "", true),
            ("x in ()", "x=", true),
            ("x in (,a)", "x=", true),
            ("x in (a,)", "x=", true),
            ("x", "x=1", true),
            ("x", "y=1", false),
            ("!x", "y=1", true),
            ("! x", "x=1", false),
            ("x>1", "x=2", true),
            ("x>1", "x=1", false),
            ("x<7", "x=a", false),
            ("in in (in)", "in=in", true),
            ("a.io/b in (c),!d,e!=f", "a.io/b=c", true),
        ] {
            let selector = LabelSelector::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(selector.matches(&labels(set)), want, "{text} on {set}");
        }
    }

    #[test]
    fn text_is_canonical() {
        for (text, want) in [
            ("z=1,a in (c,b,b)", "a in (b,c),z=1"),
            ("a==b", "a=b"),
            ("a notin (b)", "a!=b"),
            ("!a,b", "!a,b"),
            ("a>1", "a>1"),
            ("", ""),
        ] {
            let selector = LabelSelector::parse(text).unwrap();
            assert_eq!(selector.to_string(), want);
            assert_eq!(LabelSelector::parse(want).unwrap(), selector);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            ",",
            "x=a||y=b",
            "x==a==b",
            "!x=a",
            "x<a",
            "x in a",
            "x in (a",
            "x in (a b)",
            "x y",
            "a,",
            "a=b c",
            "x=a!",
            "/a=b",
            "a=-",
            "!",
            "(a)",
            "x in (a,b))",
        ] {
            assert!(LabelSelector::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn objects_match_labels() {
        let some = json!({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "NotIn", "values": ["d"]}]});
        let some = LabelSelector::from_value(&some).unwrap();
        assert!(some.matches(&labels("a=b,c=e")) && !some.matches(&labels("a=b,c=d")) && !some.matches(&labels("c=e")));
        assert_eq!(some.to_string(), "a=b,c!=d");
        assert!(LabelSelector::from_value(&json!({})).unwrap().is_everything());
        assert!(!LabelSelector::from_value(&Value::Null).unwrap().matches(&labels("a=b")));
        for wrong in [
            json!({"matchExpressions": [{"key": "c", "operator": "Is"}]}),
            json!({"matchExpressions": [{"key": "c", "operator": "In"}]}),
            json!({"matchExpressions": [{"key": "c", "operator": "Exists", "values": ["a"]}]}),
            json!({"matchLabels": {"a b": "c"}}),
            json!([]),
        ] {
            assert!(LabelSelector::from_value(&wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_reads_back_the_same(text in "[ab!=(), notin<>.]{0,16}") {
            if let Ok(selector) = LabelSelector::parse(&text) {
                prop_assert_eq!(LabelSelector::parse(&selector.to_string()).unwrap(), selector);
            }
        }
    }
}
