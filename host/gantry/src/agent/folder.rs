//! The data directory of an agent: for one process at a time, and for one control plane as long as it lasts.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::files::write_private;

/// A claimed data directory. Dropping it lets another process in.
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Two agents on one folder would read the same output and write the same positions and leases.
    pub fn claim(path: &Path) -> Result<Self> {
        let failed = || format!("can't lock {}", path.display());
        let file = path.join("lock");
        let lock = File::options().create(true).truncate(false).write(true).open(file).with_context(failed)?;
        match gantry_store::lock(&lock) {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                bail!("another agent uses {}: stop that one, or choose another folder with --data-dir", path.display())
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(failed),
        }
    }

    /// Refuses a control plane that is not the one of before: it knows none of the pods that run here, so they would be
    /// removed as what is left of pods that are gone.
    pub fn belongs_to(&self, authority: &str) -> Result<()> {
        let file = self.path.join("authority");
        match fs::read_to_string(&file) {
            Ok(known) if known == authority => Ok(()),
            Ok(_) => bail!(
                "{} belongs to another control plane (its authority is another): give the kubeconfig of that one, or \
                 `gantry clean --data-dir {0}`, delete the folder and join anew",
                self.path.display()
            ),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => write_private(&file, authority),
            Err(error) => Err(error).with_context(|| format!("can't read {}", file.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_agent_and_one_control_plane() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::claim(dir.path()).unwrap();
        assert!(Folder::claim(dir.path()).err().unwrap().to_string().contains("another agent uses"));
        folder.belongs_to("sha256:a").unwrap();
        folder.belongs_to("sha256:a").unwrap();
        drop(folder);
        let folder = Folder::claim(dir.path()).unwrap();
        let refused = folder.belongs_to("sha256:b").unwrap_err().to_string();
        assert!(refused.contains("another control plane") && refused.contains("gantry clean"), "{refused}");
        folder.belongs_to("sha256:a").unwrap();
    }
}
