//! What there is in AWS of one Frontend: what carries its tags. Of what has its names without them, only that the name is
//! taken.

use std::collections::{BTreeMap, BTreeSet};

use crate::aws::{self, Certificate, Client, Description, Failure, LoadBalancer, Params, Tag, TagSet, TargetGroup};
use crate::names::{Owner, Tags};
use crate::wanted::{Action, Condition, Target};

/// Entries of a page; AWS's most.
const PAGE: u32 = 400;
/// Things whose tags are asked for at once; AWS's limit.
const TAGGED: usize = 20;
/// Of all but Classic load balancers.
const ARNS: &str = "ResourceArns";

/// Everything of one Frontend.
#[derive(Debug, Default)]
pub struct Found {
    /// By name.
    pub balancers: BTreeMap<String, Balancer>,
    /// By name.
    pub groups: BTreeMap<String, Group>,
    /// Names that others have.
    pub taken: BTreeSet<String>,
}

/// A load balancer.
#[derive(Debug)]
pub struct Balancer {
    /// As AWS tells it.
    pub is: LoadBalancer,
    /// By port.
    pub listeners: BTreeMap<u16, Listener>,
}

/// A listener.
#[derive(Debug)]
pub struct Listener {
    /// Its ARN.
    pub arn: String,
    /// Whether this plugin made it.
    pub ours: bool,
    /// `TCP`
    pub protocol: String,
    /// The ARN of the one by default.
    pub certificate: Option<String>,
    /// Those by name (SNI), of a listener of this plugin.
    pub named: BTreeSet<String>,
    /// For what no rule is for.
    pub default: Action,
    /// By priority, without the default.
    pub rules: BTreeMap<u32, Rule>,
}

/// A rule.
#[derive(Debug)]
pub struct Rule {
    /// Its ARN.
    pub arn: String,
    /// Whether this plugin made it.
    pub ours: bool,
    /// What it is for.
    pub conditions: Vec<Condition>,
    /// What it does.
    pub action: Action,
}

/// A target group.
#[derive(Debug)]
pub struct Group {
    /// As AWS tells it.
    pub is: TargetGroup,
    /// Whether a client stays with a target.
    pub sticky: bool,
    /// Targets and their state, without those that are going.
    pub targets: BTreeMap<Target, String>,
}

/// Reads it.
pub fn find(client: &Client, owner: &Owner) -> Result<Found, Failure> {
    let stem = owner.stem();
    let page = Params::default().set("PageSize", PAGE);
    let mut balancers: Vec<LoadBalancer> = client.list("DescribeLoadBalancers", &page, "LoadBalancers")?;
    balancers.retain(|one| one.load_balancer_name.starts_with(&stem));
    let mut groups: Vec<TargetGroup> = client.list("DescribeTargetGroups", &page, "TargetGroups")?;
    groups.retain(|one| one.target_group_name.starts_with(&stem));
    let arns = balancers.iter().map(|one| &one.load_balancer_arn).chain(groups.iter().map(|one| &one.target_group_arn));
    let ours = ours(client, owner, ARNS, &arns.collect::<Vec<_>>())?;
    let mut found = Found::default();
    let names: BTreeMap<String, String> =
        groups.iter().map(|one| (one.target_group_arn.clone(), one.target_group_name.clone())).collect();
    for is in balancers {
        if !ours.contains(&is.load_balancer_arn) {
            found.taken.insert(is.load_balancer_name);
            continue;
        }
        let listeners = listeners(client, owner, &is, &names)?;
        found.balancers.insert(is.load_balancer_name.clone(), Balancer { is, listeners });
    }
    for is in groups {
        if !ours.contains(&is.target_group_arn) {
            found.taken.insert(is.target_group_name);
            continue;
        }
        let targets = targets(client, &is.target_group_arn)?;
        // Those of application load balancers are never made so.
        let sticky = is.protocol != "HTTP" && sticky(client, &is.target_group_arn)?;
        found.groups.insert(is.target_group_name.clone(), Group { is, sticky, targets });
    }
    Ok(found)
}

