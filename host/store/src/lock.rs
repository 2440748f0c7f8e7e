//! Locks on data directories.

use std::fs::{File, TryLockError};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a killed process may take to go: the kernel drops its locks only once its memory and files are gone.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);

/// Takes the lock of a file for this process, or says within two seconds that another one has it. Blocks its thread.
///
/// # Errors
/// [`TryLockError::WouldBlock`] if another process has it, [`TryLockError::Error`] if it can't be locked at all.
pub fn lock(file: &File) -> Result<(), TryLockError> {
    let given_up = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < given_up => sleep(PAUSE),
            taken => return taken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_goes_is_waited_for_and_who_stays_is_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (first, second) = (file.reopen().unwrap(), file.reopen().unwrap());
        lock(&first).unwrap();
        assert!(matches!(lock(&second), Err(TryLockError::WouldBlock)));
        let going = std::thread::spawn(move || {
            sleep(PAUSE * 5);
            drop(first);
        });
        lock(&second).unwrap();
        going.join().unwrap();
    }
}
