//! Makes and starts one container.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gantry_model::ulimits::Ulimit;
use k8s_openapi::api::core::v1::{Container, VolumeMount};
use tokio_util::sync::CancellationToken;

use super::context::{Context, make_parent};
use super::desired::{Desired, Unit};
use super::instance::Instance;
use super::planner::Hold;
use super::volumes::set_mode;
use super::{backoff, env, files, images, resources, volumes};
use crate::network::NetStatus;
use crate::runtime::{CGROUP, ContainerSpec, Image, Mount};

/// Where a container's last words are, unless it says otherwise.
const TERMINATION: &str = "/dev/termination-log";

/// Why a container does not run.
#[derive(Debug)]
pub enum StartError {
    /// It was not made. To be tried again under the same number.
    Hold(Hold),
    /// It was made, and the runtime could not be asked to start it. To be started later.
    Unstarted(Instance, Hold),
    /// It was made and would not start: it counts as having ended.
    Broken(Instance, String),
    /// The pod must end: nothing was made.
    GaveUp,
}

/// What a start needs besides the container.
pub struct Start<'a> {
    /// Shared.
    pub context: &'a Context,
    /// The pod.
    pub desired: &'a Desired,
    /// The container.
    pub unit: &'a Unit,
    /// Its pod's network.
    pub net: &'a NetStatus,
    /// The wait before this try.
    pub last: Option<Hold>,
    /// Cancelled when the pod must end: long waits are then cut short.
    pub give_up: &'a CancellationToken,
}

impl Start<'_> {
    /// Makes the container and starts it.
    pub async fn run(&self, attempt: u32, delay: u32) -> Result<Instance, StartError> {
        let container = &*self.unit.spec;
        let ensured = images::ensure(self.context, self.desired, container, self.last.as_ref());
        let image = self.unless_given_up(ensured).await?.map_err(StartError::Hold)?;
        let mut instance = Instance::new(&self.desired.key, self.unit, attempt, delay);
        instance.image_id = image.id.clone();
        let _permit = self.unless_given_up(self.context.starts.acquire()).await?.map_err(|_| StartError::GaveUp)?;
        let spec = self.container_spec(&instance, &image).await?;
        if let Err(error) = self.context.runtime.create(&spec).await {
            return Err(self.failed("CreateContainerError", error.to_string()));
        }
        let message = format!("Created container: {}", container.name);
        self.context.tell(&self.desired.key, Some(&container.name), "Created", message);
        self.start(instance).await
    }

    /// Starts one that is made.
    pub async fn resume(&self, instance: Instance) -> Result<Instance, StartError> {
        let _permit = self.unless_given_up(self.context.starts.acquire()).await?.map_err(|_| StartError::GaveUp)?;
        self.start(instance).await
    }

    async fn unless_given_up<T>(&self, work: impl Future<Output = T>) -> Result<T, StartError> {
        self.give_up.run_until_cancelled(work).await.ok_or(StartError::GaveUp)
    }

    async fn start(&self, mut instance: Instance) -> Result<Instance, StartError> {
        let (pod, name) = (&self.desired.key, self.unit.name());
        match self.context.runtime.start(&instance.id).await {
            Ok(_) => {
                self.context.tell(pod, Some(name), "Started", format!("Started container {name}"));
                instance.life = super::instance::Life::Running;
                instance.started = Some(self.context.clock.now());
                Ok(instance)
            }
            Err(crate::runtime::RuntimeError::Unavailable(reason)) => {
                let hold = images::hold(self.context, "RunContainerError", reason, 1);
                Err(StartError::Unstarted(instance, hold))
            }
            Err(error) => {
                self.context.warn(pod, Some(name), "Failed", format!("Error: {error}"));
                Err(StartError::Broken(instance, error.to_string()))
            }
        }
    }

    fn failed(&self, reason: &'static str, message: String) -> StartError {
        self.context.warn(&self.desired.key, Some(self.unit.name()), "Failed", format!("Error: {message}"));
        let before = self.last.as_ref().filter(|hold| hold.reason == reason).map_or(0, |hold| hold.delay);
        StartError::Hold(images::hold(self.context, reason, message, backoff::next(before)))
    }

    fn misconfigured(&self, message: String) -> StartError {
        self.failed("CreateContainerConfigError", message)
    }

    async fn container_spec(&self, instance: &Instance, image: &Image) -> Result<ContainerSpec, StartError> {
        let (context, container) = (self.context, &*self.unit.spec);
        let pod = self.desired.spec();
        let from = env::Sources {
            cluster: &context.cluster,
            desired: self.desired,
            addresses: &self.net.addresses,
            facts: &context.facts,
        };
        let variables = env::variables(&from, container).await.map_err(|e| self.misconfigured(e.to_string()))?;
        let security = resources::security(&pod, container, image).map_err(|e| self.misconfigured(e))?;
        let args =
            env::command_line(container, image, &variables).map_err(|e| self.failed("CreateContainerError", e))?;
        let hostname = files::hostname(self.desired, &context.dns.now());
        let mounts = self.mounts(instance, &variables).map_err(|e| self.misconfigured(e))?;
        let log = context.log_path(&self.desired.key, &container.name, instance.attempt);
        make_parent(&log).map_err(|e| self.failed("CreateContainerError", format!("{}: {e}", log.display())))?;
        let mut own = variables;
        if container.tty == Some(true) && !own.iter().any(|(name, _)| name == "TERM") {
            own.push(("TERM".to_owned(), "xterm".to_owned()));
        }
        Ok(ContainerSpec {
            id: instance.id.clone(),
            sandbox: self.desired.key.uid.clone(),
            labels: instance.labels(&self.desired.key, &context.boot),
            image: container.image.clone().unwrap_or_default(),
            args,
            env: env::merged(&image.env, &hostname, &own),
            working_dir: working_dir(container, image),
            hostname,
            mounts,
            limits: resources::limits(&pod, container, context.memory),
            ulimits: ulimits(self.unit),
            security,
            netns: self.net.netns_path.clone(),
            host_pid: pod.host_pid.unwrap_or(false),
            host_ipc: pod.host_ipc.unwrap_or(false),
            tty: container.tty.unwrap_or(false),
            stdin: container.stdin.unwrap_or(false),
            log,
            log_limit: context.log_limit,
            cgroup_parent: format!("{CGROUP}/pod{}", self.desired.key.uid),
            sandbox_limits: resources::pod_limits(&pod),
        })
    }

    fn mounts(&self, instance: &Instance, variables: &[(String, String)]) -> Result<Vec<Mount>, String> {
        let container = &*self.unit.spec;
        let pod_dir = self.context.pod_dir(&self.desired.key.uid);
        let mut mounts = Vec::new();
        for (index, wanted) in container.volume_mounts.iter().flatten().enumerate() {
            mounts.push(self.volume_mount(&pod_dir, index, wanted, variables)?);
        }
        let taken = |path: &str| container.volume_mounts.iter().flatten().any(|m| m.mount_path == path);
        for (file, path) in
            [("etc-hosts", "/etc/hosts"), ("resolv.conf", "/etc/resolv.conf"), ("hostname", "/etc/hostname")]
        {
            if !taken(path) {
                mounts.push(bind(pod_dir.join(file), path, false));
            }
        }
        let last_words = self.context.termination_path(&self.desired.key.uid, &container.name, instance.attempt);
        make_writable(&last_words).map_err(|e| format!("{}: {e}", last_words.display()))?;
        let path = container.termination_message_path.as_deref().filter(|path| !path.is_empty()).unwrap_or(TERMINATION);
        mounts.push(bind(last_words, path, false));
        Ok(mounts)
    }

    fn volume_mount(
        &self,
        pod_dir: &Path,
        index: usize,
        wanted: &VolumeMount,
        variables: &[(String, String)],
    ) -> Result<Mount, String> {
        let spec = self.desired.spec();
        let volume = spec.volumes.iter().flatten().find(|volume| volume.name == wanted.name);
        let volume = volume.ok_or_else(|| format!("volume mount {} names no volume of the pod", wanted.name))?;
        let root = volumes::source_path(pod_dir, volume);
        let sub = sub_path(wanted, variables)?;
        let source = match sub {
            None => root,
            Some(sub) => {
                let place = pod_dir.join("subpaths").join(&volume.name).join(self.unit.name()).join(index.to_string());
                volumes::subpath::bind(&root, &sub, &place, &*self.context.mounts)?;
                place
            }
        };
        // What the agent writes for the pod is not for the pod to change.
        let fixed = volume.config_map.is_some()
            || volume.secret.is_some()
            || volume.downward_api.is_some()
            || volume.projected.is_some();
        let mut mount = bind(source, &wanted.mount_path, wanted.read_only.unwrap_or(false) || fixed);
        mount.propagation = match wanted.mount_propagation.as_deref() {
            Some("HostToContainer") => "rslave",
            Some("Bidirectional") => "rshared",
            _ => "rprivate",
        };
        Ok(mount)
    }
}

