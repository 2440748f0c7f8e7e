//! An interpreter of transactions and packets, as strict as the kernel: what is added must be new and what is deleted must
//! be there and unused.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use gantry_sdk::{Value, serde_json};

/// A packet on its way through the node.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    pub from: IpAddr,
    pub to: IpAddr,
    pub protocol: &'static str,
    pub port: u16,
    pub reply: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ruleset {
    sets: BTreeMap<String, BTreeSet<String>>,
    maps: BTreeMap<String, BTreeMap<String, Value>>,
    pub chains: BTreeMap<String, Vec<Vec<Value>>>,
}

#[derive(PartialEq)]
enum End {
    Accept,
    Drop,
    /// On with the next rule of whoever jumped here.
    Return,
}

impl Ruleset {
    pub fn apply(&mut self, text: &str) {
        let transaction: Value = serde_json::from_str(text).unwrap();
        for command in transaction["nftables"].as_array().unwrap() {
            let (verb, object) = only(command);
            let (kind, object) = only(object);
            let name = object["name"].as_str().unwrap_or_default().to_owned();
            match (verb, kind) {
                ("add", "table") => {}
                ("delete", "table") => *self = Self::default(),
                ("add", "set") => assert!(self.sets.insert(name, BTreeSet::new()).is_none(), "{object} is there"),
                ("add", "map") => assert!(self.maps.insert(name, BTreeMap::new()).is_none(), "{object} is there"),
                ("add", "chain") => assert!(self.chains.insert(name, Vec::new()).is_none(), "{object} is there"),
                ("flush", "chain") => self.chains.get_mut(&name).unwrap().clear(),
                ("delete", "chain") => {
                    assert_eq!(self.chains.remove(&name), Some(Vec::new()), "{object} is not empty");
                    assert!(!self.speaks_of(&format!("{name:?}")), "{object} is in use");
                }
                ("delete", "set") => {
                    self.sets.remove(&name).unwrap();
                    assert!(!self.speaks_of(&format!("\"@{name}\"")), "{object} is in use");
                }
                ("add", "rule") => {
                    let expr = object["expr"].as_array().unwrap().clone();
                    self.chains.get_mut(object["chain"].as_str().unwrap()).unwrap().push(expr);
                }
                ("add" | "delete", "element") => self.elements(verb, &name, object["elem"].as_array().unwrap()),
                other => panic!("{other:?} is not known here"),
            }
        }
    }

    fn elements(&mut self, verb: &str, name: &str, elements: &[Value]) {
        for element in elements {
            match (verb, self.maps.get_mut(name), self.sets.get_mut(name)) {
                ("add", Some(map), _) => {
                    let chain = element[1]["jump"]["target"].as_str().unwrap();
                    assert!(self.chains.contains_key(chain), "{chain} is not there");
                    assert!(map.insert(key(&element[0]), element[1].clone()).is_none(), "{element} is in {name}");
                }
                ("delete", Some(map), _) => drop(map.remove(&key(element)).unwrap()),
                ("add", _, Some(set)) => assert!(set.insert(key(element)), "{element} is in {name}"),
                ("delete", _, Some(set)) => assert!(set.remove(&key(element)), "{element} is not in {name}"),
                _ => panic!("{name} is not there"),
            }
        }
    }

    fn speaks_of(&self, quoted: &str) -> bool {
        let rules = self.chains.values().flatten().flatten();
        rules.chain(self.maps.values().flat_map(BTreeMap::values)).any(|expr| expr.to_string().contains(quoted))
    }

    /// Whether a packet that is forwarded passes.
    pub fn passes(&self, packet: &Packet) -> bool {
        self.walk("forward", packet, 0) != End::Drop
    }

