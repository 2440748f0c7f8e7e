//! Answers as bytes, as long as they may be.

use hickory_proto::op::{Edns, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, RecordType};

/// What every client takes without EDNS (RFC 1035).
const PLAIN: u16 = 512;
/// What passes any link without fragments (<https://www.dnsflagday.net/2020/>).
const UNFRAGMENTED: u16 = 1_232;

/// How a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In one datagram.
    Udp,
    /// On a connection, after its length.
    Tcp,
}

/// A question, and the shape of its answer.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub query: Query,
    /// Whether the client wants others to be asked.
    pub recursion: bool,
    metadata: Metadata,
    edns: Option<Edns>,
    limit: u16,
}

/// What came.
pub(super) enum Incoming {
    Question(Box<Question>),
    /// No question that can be answered: this is said.
    Wrong(Vec<u8>),
    /// No question at all: whoever answers that is answered to.
    Nothing,
}

/// Reads a message.
pub(super) fn read(bytes: &[u8], transport: Transport) -> Incoming {
    let Ok(message) = Message::from_vec(bytes) else { return malformed(bytes) };
    if message.metadata.message_type == MessageType::Response {
        return Incoming::Nothing;
    }
    let mut metadata = Metadata::response_from_request(&message.metadata);
    metadata.recursion_available = true;
    let edns = message.edns.as_ref().map(|asked| {
        let mut edns = Edns::new();
        edns.set_max_payload(UNFRAGMENTED).set_version(0).set_dnssec_ok(asked.flags().dnssec_ok);
        edns
    });
    let limit = match (transport, &message.edns) {
        (Transport::Tcp, _) => u16::MAX,
        (Transport::Udp, None) => PLAIN,
        (Transport::Udp, Some(edns)) => edns.max_payload().clamp(PLAIN, UNFRAGMENTED),
    };
    let recursion = message.metadata.recursion_desired;
    let version = message.edns.as_ref().map_or(0, Edns::version);
    let count = message.queries.len();
    let Some(query) = message.queries.into_iter().next() else { return malformed(bytes) };
    let wrong = match (message.metadata.op_code, query.query_class(), query.query_type()) {
        (OpCode::Query, ..) if count != 1 => Some(ResponseCode::FormErr),
        (OpCode::Query, ..) if version > 0 => Some(ResponseCode::BADVERS),
        (OpCode::Query, class, _) if class != DNSClass::IN => Some(ResponseCode::Refused),
        (OpCode::Query, _, RecordType::AXFR | RecordType::IXFR) => Some(ResponseCode::Refused),
        (OpCode::Query, ..) => None,
        _ => Some(ResponseCode::NotImp),
    };
    let question = Question { query, recursion, metadata, edns, limit };
    match wrong {
        Some(code) => question.answer(code, |_| ()).map_or(Incoming::Nothing, Incoming::Wrong),
        None => Incoming::Question(Box::new(question)),
    }
}

/// Whoever sent what can't be read hears so, if it seems to be a question at all.
fn malformed(bytes: &[u8]) -> Incoming {
    let [high, low, flags, ..] = *bytes else { return Incoming::Nothing };
    const RESPONSE: u8 = 0x80;
    if bytes.len() < 12 || flags & RESPONSE != 0 {
        return Incoming::Nothing;
    }
    let error = Message::error_msg(u16::from_be_bytes([high, low]), OpCode::Query, ResponseCode::FormErr);
    error.to_vec().map_or(Incoming::Nothing, Incoming::Wrong)
}

