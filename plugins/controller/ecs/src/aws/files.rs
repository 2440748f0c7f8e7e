//! Files of S3.

use gantry_sdk::http::Request;

use super::{Failure, refusal, send};

/// What is in an object of a bucket.
pub fn text(endpoint: &str, bucket: &str, key: &str) -> Result<String, Failure> {
    let answer = send(endpoint, Request::get(format!("{endpoint}/{}/{}", encoded(bucket), encoded(key))))?;
    let body = answer.text();
    if answer.is_success() {
        return Ok(body);
    }
    Err(refusal(answer.status, element(&body, "Code"), element(&body, "Message")))
}

/// A path as S3 wants it.
fn encoded(path: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~' | b'/');
    let one = |b: u8| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    path.bytes().map(one).collect()
}

/// The text of an element of an error, which is plain.
fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let inner = xml.split_once(&format!("<{name}>")).map(|(_, rest)| rest);
    inner.and_then(|rest| rest.split_once(&format!("</{name}>"))).map_or("", |(text, _)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_errors_are_s3s() {
        assert_eq!(encoded("a b/\u{e4}+~.env"), "a%20b/%C3%A4%2B~.env");
        let error = "<?xml?><Error><Code>NoSuchKey</Code><Message>The key is not there.</Message></Error>";
        assert_eq!((element(error, "Code"), element(error, "Message")), ("NoSuchKey", "The key is not there."));
        assert_eq!(element("<html>", "Code"), "");
    }
}
