//! What a pod's containers use, for whom the pod asks.

use gantry_model::caller::{ContainerUsage, Usage};

use super::context::Context;
use crate::cluster::PodRef;
use crate::runtime;

/// Containers whose usage is looked up, at most.
const MOST: usize = 64;

/// Of those that run now; `None` if none does, or the runtime does not say.
pub async fn of(context: &Context, pod: &PodRef) -> Option<Usage> {
    let mut containers = Vec::new();
    for (name, id, memory_limit_bytes) in context.registry.running_of(pod).into_iter().take(MOST) {
        // One that has just ended uses nothing.
        let Ok(runtime::Usage { cpu_nanos, memory }) = context.runtime.usage(&id).await else { continue };
        let (cpu_nanoseconds, memory_bytes) = (cpu_nanos, memory);
        containers.push(ContainerUsage { name, id, cpu_nanoseconds, memory_bytes, memory_limit_bytes });
    }
    (!containers.is_empty()).then(|| Usage { at: context.clock.now().to_string(), containers })
}
