//! An Elastic Load Balancing in memory: as much of it as the plugin asks for, with AWS's rules on names, targets, certificates,
//! security groups and the order of removal. What it is told stands in its answers as it was told; `moto` is the second opinion.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use gantry_sdk::Result;
use gantry_sdk::http::{Request, Response};
use gantry_sdk::testing::Host;

use crate::older::{self, All, Older};
use crate::xml::{members, told};

/// Parameters of a request, or what is known of a thing, by the names of the query protocol.
pub type Fields = BTreeMap<String, String>;

/// One load balancer, target group, listener or rule.
#[derive(Clone, Debug)]
pub struct Thing {
    /// `LoadBalancer`, `TargetGroup`, `Listener` or `Rule`
    pub kind: &'static str,
    /// As it was told.
    pub fields: Fields,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Of a target group.
    pub targets: Vec<(String, String)>,
    /// How they all are.
    pub health: String,
    /// Of a listener, beside the one by default.
    pub certificates: Vec<String>,
    /// Of a target group.
    pub attributes: BTreeMap<String, String>,
}

impl Thing {
    fn new(kind: &'static str, fields: Fields) -> Self {
        let (tags, targets, certificates, attributes) = Default::default();
        Self { kind, fields, tags, targets, health: "healthy".into(), certificates, attributes }
    }

    /// What was told of it.
    pub fn has(&self, name: &str, value: &str) -> bool {
        self.fields.get(name).is_some_and(|known| known == value)
    }
}

#[derive(Default)]
pub struct State {
    things: BTreeMap<String, Thing>,
    made: u32,
    asked: Vec<String>,
    failures: Vec<(String, u16, String)>,
    pretended: Option<String>,
    older: All,
}

/// The service. Clones are the same one.
#[derive(Clone, Default)]
pub struct Aws(Rc<RefCell<State>>);

