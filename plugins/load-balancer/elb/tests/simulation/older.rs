//! Classic load balancers in memory, by the API's older version.

use std::collections::{BTreeMap, BTreeSet};

use crate::aws::{Fields, Refusal, refuse};
use crate::xml::members;

/// A Classic load balancer.
#[derive(Clone, Debug, Default)]
pub struct Older {
    pub scheme: String,
    /// By port: protocol, port of instances, certificate.
    pub listeners: BTreeMap<String, (String, String, String)>,
    pub instances: BTreeSet<String>,
    pub subnets: BTreeSet<String>,
    pub groups: BTreeSet<String>,
    /// Target, interval, timeout, healthy, unhealthy.
    pub check: Vec<String>,
    pub tags: BTreeMap<String, String>,
}

/// By name.
pub type All = BTreeMap<String, Older>;

const CHECK: [&str; 5] = ["Target", "Interval", "Timeout", "HealthyThreshold", "UnhealthyThreshold"];

type Answer = Result<String, Refusal>;

/// What a request for an action comes to.
pub fn act(all: &mut All, action: &str, fields: &Fields) -> Answer {
    match action {
        "DescribeLoadBalancers" => Ok(describe(all)),
        "CreateLoadBalancer" => create(all, fields),
        "DescribeTags" => tags(all, fields),
        "DeleteLoadBalancer" => {
            all.remove(&name(fields));
            Ok(String::new())
        }
        _ => match all.get_mut(&name(fields)) {
            Some(one) => one.act(action, fields),
            None => refuse("LoadBalancerNotFound", name(fields)),
        },
    }
}

fn name(fields: &Fields) -> String {
    fields.get("LoadBalancerName").cloned().unwrap_or_default()
}

fn create(all: &mut All, fields: &Fields) -> Answer {
    let name = name(fields);
    if all.contains_key(&name) {
        return refuse("DuplicateLoadBalancerName", name);
    }
    let mut one =
        Older { scheme: fields.get("Scheme").cloned().unwrap_or_else(|| "internet-facing".into()), ..Older::default() };
    let tags = (1..).map_while(|at| {
        let part = |part: &str| fields.get(&format!("Tags.member.{at}.{part}")).cloned();
        Some((part("Key")?, part("Value")?))
    });
    one.tags.extend(tags);
    one.subnets.extend(members(fields, "Subnets").into_iter().cloned());
    one.groups.extend(members(fields, "SecurityGroups").into_iter().cloned());
    one.listen(fields)?;
    if one.listeners.is_empty() {
        return refuse("ValidationError", "no listeners");
    }
    all.insert(name.clone(), one);
    Ok(format!("<DNSName>{name}.classic.example</DNSName>"))
}

fn tags(all: &All, fields: &Fields) -> Answer {
    let mut out = String::new();
    for name in members(fields, "LoadBalancerNames") {
        let Some(one) = all.get(name) else { return refuse("LoadBalancerNotFound", name) };
        let tags: String =
            one.tags.iter().map(|(k, v)| format!("<member><Key>{k}</Key><Value>{v}</Value></member>")).collect();
        out.push_str(&format!("<member><LoadBalancerName>{name}</LoadBalancerName><Tags>{tags}</Tags></member>"));
    }
    Ok(format!("<TagDescriptions>{out}</TagDescriptions>"))
}

