//! A watch's answer, line by line.

use bytes::{Buf, Bytes, BytesMut};
use gantry_model::Status;
use gantry_model::status::Reason;
use reqwest::Response;

/// The longest line: an object of the largest size, written with escapes.
const LINE: usize = 32 << 20;

/// Lines of an answer that may never end.
pub struct Lines {
    response: Response,
    buffer: BytesMut,
    /// What of the buffer has been looked through.
    seen: usize,
}

impl Lines {
    /// Of this answer.
    pub fn new(response: Response) -> Self {
        Self { response, buffer: BytesMut::new(), seen: 0 }
    }

    /// The next line without its end; `None` at the end of the answer. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            if let Some(line) = take_line(&mut self.buffer, &mut self.seen) {
                return Ok(Some(line));
            }
            if self.buffer.len() > LINE {
                return Err(Status::internal(format!("a watch sent a line of more than {} MiB", LINE >> 20)));
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) => self.buffer.extend_from_slice(&chunk),
                Ok(None) => return Ok(None),
                Err(error) => {
                    let message = format!("the connection broke off: {error}");
                    return Err(Status::new(Reason::ServiceUnavailable, message));
                }
            }
        }
    }
}

fn take_line(buffer: &mut BytesMut, seen: &mut usize) -> Option<Bytes> {
    loop {
        let end = buffer.get(*seen..).unwrap_or_default().iter().position(|byte| *byte == b'\n');
        let Some(end) = end else {
            *seen = buffer.len();
            return None;
        };
        let line = buffer.split_to(*seen + end).freeze();
        buffer.advance(1);
        *seen = 0;
        if !line.is_empty() {
            return Some(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_wherever_the_pieces_are() {
        let text = b"one\n\ntwo\nthree";
        for size in 1..=text.len() {
            let (mut buffer, mut seen, mut lines) = (BytesMut::new(), 0, Vec::new());
            for piece in text.chunks(size) {
                buffer.extend_from_slice(piece);
                while let Some(line) = take_line(&mut buffer, &mut seen) {
                    lines.push(line);
                }
            }
            assert_eq!(lines, ["one", "two"], "pieces of {size}");
            assert_eq!(&buffer[..], b"three");
        }
    }
}
