//! The node's proxy: `gantry proxy`, a process that its agent starts and that outlives it, and what the agent has of it.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use gantry_api::pki;
use gantry_node::cluster::recorder::About;
use gantry_node::cluster::{Cluster, Recorder, Severity};
use gantry_node::logs::{ACCESS, Limit, Notices};
use gantry_node::proxy::apart::{self, Keeper, KeeperOptions, ServeOptions};
use gantry_node::proxy::{Identity, OfCluster, Tell};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use crate::cli::{Format, Log};
use crate::node::{NodeArgs, node_dir, run_dir};
use crate::stop::Stop;
use crate::{files, logging, telemetry};

/// Connections of clients at once.
const CONNECTIONS: usize = 16_384;
/// Bytes of the process's own log beyond which the next one begins it anew.
const OWN_LOG: u64 = 10 << 20;
/// Whom names without a certificate reach, as far as their certificate says.
const NOBODY: &str = "default.gantry.invalid";

struct Told(Recorder);

impl Tell for Told {
    fn warn(&self, about: &About, reason: &str, message: &str) {
        self.0.object(about.clone(), Severity::Warning, reason.to_owned(), message);
    }
}

/// The proxy of the node whose state is in this folder: it runs, or is started when it is needed first. And where it tells
/// of its log, as other writers of logs are to do.
pub fn keeper(cluster: Arc<dyn Cluster>, args: &NodeArgs, data: &Path, log: &Log) -> Result<(Keeper, Notices)> {
    let (recorder, events) = Recorder::new(cluster.clone(), &args.name()?);
    tokio::spawn(events);
    let notices = Notices::default();
    let (args, log) = (ProxyArgs::of(args, data), log.clone());
    let keeper = Keeper::new(KeeperOptions {
        socket: socket(data),
        launch: Box::new(move || args.launch(&log)),
        secrets: Arc::new(OfCluster(cluster)),
        tell: Arc::new(Told(recorder)),
        notices: notices.clone(),
    });
    Ok((keeper, notices))
}

/// Ends the proxy of a node that is stopped, if there is one.
pub async fn end(data: &Path) -> Result<()> {
    apart::end(&socket(data)).await.context("the node's proxy does not end")
}

fn socket(data: &Path) -> PathBuf {
    run_dir(data).join("proxy.sock")
}

/// `gantry proxy`: what an agent starts. Nobody else needs to.
#[derive(Args, Clone, Debug)]
pub struct ProxyArgs {
    /// The data directory of the agent.
    #[arg(long, value_name = "FOLDER")]
    data_dir: PathBuf,
    /// Bytes after which the access log is rotated.
    #[arg(long, value_name = "BYTES")]
    log_max_bytes: u64,
    /// Files that are kept of it.
    #[arg(long, value_name = "COUNT")]
    log_max_files: u32,
}

impl ProxyArgs {
    fn of(args: &NodeArgs, data: &Path) -> Self {
        Self { data_dir: data.to_owned(), log_max_bytes: args.log_max_bytes, log_max_files: args.log_max_files }
    }

    /// This program again, whatever has become of its file.
    fn launch(&self, log: &Log) -> io::Result<()> {
        let mut command = process::Command::new("/proc/self/exe");
        command.arg0("gantry").arg("proxy").arg("--data-dir").arg(&self.data_dir).arg("--log").arg(&log.log);
        command.arg("--log-format").arg(match log.log_format {
            Format::Text => "text",
            Format::Json => "json",
        });
        command.arg(format!("--log-max-bytes={}", self.log_max_bytes));
        command.arg(format!("--log-max-files={}", self.log_max_files));
        // Not those of the agent: whoever reads them to their end would wait for the proxy too.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(own_log(&self.data_dir)?);
        // Through tokio, which sees it off should it end before this process.
        tokio::process::Command::from(command).spawn().map(drop)
    }

    /// Serves until it is told to end.
    pub async fn run(self, log: Log) -> Result<ExitCode> {
        // Ctrl-C in the agent's terminal is meant for the agent. It fails if somebody made a session already.
        let _ = nix::unistd::setsid();
        // Else it would be called by the link that it was started by; and two descriptors a connection are many.
        nix::sys::prctl::set_name(c"gantry-proxy")?;
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
        logging::start(&log)?;
        let metrics = telemetry::start()?;
        let pair = pki::self_signed(&[NOBODY.to_owned()])?;
        let fallback =
            Identity::from_pem(pair.certificate.as_bytes(), pair.key.as_bytes()).map_err(|why| anyhow!(why))?;
        let (path, _lock) = (socket(&self.data_dir), lock(&self.data_dir)?);
        let socket = listen(&path)?;
        let (stop, mut told) = (CancellationToken::new(), Stop::new()?);
        let limit = Limit { bytes: self.log_max_bytes, files: self.log_max_files };
        let access = Some((node_dir(&self.data_dir).join("logs").join(ACCESS), limit));
        let options = ServeOptions { socket, path, fallback, connections: CONNECTIONS, access, metrics };
        let serving = apart::serve(options, stop.clone());
        tokio::pin!(serving);
        tokio::select! {
            () = &mut serving => {}
            () = told.wanted() => {
                stop.cancel();
                serving.await;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// One proxy for a data directory: a second one ends at once.
fn lock(data: &Path) -> Result<File> {
    files::make_private(&run_dir(data))?;
    let path = run_dir(data).join("proxy.lock");
    let lock = File::options().create(true).truncate(false).write(true).open(&path)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => bail!("a proxy for {} runs already", data.display()),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("can't lock {}", path.display())),
    }
}

/// What an earlier one left is nobody's: this one has the lock.
fn listen(path: &Path) -> Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    UnixListener::bind(path).with_context(|| format!("can't listen at {}", path.display()))
}

/// Begins anew when it has grown long.
fn own_log(data: &Path) -> io::Result<File> {
    let path = node_dir(data).join("proxy.log");
    let long = std::fs::metadata(&path).is_ok_and(|file| file.len() > OWN_LOG);
    File::options().create(true).write(true).append(!long).truncate(long).open(path)
}
