//! Conditions of rules, in AWS's words.

use super::{Result, unfit};
use crate::aws;
use crate::object::{Condition as Given, Field, Match};

/// Values that one rule may have in all; AWS's limit.
const VALUES: usize = 5;
/// Rules that one rule of a Frontend may become.
const SPLIT: usize = 100;

/// One condition; one of its values is enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `host-header`
    Hosts(Vec<String>),
    /// `path-pattern`
    Paths(Vec<String>),
    /// `http-request-method`
    Methods(Vec<String>),
    /// `source-ip`
    Sources(Vec<String>),
    /// `http-header`
    Header(String, Vec<String>),
    /// `query-string`: keys and values.
    Query(Vec<(String, String)>),
}

impl Condition {
    fn len(&self) -> usize {
        match self {
            Self::Hosts(values) | Self::Paths(values) | Self::Methods(values) | Self::Sources(values) => values.len(),
            Self::Header(_, values) => values.len(),
            Self::Query(values) => values.len(),
        }
    }

    /// The same with these of its values.
    fn part(&self, from: usize, to: usize) -> Self {
        let cut = |values: &[String]| values.get(from..to).unwrap_or_default().to_vec();
        match self {
            Self::Hosts(values) => Self::Hosts(cut(values)),
            Self::Paths(values) => Self::Paths(cut(values)),
            Self::Methods(values) => Self::Methods(cut(values)),
            Self::Sources(values) => Self::Sources(cut(values)),
            Self::Header(name, values) => Self::Header(name.clone(), cut(values)),
            Self::Query(values) => Self::Query(values.get(from..to).unwrap_or_default().to_vec()),
        }
    }

    /// As AWS tells it.
    pub fn read(given: &aws::Condition) -> Self {
        let values = |config: &Option<aws::Values>| {
            config.as_ref().map_or_else(|| given.values.clone(), |config| config.values.clone())
        };
        match given.field.as_str() {
            "host-header" => Self::Hosts(values(&given.host_header_config)),
            "path-pattern" => Self::Paths(values(&given.path_pattern_config)),
            "http-request-method" => Self::Methods(values(&given.http_request_method_config)),
            "source-ip" => Self::Sources(values(&given.source_ip_config)),
            "http-header" => {
                let header = given.http_header_config.clone().unwrap_or_default();
                Self::Header(header.http_header_name, header.values)
            }
            _ => {
                let queries = given.query_string_config.clone().unwrap_or_default().values;
                Self::Query(queries.into_iter().map(|pair| (pair.key.unwrap_or_default(), pair.value)).collect())
            }
        }
    }
}

/// A condition of a Frontend as conditions of AWS: one set for each rule that it takes, since a rule has only so many values.
/// None: it holds for every request.
pub fn conditions(given: &Given) -> Result<Vec<Vec<Condition>>> {
    let mut all = Vec::new();
    let mut add = |condition: Condition| {
        if condition.len() > 0 {
            all.push(condition);
        }
    };
    add(Condition::Hosts(given.hosts.iter().map(host).collect()));
    add(Condition::Paths(paths(&given.paths)?));
    add(Condition::Methods(given.methods.clone()));
    for header in &given.headers {
        add(Condition::Header(header.name.clone(), values(header)));
    }
    for query in &given.queries {
        add(Condition::Query(values(query).into_iter().map(|value| (query.name.clone(), value)).collect()));
    }
    add(Condition::Sources(given.sources.clone()));
    let mut rules = Vec::new();
    split(all, &mut rules)?;
    Ok(rules)
}

