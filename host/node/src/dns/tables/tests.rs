use gantry_plugin::family::discovery::{Change, Data, Service};

use super::*;

fn zone(name: &str, fallthrough: bool) -> Zone {
    Zone { origin: format!("{name}.").parse().unwrap(), negative_ttl: 30, fallthrough }
}

fn put(table: &mut Table, name: &str, data: Vec<Data>) {
    let said = records::read(&Change { name: name.to_owned(), ttl: 5, data }).unwrap();
    assert_eq!(said.wrong, 0, "{name}");
    table.set(said.name, said.sets);
}

fn a(address: &str) -> Data {
    Data::A(address.to_owned())
}

fn alias(name: &str) -> Data {
    Data::Cname(name.to_owned())
}

/// One plugin's.
fn table() -> Table {
    let mut table =
        Table::new(vec![zone("cluster.local", false), zone("in-addr.arpa", true), zone("64.10.in-addr.arpa", false)]);
    put(&mut table, "web.default.svc.cluster.local", vec![a("10.96.0.1")]);
    put(&mut table, "peers.default.svc.cluster.local", vec![a("10.64.0.1"), a("10.64.0.2"), a("10.64.0.3")]);
    let service = Service { priority: 0, weight: 100, port: 80, target: "web.default.svc.cluster.local".into() };
    put(&mut table, "_http._tcp.web.default.svc.cluster.local", vec![Data::Srv(service)]);
    put(&mut table, "alias.default.svc.cluster.local", vec![alias("web.default.svc.cluster.local")]);
    put(&mut table, "out.default.svc.cluster.local", vec![alias("example.com")]);
    put(&mut table, "lost.default.svc.cluster.local", vec![alias("none.default.svc.cluster.local")]);
    put(&mut table, "ring.default.svc.cluster.local", vec![alias("ring.default.svc.cluster.local")]);
    put(&mut table, "1.0.96.10.in-addr.arpa", vec![Data::Ptr("web.default.svc.cluster.local".into())]);
    table
}

fn tables(all: impl IntoIterator<Item = Table>) -> Tables {
    let all: Vec<Table> = all.into_iter().collect();
    let mut tables = Tables::new(all.len());
    for (number, table) in all.into_iter().enumerate() {
        assert!(!tables.is_complete());
        tables.replace(number, table);
    }
    assert!(tables.is_complete());
    tables
}

/// What is said, in short: the code, the answers, what leads elsewhere, and how many additions there are.
fn said(tables: &Tables, name: &str, kind: RecordType) -> String {
    let Some(found) = tables.ask(&Name::from_ascii(name).unwrap(), kind, 0) else { return "elsewhere".to_owned() };
    let mut words = vec![found.code.to_string()];
    words.extend(found.answers.iter().map(|record| record.data.to_string()));
    words.extend(found.authorities.iter().map(|record| format!("{} of {}", record.record_type(), record.name)));
    words.extend(found.elsewhere.map(|name| format!("then {name}")));
    if !found.additionals.is_empty() {
        words.push(format!("+{}", found.additionals.len()));
    }
    words.join(", ")
}

