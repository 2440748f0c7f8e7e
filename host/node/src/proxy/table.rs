//! Which rule a request falls under.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use gantry_plugin::family::proxy::{Action as Planned, Condition, FieldMatch, HostKind, PathKind, Response, Rule};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use ipnet::IpNet;
use tracing::warn;

use super::pattern::{Glob, begins};
use super::pool::Pool;
use super::redirect::Redirect;

/// What is known of a request.
pub struct Asked<'a> {
    /// In lower case, without a port.
    pub host: &'a str,
    /// Without the query.
    pub path: &'a str,
    /// Without the question mark.
    pub query: &'a str,
    pub method: &'a Method,
    pub headers: &'a HeaderMap,
    /// Whence the connection comes.
    pub source: IpAddr,
}

/// What is to become of it.
pub enum Action {
    /// To one of these, by weight.
    Forward(Vec<(Arc<Pool>, u32)>),
    Respond(Fixed),
    Redirect(Redirect),
}

/// An answer that needs nobody.
pub struct Fixed {
    pub status: StatusCode,
    pub content_type: String,
    pub body: String,
}

/// A listener's rules. To find one costs what the rules of that host cost, and those that are for any.
#[derive(Default)]
pub struct Table {
    rules: Vec<Compiled>,
    /// By host. The lists are in the rules' order, as are all others.
    exact: HashMap<String, Vec<usize>>,
    /// By what follows the first label.
    wildcard: HashMap<String, Vec<usize>>,
    /// Without a host, or with globs.
    rest: Vec<usize>,
}

struct Compiled {
    any_host: bool,
    globs: Vec<Glob>,
    paths: Vec<Path>,
    methods: Vec<String>,
    headers: Vec<(HeaderName, Vec<Glob>)>,
    queries: Vec<(String, Vec<Glob>)>,
    sources: Vec<IpNet>,
    any_source: bool,
    action: Action,
}

enum Path {
    Exact(String),
    Prefix(String),
    Glob(Glob),
}

impl Table {
    /// Of a plan's rules; `pool` finds those that they lead to. A rule that can't be understood never matches: the others
    /// are not its hostages.
    pub fn new(rules: &[Rule], mut pool: impl FnMut(&str) -> Arc<Pool>) -> Self {
        let mut table = Self::default();
        for rule in rules {
            let at = table.rules.len();
            match compile(rule, &mut pool) {
                Ok(compiled) => {
                    table.index(&rule.condition, at);
                    table.rules.push(compiled);
                }
                Err(why) => warn!(why, ?rule, "a rule of a proxy can't be understood and is left out"),
            }
        }
        table
    }

    fn index(&mut self, condition: &Condition, at: usize) {
        let mut rest = condition.hosts.is_empty();
        for host in &condition.hosts {
            let name = host.value.to_ascii_lowercase();
            let list = match host.kind {
                HostKind::Exact => self.exact.entry(name).or_default(),
                HostKind::Wildcard => match name.strip_prefix("*.") {
                    Some(parent) => self.wildcard.entry(parent.to_owned()).or_default(),
                    None => continue,
                },
                HostKind::Glob => {
                    rest = true;
                    continue;
                }
            };
            if list.last() != Some(&at) {
                list.push(at);
            }
        }
        if rest {
            self.rest.push(at);
        }
    }

    /// The first rule that matches.
    pub fn find(&self, asked: &Asked<'_>) -> Option<&Action> {
        let list = |found: Option<&'_ Vec<usize>>| found.map(Vec::as_slice).unwrap_or_default().to_vec();
        let parent = asked.host.split_once('.').filter(|(label, _)| !label.is_empty()).map(|(_, parent)| parent);
        let mut named = [list(self.exact.get(asked.host)), list(parent.and_then(|p| self.wildcard.get(p)))].concat();
        named.sort_unstable();
        let (mut named, mut rest) = (named.into_iter().peekable(), self.rest.iter().copied().peekable());
        loop {
            let by_name = match (named.peek(), rest.peek()) {
                (None, None) => return None,
                (Some(a), Some(b)) => a <= b,
                (a, _) => a.is_some(),
            };
            let at = if by_name { named.next() } else { rest.next() };
            let rule = self.rules.get(at?)?;
            if (by_name || rule.any_host || rule.globs.iter().any(|glob| glob.matches(asked.host))) && rule.fits(asked)
            {
                return Some(&rule.action);
            }
        }
    }
}

