//! The memory limit of one instance.

use wasmtime::ResourceLimiter;

/// Elements of all tables together: functions that can be called through a pointer.
const TABLE_ELEMENTS: usize = 20_000;

/// Counts the linear memory of an instance and refuses what goes past its limit. The guest sees a failed allocation and
/// usually traps without saying why, so the refusal is remembered.
pub(crate) struct Limits {
    max: u64,
    used: u64,
    refused: bool,
}

impl Limits {
    pub(crate) fn new(max: u64) -> Self {
        Self { max, used: 0, refused: false }
    }

    /// Bytes of linear memory now.
    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    /// The limit.
    pub(crate) fn max(&self) -> u64 {
        self.max
    }

    /// Whether memory was refused since the last call of this.
    pub(crate) fn take_refused(&mut self) -> bool {
        std::mem::take(&mut self.refused)
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let grown = self.used.saturating_add(desired.saturating_sub(current) as u64);
        if grown > self.max {
            self.refused = true;
            return Ok(false);
        }
        self.used = grown;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.refused = true;
        Ok(())
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_a_refusal_once() {
        let mut limits = Limits::new(100);
        assert!(limits.memory_growing(0, 60, None).unwrap());
        assert!(limits.memory_growing(0, 40, None).unwrap(), "a second memory counts too");
        assert!(!limits.take_refused());
        assert!(!limits.memory_growing(60, 61, None).unwrap());
        assert_eq!((limits.used(), limits.take_refused(), limits.take_refused()), (100, true, false));
    }
}
