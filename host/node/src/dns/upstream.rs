//! The servers that the machine itself asks.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use tracing::{info, warn};

use crate::resolv;

/// A server that does not answer within this is asked again, or another is. Clients' own patience is 5 s.
const TIMEOUT: Duration = Duration::from_millis(1_500);
/// Answers that are remembered.
const CACHE: u64 = 4_096;
/// How long answers are remembered at most, whatever they say: what changed outside is seen by then.
const LONGEST: Duration = Duration::from_secs(300);
/// The same for answers that there is nothing.
const LONGEST_NEGATIVE: Duration = Duration::from_secs(30);
/// How often it is looked whether the machine's own configuration has changed.
const LOOK: Duration = Duration::from_secs(5);

/// Whom to ask.
#[derive(Clone, Debug, Default)]
pub struct UpstreamOptions {
    /// These; empty: those that `file` names.
    pub servers: Vec<SocketAddr>,
    /// `/etc/resolv.conf`
    pub file: PathBuf,
    /// Our own address, which is never asked.
    pub own: Option<IpAddr>,
}

/// Asks them.
pub struct Upstream {
    options: UpstreamOptions,
    now: Mutex<Option<Now>>,
}

struct Now {
    looked: Instant,
    servers: Vec<SocketAddr>,
    /// `None`: there is nobody to ask.
    resolver: Option<TokioResolver>,
}

/// What they say. `ServFail`: nobody says anything of use.
pub(super) struct Said {
    pub code: ResponseCode,
    pub answers: Vec<Record>,
    pub authorities: Vec<Record>,
}

impl Upstream {
    /// Nobody is asked yet.
    pub fn new(options: UpstreamOptions) -> Self {
        Self { options, now: Mutex::default() }
    }

    pub(super) async fn ask(&self, name: Name, kind: RecordType) -> Said {
        let nothing = |code| Said { code, answers: Vec::new(), authorities: Vec::new() };
        let Some(resolver) = self.resolver() else { return nothing(ResponseCode::ServFail) };
        match resolver.lookup(name, kind).await {
            Ok(lookup) => {
                Said { code: ResponseCode::NoError, answers: lookup.answers().to_vec(), authorities: Vec::new() }
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
                let soa = none.soa.map(|soa| Record::from_rdata(soa.name, soa.ttl, RData::SOA(soa.data)));
                Said { authorities: soa.into_iter().collect(), ..nothing(none.response_code) }
            }
            Err(NetError::Dns(DnsError::ResponseCode(code))) => nothing(code),
            Err(error) => {
                tracing::debug!(%error, "an upstream DNS server");
                nothing(ResponseCode::ServFail)
            }
        }
    }

    fn resolver(&self) -> Option<TokioResolver> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(now) = &*now
            && now.looked.elapsed() < LOOK
        {
            return now.resolver.clone();
        }
        let servers = self.servers();
        match &mut *now {
            Some(now) if now.servers == servers => now.looked = Instant::now(),
            _ => {
                info!(?servers, "names outside of the cluster are looked up at these servers");
                *now = Some(Now { looked: Instant::now(), resolver: resolver(&servers), servers });
            }
        }
        now.as_ref().and_then(|now| now.resolver.clone())
    }

    fn servers(&self) -> Vec<SocketAddr> {
        let from_file = || {
            let file = resolv::Resolv::of_node(&self.options.file);
            file.servers.iter().filter_map(|server| Some(SocketAddr::new(server.parse().ok()?, 53))).collect()
        };
        let all: Vec<SocketAddr> =
            if self.options.servers.is_empty() { from_file() } else { self.options.servers.clone() };
        all.into_iter().filter(|server| Some(server.ip()) != self.options.own).collect()
    }
}

fn resolver(servers: &[SocketAddr]) -> Option<TokioResolver> {
    if servers.is_empty() {
        return None;
    }
    let connection = |mut connection: ConnectionConfig, port| {
        connection.port = port;
        connection
    };
    let server = |server: &SocketAddr| {
        let (udp, tcp) = (ConnectionConfig::udp(), ConnectionConfig::tcp());
        let connections = vec![connection(udp, server.port()), connection(tcp, server.port())];
        NameServerConfig::new(server.ip(), true, connections)
    };
    let config = ResolverConfig::from_name_servers(servers.iter().map(server).collect());
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    configure(builder.options_mut());
    builder.build().inspect_err(|error| warn!(%error, "names outside of the cluster can't be looked up")).ok()
}

fn configure(options: &mut ResolverOpts) {
    options.timeout = TIMEOUT;
    options.attempts = 2;
    options.cache_size = CACHE;
    options.positive_max_ttl = Some(LONGEST);
    options.negative_max_ttl = Some(LONGEST_NEGATIVE);
    // The file is the node's business, not its pods'.
    options.use_hosts_file = ResolveHosts::Never;
    options.num_concurrent_reqs = 1;
}
