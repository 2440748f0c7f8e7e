//! From text to terms: `or` binds less than `and`, `and` less than `not`.

use super::cursor::Cursor;
use super::operator::{self, Operator};
use super::subject::Subject;
use super::test::{Pattern, Test};
use super::{MOST_LENGTH, SyntaxError, Term};

/// Parentheses and negations within each other.
const MOST_DEPTH: usize = 32;
/// Tests of an expression.
const MOST_TESTS: usize = 64;
/// Values of a list.
const MOST_VALUES: usize = 64;

type Result<T> = std::result::Result<T, SyntaxError>;

pub(super) fn parse(text: &str) -> Result<Term> {
    let mut parser = Parser { cursor: Cursor::new(text), depth: 0, tests: 0 };
    if text.chars().count() > MOST_LENGTH {
        let what = format!("an expression has {MOST_LENGTH} characters at most");
        return Err(SyntaxError { position: MOST_LENGTH, what });
    }
    let term = parser.any()?;
    match parser.cursor.rest() {
        "" => Ok(term),
        rest => Err(parser.cursor.error(format!("unexpected {:?}", first(rest)))),
    }
}

/// For messages.
fn first(text: &str) -> &str {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    text.get(..end).unwrap_or(text)
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    depth: usize,
    tests: usize,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Term> {
        let mut terms = vec![self.all()?];
        while self.cursor.sign("||") || self.cursor.word("or") {
            terms.push(self.all()?);
        }
        Ok(one_or(terms, Term::Any))
    }

    fn all(&mut self) -> Result<Term> {
        let mut terms = vec![self.not()?];
        while self.cursor.sign("&&") || self.cursor.word("and") {
            terms.push(self.not()?);
        }
        Ok(one_or(terms, Term::All))
    }

    fn not(&mut self) -> Result<Term> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(self
                .cursor
                .error(format!("more than {MOST_DEPTH} parentheses or negations within each other")));
        }
        let term = if self.cursor.word("not") || self.cursor.sign("!") {
            Term::Not(Box::new(self.not()?))
        } else if self.cursor.sign("(") {
            let term = self.any()?;
            if !self.cursor.sign(")") {
                return Err(self.cursor.error("a closing parenthesis is expected"));
            }
            term
        } else {
            Term::Test(self.test()?)
        };
        self.depth -= 1;
        Ok(term)
    }

    fn test(&mut self) -> Result<Test> {
        self.tests += 1;
        if self.tests > MOST_TESTS {
            return Err(self.cursor.error(format!("an expression has {MOST_TESTS} tests at most")));
        }
        self.cursor.rest();
        let at = self.cursor.at();
        let word = self.cursor.take(|c| c.is_alphanumeric() || matches!(c, ':' | '.' | '_' | '-' | '/' | '\\'));
        let Some(subject) = Subject::parse(word) else {
            let what =
                if word.is_empty() { "a subject is expected".to_owned() } else { format!("unknown subject {word:?}") };
            return Err(self.cursor.error_at(at, what));
        };
        let rest = self.cursor.rest();
        let Some((length, operator, turned)) = operator::read(rest) else {
            return Err(self.cursor.error(match rest {
                "" => "an operator is expected".to_owned(),
                rest => format!("an operator is expected, not {:?}", first(rest)),
            }));
        };
        if !subject.takes(operator) {
            let sign = rest.get(..length).unwrap_or_default();
            return Err(self.cursor.error(format!("{} does not take the operator {sign}", subject.name())));
        }
        self.cursor.skip(length);
        let (values, pattern) = match operator {
            Operator::Exists => (Vec::new(), None),
            Operator::In => (self.list(&subject)?, None),
            Operator::Matches => (Vec::new(), Some(self.pattern()?)),
            _ => (vec![self.checked(&subject)?], None),
        };
        Ok(Test { subject, operator, turned, values, pattern })
    }

    fn list(&mut self, subject: &Subject) -> Result<Vec<String>> {
        if !self.cursor.sign("[") {
            return Err(self.cursor.error("a list in brackets is expected"));
        }
        let mut values = vec![self.checked(subject)?];
        while self.cursor.sign(",") {
            if values.len() >= MOST_VALUES {
                return Err(self.cursor.error(format!("a list has {MOST_VALUES} values at most")));
            }
            values.push(self.checked(subject)?);
        }
        match self.cursor.sign("]") {
            true => Ok(values),
            false => Err(self.cursor.error("a comma or a closing bracket is expected")),
        }
    }

    fn checked(&mut self, subject: &Subject) -> Result<String> {
        self.cursor.rest();
        let at = self.cursor.at();
        let value = match self.quoted()? {
            Some(value) => value,
            None => self.bare(),
        };
        if value.is_empty() && self.cursor.at() == at {
            return Err(self.cursor.error_at(at, "a value is expected"));
        }
        match subject.objection(&value) {
            Some(what) => Err(self.cursor.error_at(at, what)),
            None => Ok(value),
        }
    }

    /// A value without quotes ends where the expression goes on.
    fn bare(&mut self) -> String {
        let rest = self.cursor.raw();
        let ends = |(at, c): (usize, char)| {
            let sign = rest.get(at..).is_some_and(|rest| rest.starts_with("&&") || rest.starts_with("||"));
            (sign || c.is_whitespace() || matches!(c, '(' | ')' | '[' | ']' | ',')).then_some(at)
        };
        let end = rest.char_indices().find_map(ends).unwrap_or(rest.len());
        self.cursor.skip(end);
        rest.get(..end).unwrap_or_default().to_owned()
    }

    fn quoted(&mut self) -> Result<Option<String>> {
        let Some(quote) = self.cursor.rest().chars().next().filter(|c| matches!(c, '\'' | '"')) else {
            return Ok(None);
        };
        let at = self.cursor.at();
        self.cursor.skip(quote.len_utf8());
        let text = self.cursor.take(|c| c != quote).to_owned();
        match self.cursor.raw().starts_with(quote) {
            true => self.cursor.skip(quote.len_utf8()),
            false => return Err(self.cursor.error_at(at, "the quote is not closed")),
        }
        Ok(Some(text))
    }

    /// Without quotes it ends with a blank, or where a parenthesis is closed that it did not open.
    fn pattern(&mut self) -> Result<Pattern> {
        self.cursor.rest();
        let at = self.cursor.at();
        let text = match self.quoted()? {
            Some(text) => text,
            None => {
                let rest = self.cursor.raw();
                let mut open = 0_usize;
                let mut escaped = false;
                let ends = |(at, c): (usize, char)| {
                    match c {
                        c if c.is_whitespace() => return Some(at),
                        _ if escaped => escaped = false,
                        '\\' => escaped = true,
                        '(' => open += 1,
                        ')' if open == 0 => return Some(at),
                        ')' => open -= 1,
                        _ => {}
                    }
                    None
                };
                let end = rest.char_indices().find_map(ends).unwrap_or(rest.len());
                self.cursor.skip(end);
                rest.get(..end).unwrap_or_default().to_owned()
            }
        };
        if text.is_empty() {
            return Err(self.cursor.error_at(at, "a pattern is expected"));
        }
        Pattern::new(&text).map_err(|what| self.cursor.error_at(at, what))
    }
}

fn one_or(mut terms: Vec<Term>, many: impl Fn(Vec<Term>) -> Term) -> Term {
    match (terms.len(), terms.pop()) {
        (1, Some(term)) => term,
        (_, last) => {
            terms.extend(last);
            many(terms)
        }
    }
}
