use super::*;

struct Instance;

/// An instance in zone `us-east-1a` with two tasks of two groups.
impl Facts for Instance {
    fn values(&self, subject: &Subject) -> Vec<Cow<'_, str>> {
        let all: &[&str] = match subject {
            Subject::AgentConnected => &["true"],
            Subject::AgentVersion => &["1.10.2"],
            Subject::Ec2InstanceId => &["i-1"],
            Subject::RegisteredAt => &["2018-06-18T22:28:28Z"],
            Subject::RunningTasksCount => &["2"],
            Subject::TaskGroup => &["service:web", "family:db"],
            Subject::Attribute(name) => match name.as_str() {
                "ecs.availability-zone" => &["us-east-1a"],
                "ecs.instance-type" => &["t2.small"],
                "size" => &["10"],
                "empty" => &[""],
                _ => &[],
            },
        };
        all.iter().map(|value| Cow::Borrowed(*value)).collect()
    }
}

#[test]
fn instances_are_chosen() {
    let table = [
        ("attribute:ecs.instance-type == t2.small", true),
        ("attribute:ecs.instance-type==t2.small", true),
        ("attribute:ecs.instance-type equals 't2.small'", true),
        ("attribute:ecs.instance-type != t2.small", false),
        ("attribute:none != x", true),
        ("attribute:none == x", false),
        ("attribute:none < 1", false),
        ("attribute:none not_in [a, b]", true),
        ("attribute:empty exists", true),
        ("attribute:empty == ''", true),
        ("attribute:none exists", false),
        ("attribute:none !exists", true),
        ("attribute:none not_exists", true),
        ("attribute:size > 9", true),
        ("attribute:size greater_than 10", false),
        ("attribute:size >= 10", true),
        ("attribute:size greater_than_equal 10.5", false),
        ("attribute:size < 9", false),
        ("attribute:size less_than_equal 10", true),
        ("attribute:ecs.availability-zone in [us-east-1a, us-east-1b]", true),
        ("attribute:ecs.availability-zone !in [us-east-1a,us-east-1b]", false),
        ("attribute:ecs.instance-type =~ t2.*", true),
        ("attribute:ecs.instance-type =~ t2", false),
        ("attribute:ecs.instance-type matches (t2|m3)\\.(small|large)", true),
        ("(attribute:ecs.instance-type !~ g2.*)", true),
        ("attribute:ecs.instance-type not_matches 't2 ?.*'", false),
        ("ec2InstanceId in ['i-1', 'i-2']", true),
        ("agentConnected == true", true),
        ("agentVersion >= 1.9", true),
        ("agentVersion < 1.10.2", false),
        ("agentVersion == 1.10.2.0", true),
        ("registeredAt >= 2018-06-18", true),
        ("registeredAt < 2018-06-18T22:28:28", false),
        ("registeredAt == 2018-06-19T00:28:28+02:00", true),
        ("runningTasksCount == 2", true),
        ("runningTasksCount < 10", true),
        ("task:group == service:web", true),
        ("task:group == family:db and task:group == service:web", true),
        ("task:group != family:db", false),
        ("not(task:group == family:x)", true),
        ("! task:group == family:x && !(runningTasksCount > 5)", true),
        ("runningTasksCount == 1 or runningTasksCount == 2 and attribute:none exists", false),
        ("(runningTasksCount == 1 || runningTasksCount == 2) && attribute:size exists", true),
        ("runningTasksCount==1||runningTasksCount==2", true),
    ];
    for (text, expected) in table {
        let expression = Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(expression.chooses(&Instance), expected, "{text}");
    }
}

#[test]
fn errors_name_the_place() {
    let table = [
        ("", 0, "a subject is expected"),
        ("stack == prod", 0, "unknown subject \"stack\""),
        ("attribute: == x", 0, "unknown subject"),
        ("attribute:stack prod", 16, "an operator is expected, not \"prod\""),
        ("attribute:stack", 15, "an operator is expected"),
        ("attribute:stack = prod", 16, "an operator is expected"),
        ("attribute:stack ==", 18, "a value is expected"),
        ("attribute:stack == a b", 21, "unexpected \"b\""),
        ("attribute:stack in a", 19, "a list in brackets is expected"),
        ("attribute:stack in [a, ]", 23, "a value is expected"),
        ("attribute:stack in [a", 21, "a comma or a closing bracket is expected"),
        ("attribute:stack == 'a", 19, "the quote is not closed"),
        ("attribute:stack =~ (a", 19, "invalid pattern"),
        ("attribute:stack =~ a(?=b)", 19, "invalid pattern"),
        ("attribute:stack =~ '((a{99}){99}){99}'", 19, "invalid pattern"),
        ("(attribute:stack == a", 21, "a closing parenthesis is expected"),
        ("attribute:stack == a and", 24, "a subject is expected"),
        ("attribute:ä == a and x", 21, "unknown subject \"x\""),
        ("agentConnected == yes", 18, "true or false is expected"),
        ("agentVersion > new", 15, "a version"),
        ("registeredAt > yesterday", 15, "a date"),
        ("runningTasksCount == many", 21, "a number is expected"),
        ("runningTasksCount in [1]", 18, "runningTasksCount does not take the operator in"),
        ("task:group exists", 11, "task:group does not take the operator exists"),
    ];
    for (text, position, want) in table {
        let error = Expression::parse(text).err().unwrap_or_else(|| panic!("{text} is taken"));
        assert!(error.what.starts_with(want), "{text}: {error} does not say {want}");
        assert_eq!(error.position, position, "{text}: {error}");
    }
}

#[test]
fn everything_is_bounded() {
    let deep = |n: usize| format!("{}runningTasksCount == 1{}", "(".repeat(n), ")".repeat(n));
    assert!(Expression::parse(&deep(30)).is_ok());
    assert!(Expression::parse(&deep(900)).unwrap_err().what.contains("within each other"));
    assert!(Expression::parse(&"!".repeat(1_999)).unwrap_err().what.contains("within each other"));
    let long = vec!["attribute:a exists"; 65].join(" or ");
    assert!(Expression::parse(&long).unwrap_err().what.contains("64 tests"));
    assert!(Expression::parse(&" ".repeat(2_001)).unwrap_err().what.contains("2000 characters"));
    let list = format!("attribute:a in [{}]", vec!["x"; 65].join(","));
    assert!(Expression::parse(&list).unwrap_err().what.contains("64 values"));
}