impl Question {
    /// The bytes of an answer, with what `fill` puts into it. What is too long goes without additions, then cut, which
    /// makes the client come back by TCP. `None`: it can't be said at all.
    pub(super) fn answer(&self, code: ResponseCode, fill: impl FnOnce(&mut Message)) -> Option<Vec<u8>> {
        let mut message = Message::response(self.metadata.id, self.metadata.op_code);
        message.metadata = self.metadata;
        message.metadata.response_code = code;
        message.add_query(self.query.clone());
        message.edns.clone_from(&self.edns);
        fill(&mut message);
        let limit = usize::from(self.limit);
        let fitting = |message: &Message| message.to_vec().ok().filter(|bytes| bytes.len() <= limit);
        if let Some(bytes) = fitting(&message) {
            return Some(bytes);
        }
        message.additionals.clear();
        if let Some(bytes) = fitting(&message) {
            return Some(bytes);
        }
        message.metadata.truncation = true;
        message.authorities.clear();
        // As many as may fit in any case, for clients that do not come back.
        while !message.answers.is_empty() {
            let half = message.answers.len() / 2;
            message.answers.truncate(half);
            if let Some(bytes) = fitting(&message) {
                return Some(bytes);
            }
        }
        fitting(&message)
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::A;
    use hickory_proto::rr::{Name, RData, Record};

    use super::*;

    fn question(change: impl FnOnce(&mut Message)) -> Message {
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_ascii("many.test.").unwrap(), RecordType::A));
        message.metadata.recursion_desired = true;
        change(&mut message);
        message
    }

    /// What is said to a message, with that many addresses.
    fn said(message: &Message, transport: Transport, addresses: u8) -> Message {
        match read(&message.to_vec().unwrap(), transport) {
            Incoming::Question(question) => {
                let name = question.query.name().clone();
                let address = |n| Record::from_rdata(name.clone(), 5, RData::A(A::new(10, 0, 0, n)));
                let bytes = question.answer(ResponseCode::NoError, |m| {
                    m.add_answers((0..addresses).map(address));
                    m.add_additionals((0..addresses).map(address));
                });
                Message::from_vec(&bytes.unwrap()).unwrap()
            }
            Incoming::Wrong(bytes) => Message::from_vec(&bytes).unwrap(),
            Incoming::Nothing => panic!("nothing is said"),
        }
    }

    fn edns(payload: u16) -> Edns {
        let mut edns = Edns::new();
        edns.set_max_payload(payload);
        edns
    }

    #[test]
    fn answers_are_as_long_as_clients_take() {
        let plain = question(|_| ());
        let large = question(|m| m.edns = Some(edns(4_096)));
        let table = [
            (&plain, Transport::Udp, 4, (4, 4, false)),
            (&plain, Transport::Udp, 20, (20, 0, false)),
            (&plain, Transport::Udp, 60, (30, 0, true)),
            (&large, Transport::Udp, 60, (60, 0, false)),
            (&large, Transport::Udp, 200, (50, 0, true)),
            (&plain, Transport::Tcp, 200, (200, 200, false)),
        ];
        for (message, transport, addresses, want) in table {
            let said = said(message, transport, addresses);
            let shown = (said.answers.len(), said.additionals.len(), said.metadata.truncation);
            assert_eq!(shown, want, "{addresses} by {transport:?}");
            assert_eq!(said.edns.is_some(), message.edns.is_some());
            assert_eq!((said.metadata.id, said.queries.len()), (message.metadata.id, 1));
        }
    }

    #[test]
    fn what_is_no_question_is_told_so() {
        let asking = Query::query(Name::from_ascii("many.test.").unwrap(), RecordType::A);
        let code = |change: &dyn Fn(&mut Message)| said(&question(change), Transport::Udp, 1).metadata.response_code;
        assert_eq!(code(&|_| ()), ResponseCode::NoError);
        assert_eq!(code(&|m| m.metadata.op_code = OpCode::Notify), ResponseCode::NotImp);
        // Its number has two names.
        let version = code(&|m| m.edns = Some(edns(512).set_version(1).clone()));
        assert_eq!(u16::from(version), u16::from(ResponseCode::BADVERS));
        assert_eq!(
            code(&|m| m.queries = vec![asking.clone().set_query_class(DNSClass::CH).clone()]),
            ResponseCode::Refused
        );
        assert_eq!(
            code(&|m| m.queries = vec![asking.clone().set_query_type(RecordType::AXFR).clone()]),
            ResponseCode::Refused
        );
        let twice = |m: &mut Message| m.queries.extend_from_within(..);
        assert_eq!(code(&twice), ResponseCode::FormErr);
        assert_eq!(code(&|m| m.queries.clear()), ResponseCode::FormErr);
        let mut response = question(|_| ());
        response.metadata.message_type = MessageType::Response;
        for bytes in [response.to_vec().unwrap(), vec![1, 2, 3], vec![0; 11], [&[1, 2, 0x80], &[0; 20][..]].concat()] {
            assert!(matches!(read(&bytes, Transport::Udp), Incoming::Nothing), "{bytes:?}");
        }
        let garbage = [&[1, 2, 0, 0, 0, 9], &[0xff; 30][..]].concat();
        assert!(matches!(read(&garbage, Transport::Udp), Incoming::Wrong(_)));
    }
}
