//! The connection of a node to its server.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Endpoint, Uri};

/// For a connection with its handshake.
const CONNECT: Duration = Duration::from_secs(10);
/// A connection that answers no ping for as long is dead.
const PING: Duration = Duration::from_secs(10);
/// What a session may have under way, and what all of a connection's may have: enough for all at once, so that one which
/// nobody reads from stops no other.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 250 * STREAM_WINDOW;

/// A connection that is made when it is needed, and again when it broke. Cheap to clone.
pub type Channel = tonic::transport::Channel;

/// To this server.
pub(crate) fn channel(server: &str, tls: ClientConfig) -> Result<Channel, String> {
    let uri: Uri = server.parse().map_err(|_| format!("{server:?} is not of the form https://HOST:PORT"))?;
    if uri.scheme_str() != Some("https") {
        return Err(format!("{server:?} is not of the form https://HOST:PORT"));
    }
    let host = uri.host().ok_or_else(|| format!("{server:?} names no host"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = uri.port_u16().unwrap_or(443);
    let name = ServerName::try_from(host.clone()).map_err(|_| format!("{host:?} is no name of a server"))?;
    let mut tls = tls;
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let tls = TlsConnector::from(Arc::new(tls));
    let connector = tower::service_fn(move |_: Uri| {
        let (host, name, tls) = (host.clone(), name.clone(), tls.clone());
        async move {
            let stream = TcpStream::connect((host.as_str(), port)).await?;
            stream.set_nodelay(true)?;
            Ok::<_, std::io::Error>(TokioIo::new(tls.connect(name, stream).await?))
        }
    });
    // The connector brings TLS; the library, which knows nothing of that, would refuse the scheme.
    let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
    let plain: Uri = format!("http://{authority}").parse().map_err(|_| format!("{server:?} names no host"))?;
    let endpoint = Endpoint::from(plain)
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    Ok(endpoint.connect_with_connector_lazy(connector))
}