#[test]
fn questions_are_answered() {
    let tables = tables([table()]);
    let none = "Non-Existent Domain, SOA of cluster.local.";
    let nothing = "No Error, SOA of cluster.local.";
    for (name, kind, want) in [
        ("web.default.svc.cluster.local.", RecordType::A, "No Error, 10.96.0.1"),
        ("WEB.default.svc.Cluster.Local.", RecordType::A, "No Error, 10.96.0.1"),
        ("web.default.svc.cluster.local.", RecordType::AAAA, nothing),
        ("web.default.svc.cluster.local.", RecordType::ANY, "No Error, 10.96.0.1"),
        ("default.svc.cluster.local.", RecordType::A, nothing),
        ("_tcp.web.default.svc.cluster.local.", RecordType::SRV, nothing),
        ("cluster.local.", RecordType::A, nothing),
        ("none.default.svc.cluster.local.", RecordType::A, none),
        ("other.svc.cluster.local.", RecordType::A, none),
        (
            "_http._tcp.web.default.svc.cluster.local.",
            RecordType::SRV,
            "No Error, 0 100 80 web.default.svc.cluster.local., +1",
        ),
        ("alias.default.svc.cluster.local.", RecordType::A, "No Error, web.default.svc.cluster.local., 10.96.0.1"),
        ("alias.default.svc.cluster.local.", RecordType::CNAME, "No Error, web.default.svc.cluster.local."),
        ("out.default.svc.cluster.local.", RecordType::A, "No Error, example.com., then example.com."),
        (
            "lost.default.svc.cluster.local.",
            RecordType::A,
            "Non-Existent Domain, none.default.svc.cluster.local., SOA of cluster.local.",
        ),
        ("ring.default.svc.cluster.local.", RecordType::A, "Server Failure"),
        ("1.0.96.10.in-addr.arpa.", RecordType::PTR, "No Error, web.default.svc.cluster.local."),
        ("2.0.96.10.in-addr.arpa.", RecordType::PTR, "elsewhere"),
        ("96.10.in-addr.arpa.", RecordType::PTR, "No Error, SOA of in-addr.arpa."),
        ("2.0.64.10.in-addr.arpa.", RecordType::PTR, "Non-Existent Domain, SOA of 64.10.in-addr.arpa."),
        ("example.com.", RecordType::A, "elsewhere"),
        (".", RecordType::NS, "elsewhere"),
    ] {
        assert_eq!(said(&tables, name, kind), want, "{name} {kind}");
    }
    assert!(said(&tables, "cluster.local.", RecordType::SOA).starts_with("No Error, ns.cluster.local. hostmaster."));
}

#[test]
fn each_address_is_the_first_at_times() {
    let tables = tables([table()]);
    let name = Name::from_ascii("Peers.default.svc.cluster.local.").unwrap();
    for (turn, first) in [(0, "10.64.0.1"), (1, "10.64.0.2"), (2, "10.64.0.3"), (3, "10.64.0.1")] {
        let found = tables.ask(&name, RecordType::A, turn).unwrap();
        assert_eq!((found.answers[0].data.to_string().as_str(), found.answers.len()), (first, 3));
        assert_eq!(found.answers[0].name.to_string(), "Peers.default.svc.cluster.local.", "as it was asked");
    }
}

#[test]
fn what_goes_leaves_nothing() {
    let mut table = table();
    let names: Vec<String> = table.entries().map(|(name, _)| name.to_string()).collect();
    assert_eq!((names.len(), table.records()), (8, 10));
    put(&mut table, "peers.default.svc.cluster.local", vec![a("10.64.0.9")]);
    assert_eq!(table.records(), 8);
    for name in names {
        put(&mut table, name.trim_end_matches('.'), Vec::new());
    }
    assert!(table.names.is_empty() && table.records() == 0, "{table:?}");
    put(&mut table, "never.cluster.local", Vec::new());
    assert!(table.names.is_empty());
    assert_eq!(
        said(&tables([table]), "svc.cluster.local.", RecordType::A),
        "Non-Existent Domain, SOA of cluster.local."
    );
}

#[test]
fn the_longer_zone_counts_then_the_earlier_plugin() {
    let one = |zones: Vec<Zone>, name: &str, address: &str| {
        let mut table = Table::new(zones);
        put(&mut table, name, vec![a(address)]);
        table
    };
    let first = one(vec![zone("local", false), zone("same.test", false)], "x.same.test", "10.0.0.1");
    let second = one(vec![zone("deep.local", false), zone("same.test", false)], "x.same.test", "10.0.0.2");
    let both = tables([first, second]);
    assert_eq!(said(&both, "x.same.test.", RecordType::A), "No Error, 10.0.0.1");
    assert_eq!(said(&both, "x.deep.local.", RecordType::A), "Non-Existent Domain, SOA of deep.local.");
    assert_eq!(said(&both, "x.local.", RecordType::A), "Non-Existent Domain, SOA of local.");
}

#[test]
fn the_serial_number_only_grows() {
    let mut tables = tables([table()]);
    let serial = |tables: &Tables| {
        said(tables, "cluster.local.", RecordType::SOA).split(' ').nth(4).unwrap().parse::<u32>().unwrap()
    };
    let first = serial(&tables);
    put(tables.of_mut(0).unwrap(), "new.cluster.local", vec![a("10.0.0.1")]);
    let second = serial(&tables);
    tables.replace(0, Table::new(vec![zone("cluster.local", false)]));
    assert!(first < second && second < serial(&tables));
}
