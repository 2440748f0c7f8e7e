//! What there is in AWS of one Frontend: what carries its tags. Of what has its names without them, only that the name is
//! taken.

use std::collections::{BTreeMap, BTreeSet};

use crate::aws::{
    self, Client, Described, Failure, Groups, Listeners, LoadBalancer, Params, Rules, TargetGroup, TargetHealth,
};
use crate::names::Owner;
use crate::wanted::{Action, Condition, Target};

/// Entries of a page; AWS's most.
const PAGE: u32 = 400;

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
    /// ARNs, the first by default.
    pub certificates: Vec<String>,
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
    /// Targets and their state, without those that are going.
    pub targets: BTreeMap<Target, String>,
}

/// Reads it.
pub fn find(client: &Client, owner: &Owner) -> Result<Found, Failure> {
    let stem = owner.stem();
    let page = Params::default().set("PageSize", PAGE);
    let take = |page: Described| (page.load_balancers.member, page.next_marker);
    let mut balancers = client.pages("DescribeLoadBalancers", &page, take)?;
    balancers.retain(|one| one.load_balancer_name.starts_with(&stem));
    let take = |page: Groups| (page.target_groups.member, page.next_marker);
    let mut groups = client.pages("DescribeTargetGroups", &page, take)?;
    groups.retain(|one| one.target_group_name.starts_with(&stem));
    let arns = balancers.iter().map(|one| &one.load_balancer_arn).chain(groups.iter().map(|one| &one.target_group_arn));
    let ours = Ours::of(client, owner, arns.cloned().collect())?;
    let mut found = Found::default();
    let names: BTreeMap<String, String> =
        groups.iter().map(|one| (one.target_group_arn.clone(), one.target_group_name.clone())).collect();
    for is in balancers {
        if !ours.has(&is.load_balancer_arn) {
            found.taken.insert(is.load_balancer_name);
            continue;
        }
        let listeners = listeners(client, owner, &is, &names)?;
        found.balancers.insert(is.load_balancer_name.clone(), Balancer { is, listeners });
    }
    for is in groups {
        if !ours.has(&is.target_group_arn) {
            found.taken.insert(is.target_group_name);
            continue;
        }
        let targets = targets(client, &is.target_group_arn)?;
        found.groups.insert(is.target_group_name.clone(), Group { is, targets });
    }
    Ok(found)
}

/// Which things carry the tags.
struct Ours(BTreeSet<String>);

impl Ours {
    fn of(client: &Client, owner: &Owner, arns: Vec<String>) -> Result<Self, Failure> {
        let tagged = client.tags(&arns)?;
        Ok(Self(tagged.into_iter().filter(|(_, tags)| owner.owns(tags)).map(|(arn, _)| arn).collect()))
    }

    fn has(&self, arn: &str) -> bool {
        self.0.contains(arn)
    }
}

fn targets(client: &Client, group: &str) -> Result<BTreeMap<Target, String>, Failure> {
    let health: TargetHealth = client.ask("DescribeTargetHealth", &Params::default().set("TargetGroupArn", group))?;
    let all = health.target_health_descriptions.member.into_iter();
    let staying = all.filter(|one| one.target_health.state != "draining");
    Ok(staying.map(|one| (Target { id: one.target.id, port: one.target.port }, one.target_health.state)).collect())
}

fn listeners(
    client: &Client,
    owner: &Owner,
    balancer: &LoadBalancer,
    names: &BTreeMap<String, String>,
) -> Result<BTreeMap<u16, Listener>, Failure> {
    let of = Params::default().set("LoadBalancerArn", &balancer.load_balancer_arn);
    let take = |page: Listeners| (page.listeners.member, page.next_marker);
    let all: Vec<aws::Listener> = client.pages("DescribeListeners", &of, take)?;
    let ours = Ours::of(client, owner, all.iter().map(|one| one.listener_arn.clone()).collect())?;
    let mut out = BTreeMap::new();
    for one in all {
        let ours = ours.has(&one.listener_arn);
        let rules = match ours && balancer.kind == "application" {
            true => rules(client, owner, &one.listener_arn, names)?,
            false => BTreeMap::new(),
        };
        out.insert(
            one.port,
            Listener {
                ours,
                protocol: one.protocol,
                certificates: one.certificates.member.into_iter().map(|c| c.certificate_arn).collect(),
                default: Action::read(&one.default_actions.member, |arn| name(names, arn)),
                rules,
                arn: one.listener_arn,
            },
        );
    }
    Ok(out)
}

fn rules(
    client: &Client,
    owner: &Owner,
    listener: &str,
    names: &BTreeMap<String, String>,
) -> Result<BTreeMap<u32, Rule>, Failure> {
    let take = |page: Rules| (page.rules.member, page.next_marker);
    let all: Vec<aws::Rule> = client.pages("DescribeRules", &Params::default().set("ListenerArn", listener), take)?;
    let numbered: Vec<(u32, aws::Rule)> =
        all.into_iter().filter_map(|rule| Some((rule.priority.parse().ok()?, rule))).collect();
    let ours = Ours::of(client, owner, numbered.iter().map(|(_, rule)| rule.rule_arn.clone()).collect())?;
    let read = |rule: aws::Rule| Rule {
        ours: ours.has(&rule.rule_arn),
        conditions: rule.conditions.member.iter().map(Condition::read).collect(),
        action: Action::read(&rule.actions.member, |arn| name(names, arn)),
        arn: rule.rule_arn,
    };
    Ok(numbered.into_iter().map(|(priority, rule)| (priority, read(rule))).collect())
}

/// A target group of somebody else is known by its ARN only, which is nobody's name.
fn name(names: &BTreeMap<String, String>, arn: &str) -> String {
    names.get(arn).cloned().unwrap_or_else(|| arn.to_owned())
}
