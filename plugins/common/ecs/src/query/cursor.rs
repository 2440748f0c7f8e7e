//! A place in the text.

use super::SyntaxError;

/// Reads forward only.
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// What is left, without blanks before it.
    pub(crate) fn rest(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        trimmed
    }

    /// What is left, as it is.
    pub(crate) fn raw(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(crate) fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// Whether a sign comes next; it is skipped then.
    pub(crate) fn sign(&mut self, sign: &str) -> bool {
        let found = self.rest().starts_with(sign);
        if found {
            self.skip(sign.len());
        }
        found
    }

    /// Whether a word comes next; it is skipped then.
    pub(crate) fn word(&mut self, word: &str) -> bool {
        let after = self.rest().strip_prefix(word);
        let found = after.is_some_and(|rest| rest.chars().next().is_none_or(|c| c.is_whitespace() || c == '('));
        if found {
            self.skip(word.len());
        }
        found
    }

    /// As much as belongs to it; may be nothing.
    pub(crate) fn take(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = self.raw();
        let end = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        self.skip(end);
        rest.get(..end).unwrap_or_default()
    }

    /// What is wrong here.
    pub(crate) fn error(&self, what: impl Into<String>) -> SyntaxError {
        self.error_at(self.at, what)
    }

    /// What is wrong there.
    pub(crate) fn error_at(&self, at: usize, what: impl Into<String>) -> SyntaxError {
        let position = self.text.get(..at).unwrap_or(self.text).chars().count();
        SyntaxError { position, what: what.into() }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }
}