fn sub_path(wanted: &VolumeMount, variables: &[(String, String)]) -> Result<Option<String>, String> {
    if let Some(sub) = wanted.sub_path.as_ref().filter(|sub| !sub.is_empty()) {
        return Ok(Some(sub.clone()));
    }
    let Some(expression) = wanted.sub_path_expr.as_ref().filter(|sub| !sub.is_empty()) else { return Ok(None) };
    let sub = env::expand(expression, variables);
    if sub.contains("$(") {
        return Err(format!("failed to expand subPathExpr {expression:?}: a variable is not set"));
    }
    Ok(Some(sub))
}

fn bind(source: PathBuf, destination: &str, read_only: bool) -> Mount {
    let destination = match destination.starts_with('/') {
        true => PathBuf::from(destination),
        false => Path::new("/").join(destination),
    };
    Mount { source, destination, read_only, propagation: "rprivate" }
}

fn ulimits(unit: &Unit) -> Vec<(String, u64, u64)> {
    let one = |(name, limit): (&String, &Ulimit)| {
        let (soft, hard) = limit.numbers();
        (name.clone(), soft, hard)
    };
    unit.ulimits.iter().map(one).collect()
}

fn working_dir(container: &Container, image: &Image) -> String {
    let own = container.working_dir.clone().filter(|dir| !dir.is_empty());
    own.or_else(|| Some(image.working_dir.clone()).filter(|dir| !dir.is_empty())).unwrap_or_else(|| "/".to_owned())
}

/// Whoever the container runs as may leave its last words.
fn make_writable(path: &Path) -> io::Result<()> {
    make_parent(path)?;
    fs::OpenOptions::new().append(true).create(true).open(path)?;
    set_mode(path, 0o666)
}
