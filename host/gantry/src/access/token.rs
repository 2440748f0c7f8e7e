//! The file that lets a machine join.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// A bootstrap token, and how to know the server that takes it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// `ID.SECRET`: six and sixteen lower-case letters and digits.
    pub bearer: String,
    /// SHA-256 of the server's authority (DER), in hexadecimal digits: with it a server can be believed that was never
    /// seen before.
    pub authority: String,
}

impl Token {
    /// Reads a token's file.
    pub fn read(file: &Path) -> Result<Self> {
        let failed = || format!("token file {}", file.display());
        let text = std::fs::read_to_string(file).with_context(failed)?;
        Self::parse(&text).with_context(failed)
    }

    /// The token and `sha256:…`, in any order, apart by spaces or lines. Lines that begin with `#` say nothing.
    pub fn parse(text: &str) -> Result<Self> {
        let (mut bearer, mut authority) = (None, None);
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        for word in lines.flat_map(str::split_whitespace) {
            let twice = match word.strip_prefix("sha256:") {
                Some(digits) if is_hex(digits) => authority.replace(digits.to_owned()).is_some(),
                Some(_) => bail!("{word:?} is not sha256: and 64 lower-case hexadecimal digits"),
                None if is_token(word) => bearer.replace(word.to_owned()).is_some(),
                // The word may be most of a secret.
                None => {
                    bail!("a word in it is neither a token (six letters or digits, a dot, sixteen more) nor sha256:…")
                }
            };
            if twice {
                bail!("it says the same thing twice");
            }
        }
        let bearer = bearer.context("there is no token in it")?;
        let authority = authority.context("it does not say which server to believe (sha256:…)")?;
        Ok(Self { bearer, authority })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\nsha256:{}", self.bearer, self.authority)
    }
}

fn is_hex(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_token(word: &str) -> bool {
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    word.split_once('.').is_some_and(|(id, secret)| id.len() == 6 && secret.len() == 16 && plain(id) && plain(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEARER: &str = "abc123.0123456789abcdef";

    #[test]
    fn tokens_are_read_as_they_are_written() {
        let digits = "5a".repeat(32);
        let token = Token { bearer: BEARER.into(), authority: digits.clone() };
        assert!(Token::parse(&token.to_string()).unwrap() == token);
        assert!(Token::parse(&format!("# for rack 4\nsha256:{digits} {BEARER}")).unwrap() == token);
    }

    #[test]
    fn what_is_no_token_is_refused_without_being_shown() {
        for text in
            ["", "secret", BEARER, "abc123.0123456789ABCDEF", "abc123.0123", "sha256:zz", &format!("{BEARER} {BEARER}")]
        {
            let error = format!("{:#}", Token::parse(text).err().unwrap());
            assert!(!error.contains("secret") && !error.contains("0123"), "{error}");
        }
    }
}
