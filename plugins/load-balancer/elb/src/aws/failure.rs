//! What AWS says when it does not do what it was asked for.

use gantry_sdk::{Error, ErrorCode, RetryHint};
use roxmltree::Document;

use super::xml::{answer, part};

/// How long until something that AWS refuses is asked for again: a quota may have been raised, a subnet made.
const REFUSED_AGAIN_MS: u64 = 60_000;

/// A request without the answer that was hoped for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// AWS's code: `TooManyTargets`. `Unreachable` when there is no answer of AWS.
    pub code: String,
    /// For the object: AWS's words, and when to try again.
    pub error: Error,
}

answer!(
    /// What AWS says then.
    Said { code: String = "Code", message: String = "Message", }
);

impl Failure {
    /// An answer of a bad status.
    pub fn said(action: &str, status: u16, body: &str) -> Self {
        let document = Document::parse(body).ok();
        let said = document.and_then(|document| part(document.root_element(), "Error").ok());
        let Said { code, message } = said.unwrap_or_default();
        let code = if code.is_empty() { format!("Status{status}") } else { code };
        let words = format!("{action}: {code}: {}", if message.is_empty() { "no more was said" } else { &message });
        let error = match () {
            () if throttled(&code) || status >= 500 => Error::unavailable(words),
            // Somebody else works on the same thing: soon it is free.
            () if matches!(code.as_str(), "ResourceInUse" | "OperationNotPermitted") => {
                Error::unavailable(words).retry_after_ms(10_000)
            }
            () => Error::new(ErrorCode::Invalid, RetryHint::AfterMs(REFUSED_AGAIN_MS), words),
        };
        Self { code, error }
    }

    /// No answer at all.
    pub fn unreachable(action: &str, error: Error) -> Self {
        Self { code: "Unreachable".to_owned(), error: error.context(action) }
    }

    /// An answer that is none.
    pub fn nonsense(action: &str, what: impl std::fmt::Display) -> Self {
        let error = Error::unavailable(format!("{action}: an answer that can't be read: {what}"));
        Self { code: "Unreadable".to_owned(), error }
    }

    /// Whether what was asked about is not there.
    pub fn is_missing(&self) -> bool {
        self.code.ends_with("NotFound")
    }
}

fn throttled(code: &str) -> bool {
    code.contains("Throttl")
        || matches!(code, "RequestLimitExceeded" | "TooManyRequestsException" | "ServiceUnavailable")
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xml(code: &str) -> String {
        format!(
            "<ErrorResponse xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/\"><Error><Type>Sender</Type>\
             <Code>{code}</Code><Message>A &amp; B</Message></Error><RequestId>x</RequestId></ErrorResponse>"
        )
    }

    #[test]
    fn cases_are_decisions() {
        let table = [
            (400, xml("Throttling"), RetryHint::Backoff, false),
            (503, xml("ServiceUnavailable"), RetryHint::Backoff, false),
            (500, "<html>".to_owned(), RetryHint::Backoff, false),
            (400, xml("ResourceInUse"), RetryHint::AfterMs(10_000), false),
            (400, xml("LoadBalancerNotFound"), RetryHint::AfterMs(REFUSED_AGAIN_MS), true),
            (403, xml("AccessDenied"), RetryHint::AfterMs(REFUSED_AGAIN_MS), false),
        ];
        for (status, body, retry, missing) in table {
            let failure = Failure::said("Do", status, &body);
            assert_eq!((failure.error.retry, failure.is_missing()), (retry, missing), "{status} {body}");
        }
        assert_eq!(Failure::said("Do", 400, &xml("Bad")).error.message, "Do: Bad: A & B");
    }
}
