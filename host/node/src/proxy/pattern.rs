//! Globs, and how paths are compared.

/// `*` stands for any characters, `?` for one, `\` takes the next one as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    tokens: Vec<Token>,
    /// Case does not count.
    fold: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Any,
    One,
    Char(char),
}

impl Glob {
    /// Reads one. Every text is a glob.
    pub fn new(text: &str, fold: bool) -> Self {
        let mut tokens = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' => Token::Any,
                '?' => Token::One,
                '\\' => Token::Char(folded(chars.next().unwrap_or('\\'), fold)),
                c => Token::Char(folded(c, fold)),
            });
        }
        tokens.dedup_by(|a, b| *a == Token::Any && *b == Token::Any);
        Self { tokens, fold }
    }

    /// Whether all of a text matches. Costs at most the product of both lengths.
    pub fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().map(|c| folded(c, self.fold)).collect();
        let (mut at, mut token) = (0, 0);
        // Where to go on if this way leads nowhere: one more character for the last star.
        let mut star: Option<(usize, usize)> = None;
        while at < text.len() {
            match (self.tokens.get(token), text.get(at)) {
                (Some(Token::Any), _) => {
                    star = Some((token, at));
                    token += 1;
                }
                (Some(Token::One), _) => (at, token) = (at + 1, token + 1),
                (Some(Token::Char(wanted)), Some(c)) if wanted == c => (at, token) = (at + 1, token + 1),
                _ => {
                    let Some((known, taken)) = star else { return false };
                    star = Some((known, taken + 1));
                    (at, token) = (taken + 1, known + 1);
                }
            }
        }
        self.tokens.get(token..).unwrap_or_default().iter().all(|token| *token == Token::Any)
    }
}

fn folded(c: char, fold: bool) -> char {
    if fold { c.to_ascii_lowercase() } else { c }
}

/// Whether a path begins with these elements. `prefix` has no slash at its end.
pub fn begins(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (pattern, text, want) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("a*c", "abbbc", true),
            ("a*c", "abbbcd", false),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("/img/*/pic?.jpg", "/img/a/b/pic1.jpg", true),
            ("/img/*/pic?.jpg", "/img/a/pic.jpg", false),
            ("*ab*ab*", "aabab", true),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("ABC", "abc", false),
        ] {
            assert_eq!(Glob::new(pattern, false).matches(text), want, "{pattern} {text}");
        }
        assert!(Glob::new("ABC*", true).matches("abCd"));
        // A product, not a power.
        assert!(!Glob::new(&"*a".repeat(40), false).matches(&"a".repeat(39)));
    }

    #[test]
    fn prefixes_are_of_elements() {
        for (prefix, path, want) in [
            ("", "/", true),
            ("", "/a/b", true),
            ("/a", "/a", true),
            ("/a", "/a/", true),
            ("/a", "/a/b", true),
            ("/a", "/ab", false),
            ("/a/b", "/a", false),
        ] {
            assert_eq!(begins(path, prefix), want, "{prefix} {path}");
        }
    }
}
