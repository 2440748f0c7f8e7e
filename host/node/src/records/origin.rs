//! What a log is of, which its path says: `NAMESPACE_POD_UID/CONTAINER/ATTEMPT.log` below the folder of all logs, or the
//! access log of the node's proxy.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gantry_plugin::family::Label;

use crate::agent::container_id;
use crate::logs::ACCESS;

/// OpenTelemetry's attributes of what is behind a log; `None` for a path that is not of a log.
pub fn of(root: &Path, log: &Path, node: &str) -> Option<Vec<Label>> {
    let below = log.strip_prefix(root).ok()?;
    let label = |key: &str, value: &str| Label { key: key.to_owned(), value: value.to_owned() };
    if below == Path::new(ACCESS) {
        return Some(vec![label("service.name", "gantry-proxy"), label("k8s.node.name", node)]);
    }
    let mut parts = below.iter().map(|part| part.to_str());
    let (pod, container, file) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() {
        return None;
    }
    let mut pod = pod.splitn(3, '_');
    let (namespace, name, uid) = (pod.next()?, pod.next()?, pod.next()?);
    let attempt: u32 = file.strip_suffix(".log")?.parse().ok()?;
    Some(vec![
        label("k8s.namespace.name", namespace),
        label("k8s.pod.name", name),
        label("k8s.pod.uid", uid),
        label("k8s.container.name", container),
        label("k8s.container.restart_count", &attempt.to_string()),
        label("container.id", &container_id(uid, container, attempt)),
        label("k8s.node.name", node),
    ])
}

/// Every log at or below a path, by the name of the file being written, whether that is there or only cut ones are.
pub fn logs(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    collect(path, &mut found)?;
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => collect(&entry.path(), found)?,
            false => found.extend(whole(&entry.path())),
        }
    }
    Ok(())
}

/// `0.log` of `0.log` and of `0.log.3`.
fn whole(file: &Path) -> Option<PathBuf> {
    let name = file.file_name()?.to_str()?;
    let at = name.find(".log")? + ".log".len();
    let (log, age) = name.split_at(at);
    let aged = age.is_empty() || age.strip_prefix('.').is_some_and(|age| age.parse::<u32>().is_ok());
    aged.then(|| file.with_file_name(log))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_what_its_log_is_of() {
        let root = Path::new("/logs");
        let labels = of(root, Path::new("/logs/shop_web-1_u-1/app/3.log"), "n1").unwrap();
        let pairs: Vec<_> = labels.iter().map(|l| (l.key.as_str(), l.value.as_str())).collect();
        let want = [
            ("k8s.namespace.name", "shop"),
            ("k8s.pod.name", "web-1"),
            ("k8s.pod.uid", "u-1"),
            ("k8s.container.name", "app"),
            ("k8s.container.restart_count", "3"),
            ("container.id", "u-1-app-3"),
            ("k8s.node.name", "n1"),
        ];
        assert_eq!(pairs, want);
        let of_proxy = of(root, Path::new("/logs/proxy/access.log"), "n1").unwrap();
        let pairs: Vec<_> = of_proxy.iter().map(|l| (l.key.as_str(), l.value.as_str())).collect();
        assert_eq!(pairs, [("service.name", "gantry-proxy"), ("k8s.node.name", "n1")]);
        for path in ["/logs/a_b/app/0.log", "/logs/a_b_c/0.log", "/logs/a_b_c/app/x.log", "/else/a_b_c/app/0.log"] {
            assert_eq!(of(root, Path::new(path), "n1").map(|l| l.len()), None, "{path}");
        }
    }

    #[test]
    fn logs_are_found_by_any_of_their_files() {
        let dir = tempfile::tempdir().unwrap();
        let app = dir.path().join("a_b_c/app");
        fs::create_dir_all(&app).unwrap();
        for file in ["0.log.1", "0.log.2", "1.log", "notes.txt", "2.log.tmp"] {
            fs::write(app.join(file), "").unwrap();
        }
        assert_eq!(logs(dir.path()).unwrap(), [app.join("0.log"), app.join("1.log")]);
        assert!(logs(&dir.path().join("none")).unwrap().is_empty());
    }
}
