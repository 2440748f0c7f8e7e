//! A page that is there.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HOST, LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::HTTPGetAction;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::Target;

/// Redirects followed, on the same host.
const MOST_REDIRECTS: usize = 10;
/// More of a body is of no interest.
const MOST_BODY: usize = 10 << 10;

/// Gets a page. Success is a status from 200 to 399, after redirects on the same host.
pub async fn get(target: &Target<'_>, action: &HTTPGetAction, patience: Duration) -> Result<(), String> {
    let uri = uri(target, action)?;
    match tokio::time::timeout(patience, follow(uri.clone(), headers(action)?)).await {
        Ok(result) => result,
        Err(_) => {
            let words = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
            Err(format!("Get \"{uri}\": {words}"))
        }
    }
}

fn uri(target: &Target<'_>, action: &HTTPGetAction) -> Result<Uri, String> {
    let scheme = match action.scheme.as_deref() {
        Some("HTTPS" | "https") => "https",
        _ => "http",
    };
    let (host, port) = (target.host(action.host.as_deref())?, target.port(&action.port)?);
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let path = action.path.as_deref().unwrap_or_default();
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!("{scheme}://{host}:{port}{slash}{path}").parse().map_err(|error| format!("{path:?}: {error}"))
}

fn headers(action: &HTTPGetAction) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static("kube-probe/1.33"));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    let mut given = HeaderMap::new();
    for header in action.http_headers.iter().flatten() {
        let name: HeaderName = header.name.parse().map_err(|error| format!("header {}: {error}", header.name))?;
        let value: HeaderValue = header.value.parse().map_err(|error| format!("header {name}: {error}"))?;
        if value.is_empty() && (name == ACCEPT || name == USER_AGENT) {
            headers.remove(&name);
        }
        given.append(name, value);
    }
    for name in given.keys() {
        headers.remove(name);
        for value in given.get_all(name).iter().filter(|value| !value.is_empty()) {
            headers.append(name.clone(), value.clone());
        }
    }
    Ok(headers)
}

async fn follow(first: Uri, headers: HeaderMap) -> Result<(), String> {
    let mut uri = first.clone();
    for _ in 0..=MOST_REDIRECTS {
        let (status, location) = once(&uri, &headers).await.map_err(|error| format!("Get \"{uri}\": {error}"))?;
        let Some(next) = location.filter(|_| status.is_redirection()) else { return judge(status) };
        let next = resolve(&uri, &next).ok_or_else(|| format!("Get \"{uri}\": bad redirect to {next:?}"))?;
        // Elsewhere is not this container's business: that it redirects shows that it works.
        if next.host() != first.host() {
            return Ok(());
        }
        uri = next;
    }
    Err(format!("Get \"{first}\": stopped after {MOST_REDIRECTS} redirects"))
}

fn judge(status: StatusCode) -> Result<(), String> {
    if (200..400).contains(&status.as_u16()) {
        return Ok(());
    }
    Err(format!("HTTP probe failed with statuscode: {}", status.as_u16()))
}

fn resolve(from: &Uri, location: &str) -> Option<Uri> {
    if location.contains("://") {
        return location.parse().ok();
    }
    let (scheme, authority) = (from.scheme_str()?, from.authority()?);
    if let Some(rest) = location.strip_prefix("//") {
        return format!("{scheme}://{rest}").parse().ok();
    }
    if location.starts_with('/') {
        return format!("{scheme}://{authority}{location}").parse().ok();
    }
    let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{scheme}://{authority}{folder}/{location}").parse().ok()
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn once(uri: &Uri, headers: &HeaderMap) -> Result<(StatusCode, Option<String>), Failure> {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let tls = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let stream = TcpStream::connect((host.as_str(), port)).await?;
    let response = if tls {
        let name = ServerName::try_from(host)?;
        let stream = tokio_rustls::TlsConnector::from(config()?).connect(name, stream).await?;
        send(stream, uri, headers).await?
    } else {
        send(stream, uri, headers).await?
    };
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let status = response.status();
    // A server that is cut off in the middle of its answer may complain; a long answer is none of ours.
    let _ = Limited::new(response.into_body(), MOST_BODY).collect().await;
    Ok((status, location))
}

async fn send<S>(stream: S, uri: &Uri, headers: &HeaderMap) -> Result<Response<Incoming>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::get(path).body(Empty::<Bytes>::new())?;
    *request.headers_mut() = headers.clone();
    if !request.headers().contains_key(HOST)
        && let Some(authority) = uri.authority()
    {
        request.headers_mut().insert(HOST, authority.as_str().parse()?);
    }
    Ok(sender.send_request(request).await?)
}

fn config() -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let anyone = Arc::new(Anyone(provider));
    Ok(Arc::new(builder.dangerous().with_custom_certificate_verifier(anyone).with_no_client_auth()))
}

/// Accepts every certificate: a probe asks whether the server answers, not who it is.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
