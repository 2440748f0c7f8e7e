//! What becomes of requests and connections, in AWS's words.

use std::collections::BTreeMap;

use super::{Result, unfit};
use crate::aws;
use crate::object::{Redirect, Respond, Weighted};

/// Target groups of one action; AWS's limit.
const GROUPS: usize = 5;
/// The highest weight of AWS.
const WEIGHT: u32 = 999;
/// The longest body of AWS.
const BODY: usize = 1024;
/// What AWS lets an answer be.
const TYPES: &[&str] = &["text/plain", "text/css", "text/html", "application/javascript", "application/json"];

/// One action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// To target groups by their names, with weights, in the order of their names.
    Forward(BTreeMap<String, u32>),
    /// An answer: status, type, body.
    Fixed(String, String, String),
    /// Elsewhere.
    Redirect {
        /// `HTTP_301` or `HTTP_302`
        status: String,
        /// Protocol, host, port, path and query, all said.
        parts: [String; 5],
    },
    /// One that this plugin does not use: somebody else changed it.
    Other,
}

impl Action {
    /// All to one target group.
    pub fn to(group: String) -> Self {
        Self::Forward(BTreeMap::from([(group, 1)]))
    }

    /// For requests that no rule is for.
    pub fn nobody() -> Self {
        Self::Fixed("404".to_owned(), "text/plain".to_owned(), "no rule is for this request".to_owned())
    }

    /// For clients that are not let through.
    pub fn stranger() -> Self {
        Self::Fixed("403".to_owned(), "text/plain".to_owned(), "this client is not let through".to_owned())
    }

    /// To backends, by the names of their groups.
    pub fn forward(to: &[Weighted], group: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let mut groups = BTreeMap::new();
        for Weighted { backend, weight } in to {
            let Some(name) = group(backend) else {
                return unfit(format!("a rule leads to backend {backend}, which is not there"));
            };
            *groups.entry(name).or_insert(0) += (*weight).min(WEIGHT);
        }
        match groups.len() {
            0 => unfit("a rule leads to no backend"),
            1 => Ok(Self::Forward(groups.into_keys().map(|name| (name, 1)).collect())),
            n if n > GROUPS => unfit(format!("a rule leads to {n} backends, of which AWS takes {GROUPS}")),
            _ => Ok(Self::Forward(groups.into_iter().map(|(name, weight)| (name, weight.min(WEIGHT))).collect())),
        }
    }

    /// An answer.
    pub fn respond(given: &Respond) -> Result<Self> {
        let Respond { status, content_type, body } = given;
        if !matches!(status / 100, 2 | 4 | 5) {
            return unfit(format!("an answer of the status {status}: AWS gives those of 2xx, 4xx and 5xx only"));
        }
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        if !kind.is_empty() && !TYPES.contains(&kind) {
            return unfit(format!("an answer of the type {content_type}: AWS gives {}", TYPES.join(", ")));
        }
        if body.len() > BODY {
            return unfit(format!("an answer of {} bytes: AWS gives {BODY}", body.len()));
        }
        let kind = if kind.is_empty() { "text/plain" } else { kind };
        Ok(Self::Fixed(status.to_string(), kind.to_owned(), body.clone()))
    }

    /// Elsewhere.
    pub fn redirect(given: &Redirect) -> Result<Self> {
        if !matches!(given.status, 301 | 302) {
            return unfit(format!("a redirect of the status {}: AWS gives 301 and 302 only", given.status));
        }
        let or = |given: &str, default: &str| if given.is_empty() { default } else { given }.to_owned();
        let protocol = match given.protocol.as_str() {
            "" | "#{protocol}" => "#{protocol}".to_owned(),
            other => other.to_ascii_uppercase(),
        };
        Ok(Self::Redirect {
            status: format!("HTTP_{}", given.status),
            parts: [
                protocol,
                or(&given.host, "#{host}"),
                or(&given.port, "#{port}"),
                or(&given.path, "/#{path}"),
                or(&given.query, "#{query}"),
            ],
        })
    }