/// Halves the longest list until what is left fits.
fn split(conditions: Vec<Condition>, rules: &mut Vec<Vec<Condition>>) -> Result<()> {
    if conditions.iter().map(Condition::len).sum::<usize>() <= VALUES {
        if rules.len() == SPLIT {
            return unfit(format!("a rule has so many alternatives that it would become more than {SPLIT} of AWS"));
        }
        rules.push(conditions);
        return Ok(());
    }
    let longest = conditions.iter().enumerate().max_by_key(|(_, condition)| condition.len());
    let Some((at, longest)) = longest.filter(|(_, longest)| longest.len() > 1) else {
        return unfit(format!("a rule asks for more than {VALUES} things at once, which AWS does not"));
    };
    let half = longest.len().div_ceil(2);
    for part in [longest.part(0, half), longest.part(half, longest.len())] {
        let mut conditions = conditions.clone();
        if let Some(condition) = conditions.get_mut(at) {
            *condition = part;
        }
        split(conditions, rules)?;
    }
    Ok(())
}

/// AWS reads `*` and `?` in hosts and paths; `*.example.com` is there all with one more label or several.
fn host(given: &Match) -> String {
    given.value.to_ascii_lowercase()
}

fn paths(given: &[Match]) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for path in given {
        let value = path.value.as_str();
        if path.kind != "Glob" && value.contains(['*', '?']) {
            return unfit(format!("path {value:?} has a * or ? that stands for itself, which AWS can't be told"));
        }
        match path.kind.as_str() {
            "Exact" | "Glob" => all.push(value.to_owned()),
            _ => match value.trim_end_matches('/') {
                "" => all.push("/*".to_owned()),
                stem => all.extend([stem.to_owned(), format!("{stem}/*")]),
            },
        }
    }
    Ok(all)
}

/// None: it must be there.
fn values(field: &Field) -> Vec<String> {
    if field.values.is_empty() { vec!["*".to_owned()] } else { field.values.clone() }
}

#[cfg(test)]
mod tests {
    use gantry_sdk::{json, serde_json};

    use super::*;

    fn read(given: gantry_sdk::Value) -> Result<Vec<Vec<Condition>>> {
        conditions(&serde_json::from_value(given).unwrap())
    }

    #[test]
    fn says_in_words_of_aws() {
        let all = read(json!({
            "hosts": [{"type": "Wildcard", "value": "*.Example.com"}], "paths": [{"type": "Prefix", "value": "/a/"}],
            "headers": [{"name": "x-a"}], "queries": [{"name": "v", "values": ["1"]}],
        }));
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let want = vec![
            Condition::Hosts(texts(&["*.example.com"])),
            Condition::Paths(texts(&["/a", "/a/*"])),
            Condition::Header("x-a".into(), texts(&["*"])),
            Condition::Query(vec![("v".into(), "1".into())]),
        ];
        assert_eq!(all.unwrap(), [want]);
        assert_eq!(
            read(json!({"paths": [{"type": "Prefix", "value": "/"}]})).unwrap(),
            [[Condition::Paths(texts(&["/*"]))]]
        );
        assert_eq!(read(json!({})).unwrap(), [vec![]]);
    }

    #[test]
    fn what_does_not_fit_into_one_rule_becomes_several() {
        let sources: Vec<String> = (0..12).map(|n| format!("10.0.{n}.0/24")).collect();
        let all = read(json!({"methods": ["GET", "PUT"], "sources": sources})).unwrap();
        assert!(all.iter().all(|rule| rule.iter().map(Condition::len).sum::<usize>() <= VALUES), "{all:?}");
        let mut covered: Vec<&String> = all
            .iter()
            .flatten()
            .flat_map(|condition| match condition {
                Condition::Sources(values) => values.iter(),
                _ => [].iter(),
            })
            .collect();
        covered.sort();
        covered.dedup();
        assert_eq!(covered.len(), 12);
    }

    #[test]
    fn what_aws_can_not_do_is_said() {
        let headers: Vec<_> = (0..6).map(|n| json!({"name": format!("x-{n}")})).collect();
        for (given, want) in [
            (json!({"headers": headers}), "more than 5 things"),
            (json!({"paths": [{"type": "Exact", "value": "/a*"}]}), "stands for itself"),
        ] {
            let Unfit(what) = read(given).unwrap_err();
            assert!(what.contains(want), "{what}");
        }
    }

    use super::super::Unfit;
}
