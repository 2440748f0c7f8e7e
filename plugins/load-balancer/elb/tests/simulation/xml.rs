//! Things as AWS's XML.

use std::collections::BTreeMap;

use crate::aws::{Fields, Thing};

/// Values of a list, in order.
pub fn members<'a>(fields: &'a Fields, name: &str) -> Vec<&'a String> {
    (1..).map_while(|at| fields.get(&format!("{name}.member.{at}"))).collect()
}

/// A thing as XML: names between dots are elements, numbers after `member` only tell entries apart.
pub fn told(thing: &Thing) -> String {
    let mut fields = thing.fields.clone();
    let subnets: Vec<String> = members(&fields, "Subnets").into_iter().cloned().collect();
    fields.retain(|key, _| !key.starts_with("Subnets."));
    for (at, subnet) in subnets.into_iter().enumerate() {
        fields.insert(format!("AvailabilityZones.member.{}.SubnetId", at + 1), subnet);
    }
    tree(fields.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect())
}

fn tree(fields: Vec<(&str, &str)>) -> String {
    let mut out = String::new();
    let mut children: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for (key, value) in fields {
        match key.split_once('.') {
            None => out.push_str(&format!("<{key}>{}</{key}>", escape(value))),
            Some((head, rest)) => children.entry(head).or_default().push((rest, value)),
        }
    }
    for (head, fields) in children {
        if head == "member" {
            out.push_str(&entries(fields));
        } else {
            out.push_str(&format!("<{head}>{}</{head}>", tree(fields)));
        }
    }
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What is within an entry, or its text.
type Entry<'a> = (Vec<(&'a str, &'a str)>, &'a str);

fn entries(fields: Vec<(&str, &str)>) -> String {
    let mut all: BTreeMap<u32, Entry<'_>> = BTreeMap::new();
    for (key, value) in fields {
        let (number, rest) = key.split_once('.').unwrap_or((key, ""));
        let entry = all.entry(number.parse().unwrap_or_default()).or_default();
        if rest.is_empty() { entry.1 = value } else { entry.0.push((rest, value)) }
    }
    let one = |(fields, text): Entry<'_>| {
        let inner = if fields.is_empty() { escape(text) } else { tree(fields) };
        format!("<member>{inner}</member>")
    };
    all.into_values().map(one).collect()
}
