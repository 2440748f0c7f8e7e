//! Signatures of version 4: the request is signed again with the caller's secret key, and both must be the same.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use gantry_sdk::dialect::http::Request;
use gantry_sdk::dialect::http::header::AUTHORIZATION;
use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use crate::fault::{Fault, Result};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const DATE: &str = "x-amz-date";
/// Headers of AWS's own, which all must be signed.
const AMAZON: &str = "x-amz-";
const SERVICE: &str = "ecs";
/// How far a caller's clock may be off.
const SKEW: Duration = Duration::from_secs(15 * 60);

/// What a request says about its signature.
#[derive(Debug, PartialEq, Eq)]
pub struct Claim<'a> {
    /// The access key's id.
    pub key: &'a str,
    day: &'a str,
    region: &'a str,
    service: &'a str,
    headers: Vec<&'a str>,
    signature: &'a str,
}

/// Reads the header.
pub fn claim(request: &Request<Vec<u8>>) -> Result<Claim<'_>> {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(rest) = header.and_then(|header| header.strip_prefix(ALGORITHM)) else {
        return Err(Fault::new("MissingAuthenticationTokenException", "Request is missing Authentication Token"));
    };
    let field = |name: &str| {
        let mut parts = rest.split(',').map(str::trim);
        let found = parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        found
            .filter(|text| !text.is_empty())
            .ok_or_else(|| incomplete(&format!("Authorization header requires '{name}' parameter.")))
    };
    let (credential, headers, signature) = (field("Credential")?, field("SignedHeaders")?, field("Signature")?);
    let parts: Vec<&str> = credential.split('/').collect();
    let [key, day, region, service, "aws4_request"] = parts.as_slice() else {
        return Err(incomplete("Credential must have exactly 5 elements and end with 'aws4_request'."));
    };
    Ok(Claim { key, day, region, service, headers: headers.split(';').collect(), signature })
}

fn incomplete(message: &str) -> Fault {
    Fault::new("IncompleteSignatureException", message)
}

fn invalid(message: String) -> Fault {
    Fault::new("InvalidSignatureException", message)
}

/// Compares the signature with the one that the owner of the secret key would have made.
pub fn verify(claim: &Claim<'_>, request: &Request<Vec<u8>>, secret: &str, region: &str, now_ms: u64) -> Result<()> {
    let stamp = request.headers().get(DATE).and_then(|value| value.to_str().ok());
    let stamp = stamp.ok_or_else(|| {
        incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    })?;
    let time = moment(stamp).ok_or_else(|| incomplete("Date must be in ISO-8601 'basic format'."))?;
    if !stamp.starts_with(claim.day) {
        return Err(invalid(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP".to_owned(),
        ));
    }
    if claim.region != region {
        return Err(invalid(format!("Credential should be scoped to a valid region, not '{}'. ", claim.region)));
    }
    if claim.service != SERVICE {
        return Err(invalid(format!("Credential should be scoped to correct service: '{SERVICE}'. ")));
    }
    if !["host", DATE].iter().all(|name| claim.headers.contains(name)) {
        return Err(incomplete("'Host' and 'X-Amz-Date' must be signed headers."));
    }
    // Among them is the one that says which operation is meant.
    let mut ours = request.headers().keys().map(|name| name.as_str()).filter(|name| name.starts_with(AMAZON));
    if let Some(name) = ours.find(|name| !claim.headers.contains(name)) {
        return Err(incomplete(&format!("'{name}' must be a signed header.")));
    }
    in_time(stamp, time, UNIX_EPOCH + Duration::from_millis(now_ms))?;
    let expected = signature(claim, request, secret, region, time)
        .ok_or_else(|| incomplete("The request's signed headers can't be read."))?;
    if same(expected.as_bytes(), claim.signature.as_bytes()) {
        return Ok(());
    }
    Err(invalid("The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.".to_owned()))
}

fn in_time(stamp: &str, time: SystemTime, now: SystemTime) -> Result<()> {
    let (earliest, latest) = (now - SKEW, now + SKEW);
    if time < earliest {
        let (bound, now) = (written(earliest), written(now));
        return Err(invalid(format!("Signature expired: {stamp} is now earlier than {bound} ({now} - 15 min.)")));
    }
    if time > latest {
        let (bound, now) = (written(latest), written(now));
        return Err(invalid(format!(
            "Signature not yet current: {stamp} is still later than {bound} ({now} + 15 min.)"
        )));
    }
    Ok(())
}

/// `20150830T123600Z`
fn moment(text: &str) -> Option<SystemTime> {
    let time: DateTime = strtime::parse("%Y%m%dT%H%M%SZ", text).ok()?.to_datetime().ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().into())
}

fn written(time: SystemTime) -> String {
    let stamp = jiff::Timestamp::try_from(time).unwrap_or_default();
    stamp.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// None for what can't be signed at all.
fn signature(
    claim: &Claim<'_>,
    request: &Request<Vec<u8>>,
    secret: &str,
    region: &str,
    time: SystemTime,
) -> Option<String> {
    let mut settings = SigningSettings::default();
    // The caller says what it signed.
    settings.excluded_headers = None;
    let identity = Credentials::new(claim.key, secret, None, None, "gantry").into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(SERVICE)
        .time(time)
        .settings(settings)
        .build()
        .ok()?;
    let mut headers = Vec::new();
    for name in claim.headers.iter().filter(|name| **name != DATE) {
        for value in request.headers().get_all(*name) {
            headers.push((*name, value.to_str().ok()?));
        }
    }
    let host = request.headers().get("host")?.to_str().ok()?;
    let uri = format!("https://{host}{}", request.uri().path_and_query().map_or("/", |path| path.as_str()));
    let body = SignableBody::Bytes(request.body());
    let signable = SignableRequest::new(request.method().as_str(), uri, headers.into_iter(), body).ok()?;
    Some(sign(signable, &parameters.into()).ok()?.into_parts().1)
}

/// Takes as long whatever the first difference is.
fn same(one: &[u8], two: &[u8]) -> bool {
    one.len() == two.len() && one.iter().zip(two).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}
