//! TLS: certificates by name, from Secrets that come, change and go.

use std::sync::Arc;

use gantry_api::pki::Pair;
use http::{Request, Version};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::endpoint::Endpoint;
use crate::world::{World, certificate, connect, forward, pair, rule, until};

/// Takes any certificate: tests look at which one it is.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

async fn dial(port: u16, name: &str, protocols: &[&str]) -> TlsStream<tokio::net::TcpStream> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody)).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, connect(port).await).await.unwrap()
}

/// The certificate that a name gets, and what it is written as.
pub async fn shown(port: u16, name: &str) -> Vec<u8> {
    dial(port, name, &[]).await.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

pub fn der(pair: &Pair) -> Vec<u8> {
    CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap().to_vec()
}

fn both(pair: &Pair) -> Option<(&str, &str)> {
    Some((&pair.certificate, &pair.key))
}

#[tokio::test]
async fn names_get_the_certificates_of_their_secrets() {
    let world = World::new();
    let (a, wild) = (pair(&["x"]), pair(&["*.wild.example"]));
    world.store.set("a", both(&a));
    world.store.set("wild", both(&wild));
    let certificates =
        vec![certificate(&["a.example"], "a"), certificate(&[], "wild"), certificate(&["c.example"], "late")];
    world.apply(vec![world.listener(vec![], Some(certificates))]).await;
    // From the first connection on.
    assert_eq!(shown(world.port, "a.example").await, der(&a));
    assert_eq!(shown(world.port, "b.wild.example").await, der(&wild));
    let fallback = shown(world.port, "c.example").await;
    assert!(fallback != der(&a) && fallback != der(&wild));
    let heard = world.heard.all();
    assert!(heard.len() == 1 && heard[0].1 == "TLSSecretNotFound" && heard[0].2.contains("a/late"), "{heard:?}");
    // It comes, is replaced by nonsense (the last good one stays), is mended, and goes.
    let (first, second) = (pair(&["c"]), pair(&["c"]));
    let port = world.port;
    let until_shown = |want: Vec<u8>| async move {
        let want = &want;
        until("the certificate", || async move { (shown(port, "c.example").await == *want).then_some(()) }).await;
    };
    world.store.set("late", both(&first));
    until_shown(der(&first)).await;
    world.store.set("late", Some((&first.certificate, "no key")));
    until("trouble to be told", || async { (world.heard.all().len() == 2).then_some(()) }).await;
    let heard = world.heard.all().pop().unwrap();
    assert!(heard.0 == "a/f" && heard.1 == "InvalidTLSSecret" && heard.2.contains("a/late"), "{heard:?}");
    assert_eq!(shown(world.port, "c.example").await, der(&first));
    assert_eq!(shown(world.port, "a.example").await, der(&a));
    world.store.set("late", both(&second));
    until_shown(der(&second)).await;
    world.store.set("late", None);
    until_shown(fallback).await;
}

#[tokio::test]
async fn a_secret_that_never_was_good_leaves_the_others_alone() {
    let world = World::new();
    let a = pair(&["a.example"]);
    world.store.set("a", both(&a));
    world.store.set("bad", Some(("nonsense", "nonsense")));
    let certificates = vec![certificate(&["b.example"], "bad"), certificate(&["a.example"], "a")];
    world.apply(vec![world.listener(vec![], Some(certificates))]).await;
    assert_eq!(shown(world.port, "a.example").await, der(&a));
    assert_ne!(shown(world.port, "b.example").await, der(&a));
    let heard = world.heard.all();
    assert!(heard.len() == 1 && heard[0].1 == "InvalidTLSSecret", "{heard:?}");
}

#[tokio::test]
async fn http2_is_agreed_on() {
    let world = World::new();
    let endpoint = Endpoint::start("e").await;
    world.pool("e", std::slice::from_ref(&endpoint.address)).await;
    world.apply(vec![world.listener(vec![rule("a.example", "/", forward("e"))], Some(vec![]))]).await;
    let stream = dial(world.port, "a.example", &["h2", "http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for path in ["/one", "/two"] {
        let request = Request::get(format!("https://a.example{path}")).body(Empty::<bytes::Bytes>::new()).unwrap();
        let answer = send.send_request(request).await.unwrap();
        assert_eq!((answer.version(), answer.status().as_u16()), (Version::HTTP_2, 200));
        let body = String::from_utf8(answer.collect().await.unwrap().to_bytes().to_vec()).unwrap().to_ascii_lowercase();
        for line in [&format!("get {path} http/1.1"), "host: a.example", "x-forwarded-proto: https"] {
            assert!(body.contains(line), "{line} in {body}");
        }
    }
    let request = Request::get("https://other.example/").body(Empty::<bytes::Bytes>::new()).unwrap();
    assert_eq!(send.send_request(request).await.unwrap().status().as_u16(), 404);
}