    fn walk(&self, chain: &str, packet: &Packet, depth: usize) -> End {
        assert!(depth < 16, "the kernel follows no more jumps");
        let rules = self.chains.get(chain).unwrap_or_else(|| panic!("chain {chain} is not there"));
        'rules: for rule in rules {
            for expr in rule {
                let (kind, body) = only(expr);
                let verdict = match kind {
                    "match" if self.matches(body, packet) => continue,
                    "match" => continue 'rules,
                    "vmap" => {
                        let map = &self.maps[body["data"].as_str().unwrap().trim_start_matches('@')];
                        let found = field(&body["key"], packet).and_then(|key| map.get(&key));
                        match found {
                            Some(verdict) => verdict,
                            None => continue 'rules,
                        }
                    }
                    _ => expr,
                };
                let (kind, body) = only(verdict);
                match kind {
                    "accept" => return End::Accept,
                    "drop" => return End::Drop,
                    "goto" => return self.walk(body["target"].as_str().unwrap(), packet, depth + 1),
                    "jump" => match self.walk(body["target"].as_str().unwrap(), packet, depth + 1) {
                        End::Return => continue 'rules,
                        end => return end,
                    },
                    other => panic!("{other} is not known here"),
                }
            }
        }
        End::Return
    }

    fn matches(&self, body: &Value, packet: &Packet) -> bool {
        // The kernel adds what a field needs (this protocol, that family): a packet without it matches nothing.
        let Some(value) = field(&body["left"], packet) else { return false };
        let right = &body["right"];
        let within = match right.as_str().and_then(|name| name.strip_prefix('@')) {
            Some(set) => self.sets.get(set).unwrap_or_else(|| panic!("{set} is not there")).contains(&value),
            None => one_of(right, &value),
        };
        (body["op"] != "!=") == within
    }
}

fn one_of(right: &Value, value: &str) -> bool {
    if let Some(all) = right["set"].as_array() {
        return all.iter().any(|one| one_of(one, value));
    }
    if let Some([first, last]) = right["range"].as_array().map(Vec::as_slice) {
        let number: u64 = value.parse().unwrap();
        return (first.as_u64().unwrap()..=last.as_u64().unwrap()).contains(&number);
    }
    if right["prefix"].is_object() {
        let (address, length) = (right["prefix"]["addr"].as_str().unwrap(), &right["prefix"]["len"]);
        let net: ipnet::IpNet = format!("{address}/{length}").parse().unwrap();
        return net.contains(&value.parse::<IpAddr>().unwrap());
    }
    key(right) == value
}

fn field(left: &Value, packet: &Packet) -> Option<String> {
    if let Some(parts) = left["concat"].as_array() {
        return Some(parts.iter().map(|part| field(part, packet)).collect::<Option<Vec<_>>>()?.join(" . "));
    }
    let (kind, body) = only(left);
    let v4 = packet.from.is_ipv4();
    match (kind, body["protocol"].as_str(), body["field"].as_str().or(body["key"].as_str())) {
        ("payload", Some(protocol @ ("ip" | "ip6")), Some(name)) => {
            let address = if name == "saddr" { packet.from } else { packet.to };
            ((protocol == "ip") == v4).then(|| address.to_string())
        }
        ("payload", Some("th"), _) => (packet.protocol != "icmp").then(|| packet.port.to_string()),
        ("payload", Some("icmpv6"), _) => None,
        ("meta", _, Some("l4proto")) => Some(packet.protocol.to_owned()),
        ("meta", _, Some("nfproto")) => Some(if v4 { "ipv4" } else { "ipv6" }.to_owned()),
        ("ct", _, Some("direction")) => Some(if packet.reply { "reply" } else { "original" }.to_owned()),
        ("ct", _, Some("state")) => Some("new".to_owned()),
        ("fib", ..) => Some("unicast".to_owned()),
        other => panic!("{other:?} is not known here"),
    }
}

fn key(element: &Value) -> String {
    match element {
        Value::String(text) => text.clone(),
        Value::Object(_) => element["concat"].as_array().unwrap().iter().map(key).collect::<Vec<_>>().join(" . "),
        other => other.to_string(),
    }
}

fn only(value: &Value) -> (&str, &Value) {
    let object = value.as_object().unwrap();
    assert_eq!(object.len(), 1, "{value}");
    object.iter().next().map(|(key, value)| (key.as_str(), value)).unwrap()
}