/// Code and message.
pub type Refusal = (u16, &'static str, String);

pub fn refuse<T>(code: &'static str, message: impl Into<String>) -> std::result::Result<T, Refusal> {
    Err((400, code, message.into()))
}

impl Aws {
    /// Empty, and what this thread's host asks from now on.
    pub fn serve(host: &Host) -> Self {
        let aws = Self::default();
        let answering = aws.clone();
        host.answer_http(move |request| answering.answer(request));
        aws
    }

    /// Everything of a kind.
    pub fn all(&self, kind: &str) -> Vec<Thing> {
        self.0.borrow().things.values().filter(|thing| thing.kind == kind).cloned().collect()
    }

    /// Makes something as somebody else.
    pub fn put(&self, kind: &'static str, arn: &str, fields: &[(&str, &str)]) {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.0.borrow_mut().things.insert(arn.to_owned(), Thing::new(kind, fields));
    }

    /// Changes everything of a kind as somebody else.
    pub fn edit(&self, kind: &str, change: impl Fn(&mut Thing)) {
        self.0.borrow_mut().things.values_mut().filter(|thing| thing.kind == kind).for_each(change);
    }

    /// Classic load balancers.
    pub fn older(&self) -> All {
        self.0.borrow().older.clone()
    }

    /// Makes one as somebody else.
    pub fn put_older(&self, name: &str, one: Older) {
        self.0.borrow_mut().older.insert(name.to_owned(), one);
    }

    /// Changes all of them as somebody else.
    pub fn edit_older(&self, change: impl Fn(&mut Older)) {
        self.0.borrow_mut().older.values_mut().for_each(change);
    }

    /// Load balancers are in this state from now on.
    pub fn pretend(&self, state: &str) {
        self.0.borrow_mut().pretended = Some(state.to_owned());
    }

    /// Actions that change something, since the last call of this.
    pub fn take_changes(&self) -> Vec<String> {
        let asked = std::mem::take(&mut self.0.borrow_mut().asked);
        asked.into_iter().filter(|action| !action.starts_with("Describe")).collect()
    }

    /// The next request for this action fails. A status of 0 stands for no answer though it was carried out.
    pub fn fail(&self, action: &str, status: u16, code: &str) {
        self.0.borrow_mut().failures.push((action.to_owned(), status, code.to_owned()));
    }

    fn answer(&self, request: &Request) -> Result<Response> {
        let fields: Fields = form_urlencoded::parse(&request.body).into_owned().collect();
        let action = fields.get("Action").cloned().unwrap_or_default();
        let mut state = self.0.borrow_mut();
        state.asked.push(action.clone());
        let failure = state.failures.iter().position(|(of, ..)| *of == action).map(|at| state.failures.remove(at));
        if let Some((_, status, code)) = failure.as_ref().filter(|(_, status, _)| *status > 0) {
            return Ok(error(*status, code, "as the test asked for"));
        }
        let outcome = match fields.get("Version").is_some_and(|version| version == "2012-06-01") {
            true => older::act(&mut state.older, &action, &fields),
            false => state.act(&action, &fields),
        };
        if failure.is_some() {
            return Err(gantry_sdk::Error::unavailable("the answer was lost"));
        }
        Ok(match outcome {
            Ok(xml) => Response::new(
                200,
                format!("<{action}Response><{action}Result>{xml}</{action}Result></{action}Response>"),
            ),
            Err((status, code, message)) => error(status, code, &message),
        })
    }
}

fn error(status: u16, code: &str, message: &str) -> Response {
    Response::new(
        status,
        format!("<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"),
    )
}

impl State {
    fn act(&mut self, action: &str, fields: &Fields) -> std::result::Result<String, Refusal> {
        match action {
            "CreateLoadBalancer" => self.create("LoadBalancer", "Name", fields),
            "CreateTargetGroup" => self.create("TargetGroup", "Name", fields),
            "CreateListener" => self.create("Listener", "Port", fields),
            "CreateRule" => self.create("Rule", "Priority", fields),
            "DescribeLoadBalancers" => {
                // As with moto: it is ready when it is looked at.
                let state = self.pretended.clone().unwrap_or_else(|| "active".into());
                let all = self.things.values_mut().filter(|thing| thing.kind == "LoadBalancer");
                all.for_each(|thing| drop(thing.fields.insert("State.Code".into(), state.clone())));
                Ok(self.list("LoadBalancer", |_| true))
            }
            "DescribeTargetGroups" => Ok(self.list("TargetGroup", |_| true)),
            "DescribeListeners" => self.list_of("Listener", "LoadBalancerArn", fields),
            "DescribeRules" => self.list_of("Rule", "ListenerArn", fields),
            "DescribeTags" => self.tags(fields),
            "DescribeTargetHealth" => self.health(fields),
            "RegisterTargets" | "DeregisterTargets" => self.register(action == "RegisterTargets", fields),
            "SetSubnets" => self.change("LoadBalancerArn", &["Subnets"], fields),
            "DescribeListenerCertificates" => self.certificates(fields),
            "AddListenerCertificates" | "RemoveListenerCertificates" => {
                self.certify(action == "AddListenerCertificates", fields)
            }
            "SetSecurityGroups" if self.is_open(fields) => {
                refuse("InvalidConfigurationRequest", "a network load balancer made without security groups gets none")
            }
            "SetSecurityGroups" => self.change("LoadBalancerArn", &["SecurityGroups"], fields),
            "DescribeTargetGroupAttributes" => self.attributes(fields),
            "ModifyTargetGroupAttributes" => self.attribute(fields),
            "ModifyTargetGroup" => self.change("TargetGroupArn", &[], fields),
            "ModifyListener" => self.change("ListenerArn", &["DefaultActions", "Certificates"], fields),
            "ModifyRule" => self.change("RuleArn", &["Conditions", "Actions"], fields),
            "DeleteListener" => self.delete("Listener", "ListenerArn", fields),
            "DeleteRule" => self.delete("Rule", "RuleArn", fields),
            "DeleteTargetGroup" => self.delete("TargetGroup", "TargetGroupArn", fields),
            "DeleteLoadBalancer" => self.delete("LoadBalancer", "LoadBalancerArn", fields),
            _ => refuse("InvalidAction", action),
        }
    }

    fn create(&mut self, kind: &'static str, unique: &str, fields: &Fields) -> std::result::Result<String, Refusal> {
        let parent = |fields: &Fields| {
            ["LoadBalancerArn", "ListenerArn"].iter().find_map(|name| fields.get(*name).cloned()).unwrap_or_default()
        };
        let name = fields.get(unique).cloned().unwrap_or_default();
        let same = |thing: &&Thing| {
            thing.kind == kind && thing.fields.get(unique) == Some(&name) && parent(&thing.fields) == parent(fields)
        };
        if self.things.values().any(|thing| same(&thing)) {
            return refuse("Duplicate", format!("{kind} {name} is there"));
        }
        if unique == "Name" && (name.is_empty() || name.len() > 32 || name.ends_with('-')) {
            return refuse("ValidationError", format!("{name:?} is no name"));
        }
        self.made += 1;
        let arn = format!("arn:aws:elb:{}:{}", kind.to_lowercase(), self.made);
        let mut thing = Thing::new(kind, Fields::new());
        for (key, value) in fields.iter().filter(|(key, _)| !matches!(key.as_str(), "Action" | "Version")) {
            match key.strip_prefix("Tags.").and_then(|rest| rest.strip_suffix(".Key")) {
                Some(at) => drop(
                    thing
                        .tags
                        .insert(value.clone(), fields.get(&format!("Tags.{at}.Value")).cloned().unwrap_or_default()),
                ),
                None if key.starts_with("Tags.") => {}
                None => drop(thing.fields.insert(key.clone(), value.clone())),
            }
        }
        thing.fields.insert(format!("{kind}Arn"), arn.clone());
        if unique == "Name" {
            thing.fields.remove("Name");
            thing.fields.insert(format!("{kind}Name"), name.clone());
        }
        if kind == "LoadBalancer" {
            thing.fields.insert("DNSName".into(), format!("{name}.elb.example"));
            thing.fields.insert("State.Code".into(), "provisioning".into());
        }
        self.things.insert(arn.clone(), thing);
        Ok(self.list(kind, |of| of == arn))
    }

    fn list(&self, kind: &str, chosen: impl Fn(&str) -> bool) -> String {
        let all = self.things.iter().filter(|(arn, thing)| thing.kind == kind && chosen(arn));
        let members: String = all.map(|(_, thing)| format!("<member>{}</member>", told(thing))).collect();
        format!("<{kind}s>{members}</{kind}s>")
    }

    fn list_of(&self, kind: &str, parent: &str, fields: &Fields) -> std::result::Result<String, Refusal> {
        let wanted = fields.get(parent);
        Ok(self.list(kind, |arn| self.things.get(arn).and_then(|thing| thing.fields.get(parent)) == wanted))
    }

    pub fn one(&mut self, name: &str, fields: &Fields) -> std::result::Result<&mut Thing, Refusal> {
        let arn = fields.get(name).cloned().unwrap_or_default();
        let code = match name {
            "LoadBalancerArn" => "LoadBalancerNotFound",
            "TargetGroupArn" => "TargetGroupNotFound",
            "ListenerArn" => "ListenerNotFound",
            _ => "RuleNotFound",
        };
        self.things.get_mut(&arn).ok_or((400, code, arn))
    }

    fn tags(&mut self, fields: &Fields) -> std::result::Result<String, Refusal> {
        let arns: Vec<&String> = members(fields, "ResourceArns");
        if arns.len() > 20 {
            return refuse("ValidationError", "more than 20");
        }
        let mut out = String::new();
        for arn in arns {
            let Some(thing) = self.things.get(arn) else { return refuse("LoadBalancerNotFound", arn) };
            let tags: String =
                thing.tags.iter().map(|(k, v)| format!("<member><Key>{k}</Key><Value>{v}</Value></member>")).collect();
            out.push_str(&format!("<member><ResourceArn>{arn}</ResourceArn><Tags>{tags}</Tags></member>"));
        }
        Ok(format!("<TagDescriptions>{out}</TagDescriptions>"))
    }

    fn health(&mut self, fields: &Fields) -> std::result::Result<String, Refusal> {
        let group = self.one("TargetGroupArn", fields)?;
        let one = |(id, port): &(String, String)| {
            format!(
                "<member><Target><Id>{id}</Id><Port>{port}</Port></Target><TargetHealth><State>{}</State></TargetHealth></member>",
                group.health
            )
        };
        let all: String = group.targets.iter().map(one).collect();
        Ok(format!("<TargetHealthDescriptions>{all}</TargetHealthDescriptions>"))
    }

    fn attributes(&mut self, fields: &Fields) -> std::result::Result<String, Refusal> {
        let all = &self.one("TargetGroupArn", fields)?.attributes;
        let one = |(key, value): (&String, &String)| format!("<member><Key>{key}</Key><Value>{value}</Value></member>");
        Ok(format!("<Attributes>{}</Attributes>", all.iter().map(one).collect::<String>()))
    }

    fn attribute(&mut self, fields: &Fields) -> std::result::Result<String, Refusal> {
        let said = (1..).map_while(|at| {
            let part = |name: &str| fields.get(&format!("Attributes.member.{at}.{name}")).cloned();
            Some((part("Key")?, part("Value")?))
        });
        let group = self.one("TargetGroupArn", fields)?;
        if group.has("Protocol", "HTTP") {
            return refuse("InvalidConfigurationRequest", "clients of HTTP stay by cookies");
        }
        group.attributes.extend(said);
        Ok(String::new())
    }

    fn register(&mut self, come: bool, fields: &Fields) -> std::result::Result<String, Refusal> {
        let ids = fields.iter().filter(|(key, _)| key.starts_with("Targets.") && key.ends_with(".Id"));
        let port = |key: &str| fields.get(&key.replace(".Id", ".Port")).cloned().unwrap_or_default();
        let targets: Vec<(String, String)> = ids.map(|(key, id)| (id.clone(), port(key))).collect();
        if targets.len() > 100 {
            return refuse("TooManyTargets", "more than 100 in one request");
        }
        let group = self.one("TargetGroupArn", fields)?;
        group.targets.retain(|known| !targets.contains(known));
        if come {
            group.targets.extend(targets);
        }
        Ok(String::new())
    }

    fn is_open(&mut self, fields: &Fields) -> bool {
        self.one("LoadBalancerArn", fields).is_ok_and(|one| {
            one.fields.get("Type").is_some_and(|kind| kind == "network")
                && members(&one.fields, "SecurityGroups").is_empty()
        })
    }

    /// What is said anew replaces what was said before; of lists, all of it.
    fn change(&mut self, name: &str, lists: &[&str], fields: &Fields) -> std::result::Result<String, Refusal> {
        let thing = self.one(name, fields)?;
        thing.fields.retain(|key, _| !lists.iter().any(|list| key.starts_with(&format!("{list}."))));
        let said = fields.iter().filter(|(key, _)| !matches!(key.as_str(), "Action" | "Version"));
        thing.fields.extend(said.map(|(key, value)| (key.clone(), value.clone())));
        if !thing.is_secure() {
            thing.certificates.clear();
        }
        Ok(String::new())
    }

    fn delete(&mut self, kind: &str, name: &str, fields: &Fields) -> std::result::Result<String, Refusal> {
        self.one(name, fields)?;
        let arn = fields.get(name).cloned().unwrap_or_default();
        if kind == "TargetGroup"
            && self.things.values().any(|thing| thing.kind != kind && thing.fields.values().any(|v| *v == arn))
        {
            return refuse("ResourceInUse", format!("{arn} is used by a listener"));
        }
        self.things.remove(&arn);
        // What hangs from it goes along.
        while let Some(over) = self.orphan() {
            self.things.remove(&over);
        }
        Ok(String::new())
    }

    fn orphan(&self) -> Option<String> {
        let parent = |thing: &Thing| match thing.kind {
            "Listener" => thing.fields.get("LoadBalancerArn").cloned(),
            "Rule" => thing.fields.get("ListenerArn").cloned(),
            _ => None,
        };
        let mut all = self.things.iter();
        all.find(|(_, thing)| parent(thing).is_some_and(|of| !self.things.contains_key(&of)))
            .map(|(arn, _)| arn.clone())
    }
}