impl Compiled {
    /// Whether all but the host matches.
    fn fits(&self, asked: &Asked<'_>) -> bool {
        let path = |path: &Path| match path {
            Path::Exact(exact) => exact == asked.path,
            Path::Prefix(prefix) => begins(asked.path, prefix),
            Path::Glob(glob) => glob.matches(asked.path),
        };
        (self.paths.is_empty() || self.paths.iter().any(path))
            && (self.methods.is_empty() || self.methods.iter().any(|m| m == asked.method.as_str()))
            && (self.any_source || self.sources.iter().any(|range| range.contains(&asked.source)))
            && self.headers.iter().all(|(name, globs)| {
                let mut values = asked.headers.get_all(name).iter();
                values.any(|value| any(globs, &String::from_utf8_lossy(value.as_bytes())))
            })
            && self.queries.iter().all(|(name, globs)| {
                let mut pairs = form_urlencoded::parse(asked.query.as_bytes());
                pairs.any(|(key, value)| key == *name && any(globs, &value))
            })
    }
}

/// Without globs it is enough to be there.
fn any(globs: &[Glob], value: &str) -> bool {
    globs.is_empty() || globs.iter().any(|glob| glob.matches(value))
}

fn compile(rule: &Rule, pool: &mut impl FnMut(&str) -> Arc<Pool>) -> Result<Compiled, String> {
    let condition = &rule.condition;
    let globs = |field: &FieldMatch| field.values.iter().map(|value| Glob::new(value, true)).collect::<Vec<_>>();
    let header = |field: &FieldMatch| {
        let name = field.name.parse::<HeaderName>().map_err(|_| format!("{:?} is no name of a header", field.name))?;
        Ok((name, globs(field)))
    };
    let source = |text: &String| {
        let range = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        range.map_err(|_| format!("{text:?} is no range of addresses"))
    };
    let hosts = condition.hosts.iter().filter(|host| host.kind == HostKind::Glob);
    Ok(Compiled {
        any_host: condition.hosts.is_empty(),
        globs: hosts.map(|host| Glob::new(&host.value, true)).collect(),
        paths: condition.paths.iter().map(|path| compile_path(path.kind, &path.value)).collect(),
        methods: condition.methods.clone(),
        headers: condition.headers.iter().map(header).collect::<Result<_, String>>()?,
        queries: condition.queries.iter().map(|field| (field.name.clone(), globs(field))).collect(),
        sources: condition.sources.iter().map(source).collect::<Result<_, String>>()?,
        any_source: condition.sources.is_empty(),
        action: match &rule.action {
            Planned::Forward(targets) => {
                Action::Forward(targets.iter().map(|target| (pool(&target.backend), target.weight)).collect())
            }
            Planned::Respond(response) => Action::Respond(fixed(response)?),
            Planned::Redirect(redirect) => Action::Redirect(Redirect::new(redirect)?),
        },
    })
}

fn compile_path(kind: PathKind, value: &str) -> Path {
    match kind {
        PathKind::Exact => Path::Exact(value.to_owned()),
        PathKind::Prefix => Path::Prefix(value.trim_end_matches('/').to_owned()),
        PathKind::Glob => Path::Glob(Glob::new(value, false)),
    }
}

fn fixed(response: &Response) -> Result<Fixed, String> {
    let status = StatusCode::from_u16(response.status).ok().filter(|status| status.as_u16() >= 200);
    let status = status.ok_or_else(|| format!("{} is no status code of an answer", response.status))?;
    Ok(Fixed { status, content_type: response.content_type.clone(), body: response.body.clone() })
}

#[cfg(test)]
mod tests;
