//! wasmtime's settings.

use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::EngineOptions;
use crate::bundle::MOST_MEMORY;

/// Core instances of one component: its module and the shims around it.
const CORE_INSTANCES: u32 = 16;

pub(super) fn config(options: &EngineOptions) -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    // No contract uses component-model async, and each call costs half without it.
    config.concurrency_support(false);
    config.epoch_interruption(true);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(options.max_instances)));
    config
}

/// The pool reserves addresses, not memory: a page counts only once a guest touched it, and nothing is kept resident
/// when an instance goes.
fn pool(instances: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances);
    pool.total_core_instances(instances.saturating_mul(CORE_INSTANCES));
    pool.total_memories(instances.saturating_mul(2));
    pool.total_tables(instances.saturating_mul(4));
    pool.total_stacks(instances.saturating_mul(2));
    pool.max_core_instances_per_component(CORE_INSTANCES);
    pool.max_memories_per_component(2);
    pool.max_tables_per_component(4);
    pool.max_memory_size(usize::try_from(MOST_MEMORY).unwrap_or(usize::MAX));
    pool.max_unused_warm_slots(instances);
    pool
}
