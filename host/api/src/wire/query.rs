//! Query parameters.

use std::borrow::Cow;
use std::str::FromStr;

use gantry_model::Status;
use gantry_model::status::{Cause, Reason};
use serde_json::json;

/// The decoded query of a request.
pub(crate) struct Query<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Query<'a> {
    pub(crate) fn parse(raw: Option<&'a str>) -> Self {
        let pairs = raw.map_or_else(Vec::new, |raw| form_urlencoded::parse(raw.as_bytes()).collect());
        Self { pairs }
    }

    /// The first value; empty counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, v)| &**v).filter(|v| !v.is_empty())
    }

    /// The first value or nothing.
    pub(crate) fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(n, _)| n == name)
    }

    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        self.pairs.iter().filter(|(n, _)| n == name).map(|(_, v)| v.to_string()).collect()
    }

    /// Whether a switch is on. A bare name (`?watch`) turns it on, as in Kubernetes.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Status> {
        let Some((_, value)) = self.pairs.iter().find(|(n, _)| n == name) else { return Ok(false) };
        match &**value {
            "" | "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
            "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
            other => Err(Status::bad_request(format!(
                "query parameter {name}={other:?} is not a boolean: use true or false"
            ))),
        }
    }

    /// A number.
    pub(crate) fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, Status> {
        self.get(name).map(|text| text.parse().map_err(|_| bad_number(name, text))).transpose()
    }

    /// Whether everything but the write is to be done. `All` is the only stage there is.
    pub(crate) fn dry_run(&self) -> Result<bool, Status> {
        let stages: Vec<String> = self.all("dryRun").into_iter().filter(|s| !s.is_empty()).collect();
        dry_run(&stages)
    }
}

/// Reads `dryRun` as queries and DeleteOptions hold it.
pub(crate) fn dry_run(stages: &[String]) -> Result<bool, Status> {
    match stages.iter().find(|s| *s != "All") {
        None => Ok(!stages.is_empty()),
        Some(other) => Err(invalid_option(Cause::not_supported("dryRun", &json!(other), &["All"]))),
    }
}

/// 422 about an option of a request.
pub(crate) fn invalid_option(cause: Cause) -> Status {
    let message = format!("the request's options are invalid: {}: {}", cause.field, cause.message);
    Status { causes: vec![cause], ..Status::new(Reason::Invalid, message) }
}

fn bad_number(name: &str, text: &str) -> Status {
    Status::bad_request(format!("query parameter {name}={text:?} is not a number in range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_numbers_and_lists() {
        let query = Query::parse(Some("watch&follow=false&limit=5&command=sh&command=-c&x=%2Fa+b&bad=maybe&dryRun="));
        assert!(query.flag("watch").unwrap());
        assert!(!query.flag("follow").unwrap());
        assert!(!query.flag("absent").unwrap());
        assert!(query.flag("bad").unwrap_err().message.contains("bad"));
        assert_eq!(query.number::<u32>("limit").unwrap(), Some(5));
        assert!(query.number::<u32>("bad").is_err());
        assert_eq!(query.all("command"), ["sh", "-c"]);
        assert_eq!(query.get("x"), Some("/a b"));
        assert!(!query.dry_run().unwrap());
    }

    #[test]
    fn dry_run_is_all_or_an_error() {
        assert!(Query::parse(Some("dryRun=All")).dry_run().unwrap());
        let error = Query::parse(Some("dryRun=Some")).dry_run().unwrap_err();
        assert_eq!((error.reason, error.causes.len()), (Reason::Invalid, 1));
    }
}
