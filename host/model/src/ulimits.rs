//! Limits of the processes of a pod's containers, which the pod's own fields can't say: an annotation does.
//!
//! `gantry.dev/ulimits: {"app": {"nofile": {"soft": 1024, "hard": 4096}}}` starts `app` so that each of its processes opens at
//! most 1024 files, and may raise that to 4096. Names are those of `RLIMIT_…` in lower case; -1 is without limit. What is
//! not named is as the runtime has it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// The annotation's name.
pub const ULIMITS: &str = "gantry.dev/ulimits";

/// What Linux limits, by the end of `RLIMIT_…`.
const NAMES: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// One limit, in the unit that Linux has for it; -1: none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ulimit {
    /// What holds.
    pub soft: i64,
    /// How far a process may raise it.
    pub hard: i64,
}

/// By container: limits by their names.
pub type Ulimits = BTreeMap<String, BTreeMap<String, Ulimit>>;

impl Ulimit {
    /// Soft and hard as the kernel has them.
    pub fn numbers(self) -> (u64, u64) {
        let number = |limit: i64| u64::try_from(limit).unwrap_or(u64::MAX);
        (number(self.soft), number(self.hard))
    }
}

/// Reads the annotation; nothing where there is none. An error says what is wrong with it.
pub fn read(pod: &Value) -> Result<Ulimits, String> {
    let annotations = pod.get("metadata").and_then(|metadata| metadata.get("annotations"));
    let text = annotations.and_then(|all| all.get(ULIMITS)).and_then(Value::as_str);
    text.map_or_else(|| Ok(Ulimits::new()), parse)
}

/// Reads its value.
pub fn parse(text: &str) -> Result<Ulimits, String> {
    serde_json::from_str(text)
        .map_err(|error| format!("must be JSON that has for containers their limits, each with soft and hard: {error}"))
}

/// What is wrong with limits of these containers: a name that none of them has, one that no limit has, a number.
pub fn check(ulimits: &Ulimits, containers: &[&str]) -> Result<(), String> {
    if let Some(unknown) = ulimits.keys().find(|name| !containers.contains(&name.as_str())) {
        return Err(format!("{unknown:?} is none of the pod's containers"));
    }
    let all =
        ulimits.iter().flat_map(|(container, limits)| limits.iter().map(move |(name, one)| (container, name, one)));
    for (container, name, limit) in all {
        if !NAMES.contains(&name.as_str()) {
            return Err(format!("{name:?} of {container} is none of {}", NAMES.join(", ")));
        }
        if limit.soft < -1 || limit.hard < -1 {
            return Err(format!("{name} of {container} must be 0 or more, or -1 for no limit"));
        }
        let (soft, hard) = limit.numbers();
        if soft > hard {
            return Err(format!("{name} of {container} must have a soft limit that is not above the hard one"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_checked() {
        for (text, want) in [
            ("{}", None),
            (r#"{"a": {"nofile": {"soft": 1, "hard": 2}, "core": {"soft": 0, "hard": -1}}}"#, None),
            (r#"{"a": {"memlock": {"soft": -1, "hard": -1}}}"#, None),
            (r#"{"x": {}}"#, Some("\"x\" is none of the pod's containers")),
            (r#"{"a": {"files": {"soft": 1, "hard": 2}}}"#, Some("\"files\" of a is none of as, core,")),
            (r#"{"a": {"nofile": {"soft": 3, "hard": 2}}}"#, Some("nofile of a must have a soft limit")),
            (r#"{"a": {"nofile": {"soft": -1, "hard": 2}}}"#, Some("nofile of a must have a soft limit")),
            (r#"{"a": {"nofile": {"soft": -2, "hard": 2}}}"#, Some("nofile of a must be 0 or more")),
            (r#"{"a": {"nofile": {"soft": 1}}}"#, Some("must be JSON")),
            (r#"{"a": {"nofile": {"soft": 1.5, "hard": 2}}}"#, Some("must be JSON")),
            ("a", Some("must be JSON")),
        ] {
            let said = parse(text).and_then(|ulimits| check(&ulimits, &["a", "b"])).err();
            assert_eq!(said.is_some(), want.is_some(), "{text}: {said:?}");
            assert!(said.clone().unwrap_or_default().contains(want.unwrap_or_default()), "{text}: {said:?}");
        }
        assert_eq!(Ulimit { soft: 7, hard: -1 }.numbers(), (7, u64::MAX));
    }
}
