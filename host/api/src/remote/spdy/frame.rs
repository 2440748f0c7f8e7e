//! SPDY/3.1 frames.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use super::headers::{Headers, Packer, Unpacker};

const VERSION: u16 = 3;
const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;
const FIN: u8 = 1;
const HEAD: usize = 8;
/// `REFUSED_STREAM`
const REFUSED: u32 = 3;
/// The largest frame taken; a 24 bit length could ask for 16 MiB.
const LIMIT: usize = 1 << 20;
/// Data is cut into frames of this size.
const PIECE: usize = 64 << 10;

/// What a frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// The client opens a stream (SYN_STREAM).
    Open { id: u32, headers: Headers },
    /// The server takes it (SYN_REPLY).
    Accept { id: u32 },
    /// A stream is refused or broken off (RST_STREAM).
    Reset { id: u32 },
    /// Data of a stream.
    Data { id: u32, bytes: Bytes, last: bool },
    /// To be sent back as it is.
    Ping(u32),
    /// No more streams.
    GoAway,
    /// Anything that needs no answer.
    Other,
}

/// Why a connection can't go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the connection broke: {0}")]
    Io(#[from] std::io::Error),
    #[error("the client sent a frame of {0} bytes")]
    TooLarge(usize),
    #[error("the client sent a malformed frame")]
    Malformed,
}

/// Both directions of one connection: each has a compressor of its own.
#[derive(Default)]
pub(super) struct Codec {
    unpacker: Unpacker,
    packer: Packer,
}

impl Decoder for Codec {
    type Item = Frame;
    type Error = Error;

    fn decode(&mut self, from: &mut BytesMut) -> Result<Option<Frame>, Error> {
        let Some(head) = from.first_chunk::<HEAD>().copied() else { return Ok(None) };
        let [a, b, c, d, flags, l1, l2, l3] = head;
        let length = u32::from_be_bytes([0, l1, l2, l3]) as usize;
        if length > LIMIT {
            return Err(Error::TooLarge(length));
        }
        if from.len() < HEAD + length {
            from.reserve(HEAD + length - from.len());
            return Ok(None);
        }
        from.advance(HEAD);
        let body = from.split_to(length).freeze();
        let last = flags & FIN != 0;
        if a & 0x80 == 0 {
            return Ok(Some(Frame::Data { id: u32::from_be_bytes([a, b, c, d]), bytes: body, last }));
        }
        if u16::from_be_bytes([a & 0x7f, b]) != VERSION {
            return Err(Error::Malformed);
        }
        self.control(u16::from_be_bytes([c, d]), body).map(Some)
    }
}

impl Codec {
    fn control(&mut self, kind: u16, mut body: Bytes) -> Result<Frame, Error> {
        match kind {
            SYN_STREAM => {
                let id = number(&mut body)?;
                // The associated stream, priority and slot have no use here.
                if body.len() < 6 {
                    return Err(Error::Malformed);
                }
                body.advance(6);
                Ok(Frame::Open { id, headers: self.unpacker.unpack(&body)? })
            }
            SYN_REPLY | HEADERS => {
                number(&mut body)?;
                // Not wanted, but the decompressor must see every block.
                self.unpacker.unpack(&body)?;
                Ok(Frame::Other)
            }
            RST_STREAM => Ok(Frame::Reset { id: number(&mut body)? }),
            PING => Ok(Frame::Ping(number(&mut body)?)),
            GOAWAY => Ok(Frame::GoAway),
            _ => Ok(Frame::Other),
        }
    }
}

impl Encoder<Frame> for Codec {
    type Error = Error;

    fn encode(&mut self, frame: Frame, to: &mut BytesMut) -> Result<(), Error> {
        match frame {
            Frame::Data { id, bytes, last } => data(id, &bytes, last, to),
            Frame::Accept { id } => {
                let block = self.packer.pack(&[])?;
                control(SYN_REPLY, 4 + block.len(), to);
                to.put_u32(id);
                to.extend_from_slice(&block);
            }
            Frame::Open { id, headers } => {
                let block = self.packer.pack(&headers)?;
                control(SYN_STREAM, 10 + block.len(), to);
                to.put_u32(id);
                to.put_bytes(0, 6);
                to.extend_from_slice(&block);
            }
            Frame::Reset { id } => {
                control(RST_STREAM, 8, to);
                to.put_u32(id);
                to.put_u32(REFUSED);
            }
            Frame::Ping(id) => {
                control(PING, 4, to);
                to.put_u32(id);
            }
            Frame::GoAway => {
                control(GOAWAY, 8, to);
                to.put_u64(0);
            }
            Frame::Other => {}
        }
        Ok(())
    }
}

fn number(from: &mut Bytes) -> Result<u32, Error> {
    from.try_get_u32().map_err(|_| Error::Malformed)
}

fn control(kind: u16, length: usize, to: &mut BytesMut) {
    to.put_u16(0x8000 | VERSION);
    to.put_u16(kind);
    to.put_u32(length as u32);
}

fn data(id: u32, bytes: &[u8], last: bool, to: &mut BytesMut) {
    let mut pieces = bytes.chunks(PIECE).peekable();
    if pieces.peek().is_none() {
        to.put_u32(id & 0x7fff_ffff);
        to.put_u32(u32::from(last) * (u32::from(FIN) << 24));
    }
    while let Some(piece) = pieces.next() {
        let flags = u32::from(last && pieces.peek().is_none()) * (u32::from(FIN) << 24);
        to.put_u32(id & 0x7fff_ffff);
        to.put_u32(flags | piece.len() as u32);
        to.extend_from_slice(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn roundtrip(frames: &[Frame]) -> Vec<Frame> {
        let (mut from, mut to) = (Codec::default(), Codec::default());
        let mut wire = BytesMut::new();
        for frame in frames {
            from.encode(frame.clone(), &mut wire).unwrap();
        }
        std::iter::from_fn(|| to.decode(&mut wire).unwrap()).collect()
    }

    #[test]
    fn frames_survive_the_wire() {
        let headers = vec![("streamtype".to_owned(), "stdin".to_owned()), ("port".to_owned(), String::new())];
        let frames = [
            Frame::Open { id: 1, headers: headers.clone() },
            Frame::Open { id: 3, headers },
            Frame::Data { id: 1, bytes: Bytes::from_static(b"hello"), last: false },
            Frame::Data { id: 1, bytes: Bytes::new(), last: true },
            Frame::Ping(7),
            Frame::Reset { id: 3 },
            Frame::GoAway,
        ];
        assert_eq!(roundtrip(&frames), frames);
        assert_eq!(roundtrip(&[Frame::Accept { id: 5 }, Frame::Ping(1)]), [Frame::Other, Frame::Ping(1)]);
    }

    #[test]
    fn long_data_is_cut_and_only_its_end_is_last() {
        let bytes = Bytes::from(vec![7; PIECE + 1]);
        let frames = roundtrip(&[Frame::Data { id: 9, bytes, last: true }]);
        let lasts: Vec<bool> = frames.iter().map(|f| matches!(f, Frame::Data { last: true, .. })).collect();
        assert_eq!(lasts, [false, true]);
    }

    #[test]
    fn oversized_frames_are_refused() {
        let mut wire = BytesMut::from(&[0u8, 0, 0, 1, 0, 0xff, 0xff, 0xff][..]);
        assert!(matches!(Codec::default().decode(&mut wire), Err(Error::TooLarge(_))));
    }

    proptest! {
        #[test]
        fn no_bytes_bring_the_decoder_down(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut codec = Codec::default();
            let mut wire = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = codec.decode(&mut wire) {}
        }
    }
}
