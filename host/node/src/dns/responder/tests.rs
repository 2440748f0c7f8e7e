use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::rdata::{A, CNAME};
use hickory_proto::rr::{LowerName, Name, RData, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

use super::*;
use crate::dns::records::RecordSet;
use crate::dns::server;
use crate::dns::tables::{Table, Zone};
use crate::dns::upstream::UpstreamOptions;

/// A server, and what goes with it.
struct World {
    at: SocketAddr,
    tables: Arc<RwLock<Tables>>,
    _tasks: JoinSet<()>,
}

fn table() -> Table {
    let lower = |text: &str| text.parse::<LowerName>().unwrap();
    let mut table = Table::new(vec![Zone { origin: lower("cluster.local."), negative_ttl: 5, fallthrough: false }]);
    let mut put = |name: &str, kind, data| table.set(lower(name), vec![RecordSet { kind, ttl: 5, data }]);
    let address = |n: u8| RData::A(A::new(10, 0, 0, n));
    put("web.cluster.local.", RecordType::A, vec![address(1)]);
    put("many.cluster.local.", RecordType::A, (0..200).map(address).collect());
    let outside = Name::from_ascii("outside.test.").unwrap();
    put("alias.cluster.local.", RecordType::CNAME, vec![RData::CNAME(CNAME(outside))]);
    table
}

async fn sockets() -> (SocketAddr, UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let at = udp.local_addr().unwrap();
        // Somebody else may have the port for TCP.
        if let Ok(tcp) = TcpListener::bind(at).await {
            return (at, udp, tcp);
        }
    }
}

async fn serve(tables: Tables, upstream: Vec<SocketAddr>) -> World {
    let (at, udp, tcp) = sockets().await;
    let tables = Arc::new(RwLock::new(tables));
    let options = UpstreamOptions { servers: upstream, file: PathBuf::from("/nonexistent"), own: None };
    let responder = Arc::new(Responder::new(tables.clone(), Upstream::new(options)));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { server::serve(udp, tcp, responder).await.unwrap() });
    World { at, tables, _tasks: tasks }
}

/// A whole cluster's.
fn known() -> Tables {
    let mut tables = Tables::new(1);
    tables.replace(0, table());
    tables
}

/// Somebody else's server, which knows `outside.test` and that nothing else is there.
async fn outside() -> World {
    let lower = |text: &str| text.parse::<LowerName>().unwrap();
    let mut table = Table::new(vec![Zone { origin: lower("test."), negative_ttl: 5, fallthrough: false }]);
    let data = (0..100).map(|n| RData::A(A::new(192, 0, 2, n))).collect();
    table.set(lower("outside.test."), vec![RecordSet { kind: RecordType::A, ttl: 60, data }]);
    let mut tables = Tables::new(1);
    tables.replace(0, table);
    serve(tables, Vec::new()).await
}

fn question(name: &str) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    message
}

async fn udp(at: SocketAddr, message: &Message) -> Message {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.connect(at).await.unwrap();
    socket.send(&message.to_vec().unwrap()).await.unwrap();
    let mut buffer = [0; 4_096];
    let length = tokio::time::timeout(Duration::from_secs(30), socket.recv(&mut buffer)).await.unwrap().unwrap();
    Message::from_vec(&buffer[..length]).unwrap()
}

async fn tcp(stream: &mut TcpStream, message: &Message) -> Message {
    let bytes = message.to_vec().unwrap();
    stream.write_u16(bytes.len().try_into().unwrap()).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let length = stream.read_u16().await.unwrap();
    let mut buffer = vec![0; length.into()];
    stream.read_exact(&mut buffer).await.unwrap();
    Message::from_vec(&buffer).unwrap()
}

fn shown(message: &Message) -> (ResponseCode, usize, bool, bool) {
    let metadata = &message.metadata;
    (metadata.response_code, message.answers.len(), metadata.authoritative, metadata.truncation)
}

#[tokio::test]
async fn tables_answer_by_udp_and_tcp() {
    let world = serve(known(), Vec::new()).await;
    let web = question("web.cluster.local.");
    let answer = udp(world.at, &web).await;
    assert_eq!(shown(&answer), (ResponseCode::NoError, 1, true, false));
    assert_eq!((answer.metadata.id, answer.metadata.recursion_available), (web.metadata.id, true));
    assert_eq!(shown(&udp(world.at, &question("none.cluster.local.")).await), (ResponseCode::NXDomain, 0, true, false));
    let cut = udp(world.at, &question("many.cluster.local.")).await;
    assert!(cut.metadata.truncation && cut.answers.len() < 200);
    let mut stream = TcpStream::connect(world.at).await.unwrap();
    for _ in 0..2 {
        assert_eq!(
            shown(&tcp(&mut stream, &question("many.cluster.local.")).await),
            (ResponseCode::NoError, 200, true, false)
        );
    }
}

#[tokio::test]
async fn other_names_are_asked_of_others() {
    let others = outside().await;
    let world = serve(known(), vec![others.at]).await;
    let answer = udp(world.at, &question("outside.test.")).await;
    assert!(answer.metadata.truncation, "what is too long there is fetched by TCP, and too long here");
    let mut stream = TcpStream::connect(world.at).await.unwrap();
    assert_eq!(shown(&tcp(&mut stream, &question("outside.test.")).await), (ResponseCode::NoError, 100, false, false));
    let alias = tcp(&mut stream, &question("alias.cluster.local.")).await;
    assert_eq!(shown(&alias), (ResponseCode::NoError, 101, false, false));
    let kinds: HashSet<_> = alias.answers.iter().map(|record| record.record_type()).collect();
    assert_eq!(kinds, HashSet::from([RecordType::CNAME, RecordType::A]));
    let none = udp(world.at, &question("none.test.")).await;
    assert_eq!((shown(&none), none.authorities.len()), ((ResponseCode::NXDomain, 0, false, false), 1));
    let mut plain = question("outside.test.");
    plain.metadata.recursion_desired = false;
    assert_eq!(udp(world.at, &plain).await.metadata.response_code, ResponseCode::Refused);
}

#[tokio::test]
async fn nobody_to_ask_is_said_at_once() {
    let world = serve(known(), Vec::new()).await;
    assert_eq!(udp(world.at, &question("outside.test.")).await.metadata.response_code, ResponseCode::ServFail);
}

#[tokio::test]
async fn before_all_is_known_nothing_is_denied() {
    let others = outside().await;
    let world = serve(Tables::new(1), vec![others.at]).await;
    for name in ["web.cluster.local.", "none.test."] {
        assert_eq!(udp(world.at, &question(name)).await.metadata.response_code, ResponseCode::ServFail, "{name}");
    }
    world.tables.write().unwrap().replace(0, table());
    assert_eq!(shown(&udp(world.at, &question("web.cluster.local.")).await), (ResponseCode::NoError, 1, true, false));
}

#[tokio::test]
async fn garbage_stops_nothing() {
    let world = serve(known(), Vec::new()).await;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    for length in [0, 1, 12, 100, 1_400] {
        socket.send_to(&vec![0xff; length], world.at).await.unwrap();
        socket.send_to(&vec![0; length], world.at).await.unwrap();
    }
    let mut stream = TcpStream::connect(world.at).await.unwrap();
    stream.write_all(&[0, 5, 1, 2, 3, 4, 5]).await.unwrap();
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap_or_default(), 0, "such a client is left");
    assert_eq!(shown(&udp(world.at, &question("web.cluster.local.")).await), (ResponseCode::NoError, 1, true, false));
}
