//! Ends one container: preStop, the polite signal, patience, the signal that can't be refused.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Container;
use nix::sys::signal::Signal;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::agent::context::Context;
use crate::agent::hooks;
use crate::cluster::PodRef;
use crate::runtime::{RuntimeError, State};
use crate::time::after;

/// A container whose preStop hook used up all of its grace still gets a moment for the signal.
const LEAST: Duration = Duration::from_secs(2);
/// Between looks at a container that was killed.
const LOOK: Duration = Duration::from_secs(1);

/// A container to end.
pub(super) struct Kill {
    pub(super) context: Arc<Context>,
    pub(super) pod: PodRef,
    pub(super) container: Option<Arc<Container>>,
    pub(super) address: Option<IpAddr>,
    pub(super) id: String,
    /// Cancelled when it has ended.
    pub(super) ended: CancellationToken,
    /// When patience ends.
    pub(super) limit: Timestamp,
    /// When the whole pod's patience ends; may come, and may come nearer.
    pub(super) deadline: watch::Receiver<Option<Timestamp>>,
}

impl Kill {
    /// Ends it. Answers how it is then.
    pub(super) async fn run(mut self) -> Result<State, RuntimeError> {
        let ended = self.ended.clone();
        let hooked = tokio::select! {
            () = ended.cancelled() => return self.state().await,
            () = Self::pre_stop(&self.context, &self.pod, self.container.as_deref(), self.address, &self.id) => true,
            () = Self::patience(&self.context, self.limit, &mut self.deadline) => false,
        };
        if let Err(error) = self.context.runtime.signal(&self.id, self.signal(), false).await {
            tracing::debug!(%error, id = self.id, "can't signal a container");
        }
        let (limit, moment) = (self.limit, after(self.context.clock.now(), LEAST));
        let limit = if hooked { limit } else { limit.max(moment) };
        let waiting = async {
            if hooked {
                Self::patience(&self.context, limit, &mut self.deadline).await;
            } else {
                self.context.clock.sleep_until(limit).await;
            }
        };
        tokio::select! {
            () = ended.cancelled() => return self.state().await,
            () = waiting => {}
        }
        self.force().await
    }

    async fn force(&self) -> Result<State, RuntimeError> {
        loop {
            if let Err(error) = self.context.runtime.signal(&self.id, Signal::SIGKILL as i32, true).await {
                tracing::warn!(%error, id = self.id, "can't kill a container");
            }
            tokio::select! {
                () = self.ended.cancelled() => return self.state().await,
                () = tokio::time::sleep(LOOK) => {}
            }
            match self.state().await {
                Ok(State::Running { .. }) | Err(RuntimeError::Unavailable(_) | RuntimeError::Failed(_)) => {}
                ended => return ended,
            }
        }
    }

    async fn state(&self) -> Result<State, RuntimeError> {
        self.context.runtime.state(&self.id).await
    }

    fn signal(&self) -> i32 {
        let lifecycle = self.container.as_ref().and_then(|container| container.lifecycle.as_ref());
        let name = lifecycle.and_then(|lifecycle| lifecycle.stop_signal.as_deref());
        name.and_then(|name| Signal::from_str(name).ok()).unwrap_or(Signal::SIGTERM) as i32
    }

    async fn pre_stop(
        context: &Context,
        pod: &PodRef,
        container: Option<&Container>,
        address: Option<IpAddr>,
        id: &str,
    ) {
        let Some(container) = container else { return };
        let Some(hook) = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref()) else { return };
        if let Err(error) = hooks::run(context, id, container, address, hook).await {
            tracing::debug!(error, %pod, "preStop hook");
            context.warn(pod, Some(&container.name), "FailedPreStopHook", "PreStopHook failed");
        }
    }

    /// Waits until there is no more patience.
    async fn patience(context: &Context, limit: Timestamp, deadline: &mut watch::Receiver<Option<Timestamp>>) {
        loop {
            let pod = *deadline.borrow_and_update();
            let until = pod.map_or(limit, |pod| pod.min(limit));
            tokio::select! {
                () = context.clock.sleep_until(until) => return,
                changed = deadline.changed() => if changed.is_err() {
                    context.clock.sleep_until(until).await;
                    return;
                },
            }
        }
    }
}
