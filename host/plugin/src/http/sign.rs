//! Signatures of AWS. Keys are read from the operator's file when a request needs them, so that a rotation needs no
//! restart, and forgotten with the request; nothing here prints them.

use std::path::Path;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use reqwest::Url;

use super::{Endpoint, Sign};

/// A file with keys is small.
const MOST: u64 = 64 * 1024;

/// Why a request can't be signed. For the host's log: it names files, not what is in them.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("credentials file {file}: {what}")]
    File { file: String, what: String },
    #[error("can't sign: {0}")]
    Sign(String),
}

/// Signs requests to one endpoint.
pub(super) struct Signer {
    with: Sign,
}

impl Signer {
    /// Fails when the keys can't be had now: an operator wants to know that at the start.
    pub(super) fn new(with: &Sign) -> Result<Self, Error> {
        read(&with.credentials_file, &with.profile)?;
        Ok(Self { with: with.clone() })
    }

    pub(super) fn signs(&self, endpoint: &Endpoint) -> bool {
        self.with.endpoint == *endpoint
    }

    /// Adds what AWS wants to see. Headers that the guest set for the same purpose go.
    pub(super) fn sign(
        &self,
        method: &Method,
        url: &Url,
        headers: &mut HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Result<(), Error> {
        let keys = read(&self.with.credentials_file, &self.with.profile)?;
        let failed = |e: &dyn std::fmt::Display| Error::Sign(e.to_string());
        for name in [header::AUTHORIZATION.as_str(), "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"] {
            headers.remove(name);
        }
        let identity = keys.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.with.region)
            .name(&self.with.service)
            .time(now)
            .settings(settings(&self.with.service))
            .build()
            .map_err(|e| failed(&e))?
            .into();
        // What a client or a proxy may change on the way is not signed.
        let signed = headers
            .iter()
            .filter(|(name, _)| *name == header::CONTENT_TYPE || name.as_str().starts_with("x-amz-"))
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let request = SignableRequest::new(method.as_str(), url.as_str(), signed, SignableBody::Bytes(body));
        let (instructions, _) = sign(request.map_err(|e| failed(&e))?, &params).map_err(|e| failed(&e))?.into_parts();
        for (name, value) in instructions.headers() {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|e| failed(&e))?;
            let mut value = HeaderValue::from_str(value).map_err(|e| failed(&e))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(())
    }
}

/// S3 takes paths as they are, and wants to see what the body's hash is.
fn settings(service: &str) -> SigningSettings {
    let mut settings = SigningSettings::default();
    if service == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    }
    settings
}

/// Blocks for a small file.
fn read(file: &Path, profile: &str) -> Result<Credentials, Error> {
    let failed = |what: String| Error::File { file: file.display().to_string(), what };
    let size = std::fs::metadata(file).map_err(|e| failed(format!("can't be read: {e}")))?.len();
    if size > MOST {
        return Err(failed(format!("has {size} bytes, which is more than keys need")));
    }
    let text = std::fs::read_to_string(file).map_err(|e| failed(format!("can't be read: {}", e.kind())))?;
    parse(&text, profile).map_err(failed)
}

/// The form of `~/.aws/credentials`: sections, and in each `key = value`.
fn parse(text: &str, profile: &str) -> Result<Credentials, String> {
    let (mut inside, mut found) = (false, false);
    let (mut id, mut secret, mut token) = (None, None, None);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = name.trim() == profile;
            found |= inside;
        } else if let Some((key, value)) = line.split_once('=').filter(|_| inside) {
            let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
            match key.trim() {
                "aws_access_key_id" => id = value,
                "aws_secret_access_key" => secret = value,
                "aws_session_token" => token = value,
                _ => {}
            }
        }
    }
    match (found, id, secret) {
        (true, Some(id), Some(secret)) => Ok(Credentials::new(id, secret, token, None, "file")),
        (true, ..) => Err(format!("[{profile}] lacks aws_access_key_id or aws_secret_access_key")),
        (false, ..) => Err(format!("has no section [{profile}]")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FILE: &str = "# mine\n[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY\n[other]\naws_access_key_id=\n";

    #[test]
    fn reads_keys_and_tells_none() {
        let keys = parse(FILE, "default").unwrap();
        assert_eq!((keys.access_key_id(), keys.session_token()), ("AKIDEXAMPLE", None));
        assert!(!format!("{keys:?}").contains("wJalr"));
        for (profile, want) in [("other", "lacks"), ("none", "no section [none]")] {
            let error = parse(FILE, profile).unwrap_err();
            assert!(error.contains(want) && !error.contains("AKID"), "{error}");
        }
    }

    /// The example of a bucket's lifecycle in AWS's description of Signature Version 4 for S3.
    #[test]
    fn signs_for_s3_as_s3_does() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keys");
        let keys = "[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n";
        std::fs::write(&file, keys).unwrap();
        let with = Sign {
            endpoint: Endpoint::try_from("https://examplebucket.s3.amazonaws.com".to_owned()).unwrap(),
            service: "s3".into(),
            region: "us-east-1".into(),
            credentials_file: file,
            profile: "default".into(),
        };
        let mut headers = HeaderMap::new();
        let url = Url::parse("https://examplebucket.s3.amazonaws.com/?lifecycle").unwrap();
        // 20130524T000000Z
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        Signer::new(&with).unwrap().sign(&Method::GET, &url, &mut headers, b"", now).unwrap();
        let signature = headers.get(header::AUTHORIZATION).unwrap().to_str().unwrap();
        assert!(
            signature.ends_with("Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
            "{signature}"
        );
    }

    /// The request, keys and signature of the vanilla case in AWS's published test suite for Signature Version 4.
    #[test]
    fn signs_as_aws_does() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keys");
        std::fs::write(&file, FILE).unwrap();
        let endpoint = Endpoint::try_from("https://example.amazonaws.com".to_owned()).unwrap();
        let with = Sign {
            endpoint: endpoint.clone(),
            service: "service".into(),
            region: "us-east-1".into(),
            credentials_file: file.clone(),
            profile: "default".into(),
        };
        let signer = Signer::new(&with).unwrap();
        assert!(signer.signs(&endpoint));
        let mut headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static("Basic x"))]);
        let url = Url::parse("https://example.amazonaws.com/").unwrap();
        // 20150830T123600Z
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160);
        signer.sign(&Method::GET, &url, &mut headers, b"", now).unwrap();
        let signature = headers.get(header::AUTHORIZATION).unwrap().to_str().unwrap();
        assert!(
            signature.ends_with("Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            "{signature}"
        );
        std::fs::remove_file(file).unwrap();
        assert!(matches!(signer.sign(&Method::GET, &url, &mut headers, b"", now), Err(Error::File { .. })));
    }
}