    /// As AWS tells it; `name` knows target groups by ARN.
    pub fn read(given: &[aws::Action], name: impl Fn(&str) -> String) -> Self {
        let [given] = given else { return Self::Other };
        match (given.kind.as_str(), &given.fixed_response_config, &given.redirect_config) {
            ("forward", ..) => Self::read_forward(given, name),
            ("fixed-response", Some(fixed), _) => Self::Fixed(
                fixed.status_code.clone(),
                fixed.content_type.clone().unwrap_or_else(|| "text/plain".to_owned()),
                fixed.message_body.clone().unwrap_or_default(),
            ),
            ("redirect", _, Some(to)) => {
                let part = |given: &Option<String>, default: &str| given.clone().unwrap_or_else(|| default.to_owned());
                Self::Redirect {
                    status: to.status_code.clone(),
                    parts: [
                        part(&to.protocol, "#{protocol}"),
                        part(&to.host, "#{host}"),
                        part(&to.port, "#{port}"),
                        part(&to.path, "/#{path}"),
                        part(&to.query, "#{query}"),
                    ],
                }
            }
            _ => Self::Other,
        }
    }

    fn read_forward(given: &aws::Action, name: impl Fn(&str) -> String) -> Self {
        let several = given.forward_config.iter().flat_map(|config| &config.target_groups);
        let mut groups: BTreeMap<String, u32> =
            several.map(|one| (name(&one.target_group_arn), one.weight.unwrap_or(1))).collect();
        if let Some(one) = given.target_group_arn.as_deref().filter(|_| groups.is_empty()) {
            groups.insert(name(one), 1);
        }
        // Of a single one the weight means nothing.
        if groups.len() == 1 {
            groups.values_mut().for_each(|weight| *weight = 1);
        }
        Self::Forward(groups)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Unfit;
    use super::*;

    #[test]
    fn limits_of_aws_are_said() {
        let to = |n: usize| (0..n).map(|n| Weighted { backend: format!("b{n}"), weight: 1000 }).collect::<Vec<_>>();
        let known = |name: &str| (name != "b9").then(|| format!("g-{name}"));
        let respond = |status, kind: &str, size| Respond { status, content_type: kind.into(), body: "x".repeat(size) };
        let redirect = |status| Redirect { status, ..Redirect::default() };
        let table = [
            (Action::forward(&to(5), known), None),
            (Action::forward(&to(6), known), Some("6 backends")),
            (Action::forward(&[Weighted { backend: "b9".into(), weight: 1 }], known), Some("b9, which is not there")),
            (Action::forward(&[], known), Some("no backend")),
            (Action::respond(&respond(503, "", 1024)), None),
            (Action::respond(&respond(302, "", 0)), Some("status 302")),
            (Action::respond(&respond(200, "image/png", 0)), Some("image/png")),
            (Action::respond(&respond(200, "text/html; charset=utf-8", 1025)), Some("1025 bytes")),
            (Action::redirect(&redirect(301)), None),
            (Action::redirect(&redirect(308)), Some("301 and 302")),
        ];
        for (got, want) in table {
            match (&got, want) {
                (Ok(_), None) => {}
                (Err(Unfit(what)), Some(want)) => assert!(what.contains(want), "{what}"),
                _ => panic!("{got:?} is not {want:?}"),
            }
        }
        let Action::Forward(groups) = Action::forward(&to(2), known).unwrap() else { panic!() };
        assert_eq!(groups.into_values().collect::<Vec<_>>(), [999, 999]);
    }

    #[test]
    fn a_redirect_says_every_part() {
        let to = Redirect { status: 301, protocol: "https".into(), port: "443".into(), ..Redirect::default() };
        let Action::Redirect { parts, .. } = Action::redirect(&to).unwrap() else { panic!() };
        assert_eq!(parts, ["HTTPS", "#{host}", "443", "/#{path}", "#{query}"]);
    }
}