/// Which of these carry the tags: `ResourceArns` or, of Classic load balancers, `LoadBalancerNames`.
pub fn ours(client: &Client, owner: &Owner, by: &str, names: &[&String]) -> Result<BTreeSet<String>, Failure> {
    let mut ours = BTreeSet::new();
    for some in names.chunks(TAGGED) {
        let sets: Vec<TagSet> = client.list("DescribeTags", &Params::default().list(by, some), "TagDescriptions")?;
        for set in sets {
            let tags: Tags = set.tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
            if owner.owns(&tags) {
                ours.insert(if set.resource_arn.is_empty() { set.load_balancer_name } else { set.resource_arn });
            }
        }
    }
    Ok(ours)
}

fn targets(client: &Client, group: &str) -> Result<BTreeMap<Target, String>, Failure> {
    let of = Params::default().set("TargetGroupArn", group);
    let all: Vec<Description> = client.list("DescribeTargetHealth", &of, "TargetHealthDescriptions")?;
    let staying = all.into_iter().filter(|one| one.target_health.state != "draining");
    Ok(staying.map(|one| (Target { id: one.target.id, port: one.target.port }, one.target_health.state)).collect())
}

fn sticky(client: &Client, group: &str) -> Result<bool, Failure> {
    let of = Params::default().set("TargetGroupArn", group);
    let all: Vec<Tag> = client.list("DescribeTargetGroupAttributes", &of, "Attributes")?;
    let set = |key: &str, value: &str| all.iter().any(|one| one.key == key && one.value == value);
    Ok(set("stickiness.enabled", "true") && set("stickiness.type", "source_ip"))
}

fn listeners(
    client: &Client,
    owner: &Owner,
    balancer: &LoadBalancer,
    names: &BTreeMap<String, String>,
) -> Result<BTreeMap<u16, Listener>, Failure> {
    let of = Params::default().set("LoadBalancerArn", &balancer.load_balancer_arn);
    let all: Vec<aws::Listener> = client.list("DescribeListeners", &of, "Listeners")?;
    let ours = ours(client, owner, ARNS, &all.iter().map(|one| &one.listener_arn).collect::<Vec<_>>())?;
    let mut out = BTreeMap::new();
    for one in all {
        let ours = ours.contains(&one.listener_arn);
        let named = match ours && matches!(one.protocol.as_str(), "HTTPS" | "TLS") {
            true => named(client, &one.listener_arn)?,
            false => BTreeSet::new(),
        };
        let rules = match ours && balancer.kind == "application" {
            true => rules(client, owner, &one.listener_arn, names)?,
            false => BTreeMap::new(),
        };
        out.insert(
            one.port,
            Listener {
                ours,
                protocol: one.protocol,
                certificate: one.certificates.into_iter().next().map(|one| one.certificate_arn),
                named,
                default: Action::read(&one.default_actions, |arn| name(names, arn)),
                rules,
                arn: one.listener_arn,
            },
        );
    }
    Ok(out)
}

fn named(client: &Client, listener: &str) -> Result<BTreeSet<String>, Failure> {
    let of = Params::default().set("ListenerArn", listener);
    let all: Vec<Certificate> = client.list("DescribeListenerCertificates", &of, "Certificates")?;
    Ok(all.into_iter().filter(|one| !one.is_default).map(|one| one.certificate_arn).collect())
}

fn rules(
    client: &Client,
    owner: &Owner,
    listener: &str,
    names: &BTreeMap<String, String>,
) -> Result<BTreeMap<u32, Rule>, Failure> {
    let of = Params::default().set("ListenerArn", listener);
    let all: Vec<aws::Rule> = client.list("DescribeRules", &of, "Rules")?;
    let numbered: Vec<(u32, aws::Rule)> =
        all.into_iter().filter_map(|rule| Some((rule.priority.parse().ok()?, rule))).collect();
    let ours = ours(client, owner, ARNS, &numbered.iter().map(|(_, rule)| &rule.rule_arn).collect::<Vec<_>>())?;
    let read = |rule: aws::Rule| Rule {
        ours: ours.contains(&rule.rule_arn),
        conditions: rule.conditions.iter().map(Condition::read).collect(),
        action: Action::read(&rule.actions, |arn| name(names, arn)),
        arn: rule.rule_arn,
    };
    Ok(numbered.into_iter().map(|(priority, rule)| (priority, read(rule))).collect())
}

/// A target group of somebody else is known by its ARN only, which is nobody's name.
fn name(names: &BTreeMap<String, String>, arn: &str) -> String {
    names.get(arn).cloned().unwrap_or_else(|| arn.to_owned())
}