fn describe(all: &All) -> String {
    let list = |name: &str, values: &BTreeSet<String>| {
        let values: String = values.iter().map(|value| format!("<member>{value}</member>")).collect();
        format!("<{name}>{values}</{name}>")
    };
    let one = |(name, one): (&String, &Older)| {
        let listeners: String = one.listeners.iter().map(listener).collect();
        let instances: String =
            one.instances.iter().map(|id| format!("<member><InstanceId>{id}</InstanceId></member>")).collect();
        let check: String =
            CHECK.iter().zip(&one.check).map(|(name, value)| format!("<{name}>{value}</{name}>")).collect();
        let check = if check.is_empty() { check } else { format!("<HealthCheck>{check}</HealthCheck>") };
        format!(
            "<member><LoadBalancerName>{name}</LoadBalancerName><DNSName>{name}.classic.example</DNSName>\
             <ListenerDescriptions>{listeners}</ListenerDescriptions><Instances>{instances}</Instances>{check}{}{}</member>",
            list("Subnets", &one.subnets),
            list("SecurityGroups", &one.groups)
        )
    };
    format!("<LoadBalancerDescriptions>{}</LoadBalancerDescriptions>", all.iter().map(one).collect::<String>())
}

fn listener((port, (protocol, to, certificate)): (&String, &(String, String, String))) -> String {
    let certificate = match certificate.is_empty() {
        true => String::new(),
        false => format!("<SSLCertificateId>{certificate}</SSLCertificateId>"),
    };
    format!(
        "<member><Listener><Protocol>{protocol}</Protocol><LoadBalancerPort>{port}</LoadBalancerPort>\
         <InstanceProtocol>TCP</InstanceProtocol><InstancePort>{to}</InstancePort>{certificate}</Listener></member>"
    )
}

impl Older {
    fn act(&mut self, action: &str, fields: &Fields) -> Answer {
        let ids: Vec<String> =
            (1..).map_while(|at| fields.get(&format!("Instances.member.{at}.InstanceId")).cloned()).collect();
        let some = |name: &str| members(fields, name).into_iter().cloned().collect::<BTreeSet<String>>();
        match action {
            "CreateLoadBalancerListeners" => self.listen(fields)?,
            "DeleteLoadBalancerListeners" => {
                some("LoadBalancerPorts").iter().for_each(|port| drop(self.listeners.remove(port)));
            }
            "SetLoadBalancerListenerSSLCertificate" => {
                let Some(listener) = self.listeners.get_mut(&fields["LoadBalancerPort"]) else {
                    return refuse("ListenerNotFound", "");
                };
                listener.2 = fields["SSLCertificateId"].clone();
            }
            "ConfigureHealthCheck" => {
                self.check = CHECK.iter().map(|name| fields[&format!("HealthCheck.{name}")].clone()).collect();
            }
            "RegisterInstancesWithLoadBalancer" => self.instances.extend(ids),
            "DeregisterInstancesFromLoadBalancer" => self.instances.retain(|id| !ids.contains(id)),
            "AttachLoadBalancerToSubnets" => self.subnets.extend(some("Subnets")),
            "DetachLoadBalancerFromSubnets" => self.subnets.retain(|subnet| !some("Subnets").contains(subnet)),
            "ApplySecurityGroupsToLoadBalancer" => self.groups = some("SecurityGroups"),
            "DescribeInstanceHealth" => {
                let one = |id| format!("<member><InstanceId>{id}</InstanceId><State>InService</State></member>");
                let all: String = self.instances.iter().map(one).collect();
                return Ok(format!("<InstanceStates>{all}</InstanceStates>"));
            }
            _ => return refuse("InvalidAction", action),
        }
        Ok(String::new())
    }

    fn listen(&mut self, fields: &Fields) -> Result<(), Refusal> {
        for at in 1.. {
            let part = |part: &str| fields.get(&format!("Listeners.member.{at}.{part}")).cloned();
            let Some(port) = part("LoadBalancerPort") else { return Ok(()) };
            let certificate = part("SSLCertificateId").unwrap_or_default();
            let told = (part("Protocol").unwrap(), part("InstancePort").unwrap(), certificate);
            if (told.0 == "SSL") == told.2.is_empty() {
                return refuse("InvalidConfigurationRequest", "SSL has a certificate, and nothing else has");
            }
            if self.listeners.insert(port.clone(), told.clone()).is_some_and(|known| known != told) {
                return refuse("DuplicateListener", port);
            }
        }
        Ok(())
    }
}
