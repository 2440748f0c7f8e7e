//! Who a container runs as: names resolved by the image's own `/etc/passwd` and `/etc/group`.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use containerd_client::types::Mount;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::runtime::Security;

/// An image may hold anything: no more than this is read of a file.
const LARGEST: u64 = 1024 * 1024;

/// The users and groups of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    users: Vec<(String, u32, u32)>,
    groups: Vec<(String, u32, Vec<String>)>,
}

/// A resolved user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
}

impl Accounts {
    /// Lines that do not parse are left out.
    pub fn parse(passwd: &str, group: &str) -> Self {
        let users = passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let (name, uid, gid) = (fields.next()?, fields.nth(1)?, fields.next()?);
            Some((name.to_owned(), uid.parse().ok()?, gid.parse().ok()?))
        });
        let groups = group.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let (name, gid, members) = (fields.next()?, fields.nth(1)?, fields.next().unwrap_or_default());
            let members = members.split(',').map(str::trim).filter(|m| !m.is_empty()).map(str::to_owned).collect();
            Some((name.to_owned(), gid.parse().ok()?, members))
        });
        Self { users: users.collect(), groups: groups.collect() }
    }

    /// Reads them from a root filesystem, mounted under `dir` for a moment; blocking.
    pub fn read(mounts: &[Mount], dir: &Path) -> io::Result<Self> {
        let [root] = mounts else {
            return Err(io::Error::other(format!("a snapshot of {} mounts can't be read", mounts.len())));
        };
        fs::create_dir_all(dir)?;
        let result = read_mounted(root, dir);
        unmount(dir)?;
        result
    }

    /// Kubernetes' rules: the Pod's numbers before the image's names.
    pub fn resolve(&self, image_user: &str, security: &Security) -> Result<User, String> {
        let (user, group) = image_user.split_once(':').unwrap_or((image_user, ""));
        if security.run_as_non_root {
            check_non_root(user, security)?;
        }
        let (uid, name, primary) = match security.run_as_user {
            Some(uid) => self.by_id(id(uid)?),
            None if user.is_empty() => self.by_id(0),
            None => match user.parse() {
                Ok(uid) => self.by_id(uid),
                Err(_) => self.by_name(user)?,
            },
        };
        let gid = match security.run_as_group {
            Some(gid) => id(gid)?,
            None if security.run_as_user.is_none() && !group.is_empty() => self.group(group)?,
            None => primary,
        };
        let mut groups = vec![gid];
        let member = |(_, gid, members): &(String, u32, Vec<String>)| members.contains(&name).then_some(*gid);
        groups.extend(self.groups.iter().filter_map(member).filter(|_| !name.is_empty()));
        for gid in &security.supplemental_groups {
            groups.push(id(*gid)?);
        }
        let mut seen = std::collections::HashSet::new();
        groups.retain(|gid| seen.insert(*gid));
        Ok(User { uid, gid, groups })
    }

    fn by_id(&self, uid: u32) -> (u32, String, u32) {
        let found = self.users.iter().find(|(_, id, _)| *id == uid);
        found.map_or((uid, String::new(), 0), |(name, _, gid)| (uid, name.clone(), *gid))
    }

    fn by_name(&self, name: &str) -> Result<(u32, String, u32), String> {
        let found = self.users.iter().find(|(n, _, _)| n == name);
        let (name, uid, gid) =
            found.ok_or_else(|| format!("unable to find user {name}: no matching entries in passwd file"))?;
        Ok((*uid, name.clone(), *gid))
    }

    fn group(&self, group: &str) -> Result<u32, String> {
        if let Ok(gid) = group.parse() {
            return Ok(gid);
        }
        let found = self.groups.iter().find(|(name, _, _)| name == group);
        found
            .map(|(_, gid, _)| *gid)
            .ok_or_else(|| format!("unable to find group {group}: no matching entries in group file"))
    }
}

fn id(number: i64) -> Result<u32, String> {
    u32::try_from(number).map_err(|_| format!("{number} is no user or group id"))
}

/// In the words of the kubelet, which people look for.
fn check_non_root(user: &str, security: &Security) -> Result<(), String> {
    match (security.run_as_user, user.parse::<u32>()) {
        (Some(0), _) => Err("container's runAsUser breaks non-root policy".to_owned()),
        (Some(_), _) => Ok(()),
        (None, Ok(0)) => Err("container has runAsNonRoot and image will run as root".to_owned()),
        (None, Ok(_)) => Ok(()),
        (None, Err(_)) if user.is_empty() => Err("container has runAsNonRoot and image will run as root".to_owned()),
        (None, Err(_)) => Err(format!(
            "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root"
        )),
    }
}

/// Undoes what `read` has made.
pub fn unmount(dir: &Path) -> io::Result<()> {
    // Nothing must be mounted when the folder is removed.
    match umount2(&dir.join("root"), MntFlags::MNT_DETACH) {
        Ok(()) | Err(nix::Error::EINVAL | nix::Error::ENOENT) => fs::remove_dir_all(dir),
        Err(error) => Err(error.into()),
    }
}

fn read_mounted(root: &Mount, dir: &Path) -> io::Result<Accounts> {
    let target = dir.join("root");
    fs::create_dir_all(&target)?;
    let root_dir = match root.r#type.as_str() {
        "overlay" => {
            mount_lower(root, dir, &target)?;
            target.as_path()
        }
        "bind" => Path::new(&root.source),
        other => return Err(io::Error::other(format!("can't read a snapshot of type {other}"))),
    };
    let root_dir = File::open(root_dir)?;
    let passwd = read_inside(&root_dir, "etc/passwd")?;
    let group = read_inside(&root_dir, "etc/group")?;
    Ok(Accounts::parse(&passwd, &group))
}

/// Mounts an overlay's layers read-only. Short links stand for them, since the options of a mount must fit a page.
fn mount_lower(root: &Mount, dir: &Path, target: &Path) -> io::Result<()> {
    let lower = root.options.iter().find_map(|o| o.strip_prefix("lowerdir=")).unwrap_or_default();
    let mut layers = Vec::new();
    for (n, layer) in lower.split(':').filter(|l| !l.is_empty()).enumerate() {
        let link = dir.join(n.to_string());
        std::os::unix::fs::symlink(layer, &link)?;
        layers.push(link.display().to_string());
    }
    if let [only] = layers.as_slice() {
        let flags = MsFlags::MS_BIND;
        return Ok(mount(Some(only.as_str()), target, None::<&str>, flags, None::<&str>)?);
    }
    let options = format!("lowerdir={}", layers.join(":"));
    Ok(mount(Some("overlay"), target, Some("overlay"), MsFlags::MS_RDONLY, Some(options.as_str()))?)
}

/// Reads a file below a folder, whose links can't lead out of it. Empty if there is none.
fn read_inside(root: &File, path: &str) -> io::Result<String> {
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let file: OwnedFd = match openat2(root, path, how) {
        Ok(file) => file,
        Err(nix::Error::ENOENT | nix::Error::ENOTDIR | nix::Error::ELOOP) => return Ok(String::new()),
        Err(error) => return Err(error.into()),
    };
    let file = File::from(file);
    if !file.metadata()?.is_file() {
        return Ok(String::new());
    }
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nrubbish\nweb:x:1000:1001:web:/:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nadm:x:4:web,root\nweb:x:1001:\n";

    #[test]
    fn users_are_resolved_by_the_image() {
        let accounts = Accounts::parse(PASSWD, GROUP);
        let none = Security::default();
        let as_user = |user, group| Security { run_as_user: user, run_as_group: group, ..Security::default() };
        let more = Security { supplemental_groups: vec![7, 4, 7], ..Security::default() };
        for (image, security, uid, gid, groups) in [
            ("", &none, 0, 0, vec![0, 4]),
            ("web", &none, 1000, 1001, vec![1001, 4]),
            ("web:adm", &none, 1000, 4, vec![4]),
            ("1000:5", &none, 1000, 5, vec![5, 4]),
            ("42", &none, 42, 0, vec![0]),
            ("web", &as_user(Some(42), None), 42, 0, vec![0]),
            ("web:adm", &as_user(Some(1000), None), 1000, 1001, vec![1001, 4]),
            ("web", &as_user(None, Some(9)), 1000, 9, vec![9, 4]),
            ("", &more, 0, 0, vec![0, 4, 7]),
        ] {
            let got = accounts.resolve(image, security).unwrap();
            assert_eq!(got, User { uid, gid, groups }, "{image} {security:?}");
        }
        assert!(accounts.resolve("nobody", &none).unwrap_err().contains("unable to find user nobody"));
        assert!(accounts.resolve("web:none", &none).unwrap_err().contains("unable to find group none"));
        assert!(accounts.resolve("", &as_user(Some(-1), None)).is_err());
    }

    #[test]
    fn root_is_refused_where_the_pod_says_so() {
        let accounts = Accounts::parse(PASSWD, GROUP);
        let security = |user| Security { run_as_non_root: true, run_as_user: user, ..Security::default() };
        for (image, user, want) in [
            ("", None, Some("image will run as root")),
            ("0", None, Some("image will run as root")),
            ("web", None, Some("image has non-numeric user (web)")),
            ("1000", None, None),
            ("", Some(1), None),
            ("1000", Some(0), Some("runAsUser breaks non-root policy")),
        ] {
            let got = accounts.resolve(image, &security(user)).err();
            assert_eq!(got.is_some(), want.is_some(), "{image} {user:?}");
            assert!(got.unwrap_or_default().contains(want.unwrap_or_default()));
        }
    }

    #[test]
    fn links_stay_inside_the_image() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        std::os::unix::fs::symlink("/etc/hostname-of-the-image", dir.path().join("etc/passwd")).unwrap();
        fs::write(dir.path().join("etc/hostname-of-the-image"), "inside").unwrap();
        std::os::unix::fs::symlink("../../../../etc/passwd", dir.path().join("etc/group")).unwrap();
        let root = File::open(dir.path()).unwrap();
        assert_eq!(read_inside(&root, "etc/passwd").unwrap(), "inside");
        assert_eq!(read_inside(&root, "etc/group").unwrap(), "inside");
        assert_eq!(read_inside(&root, "etc/none").unwrap(), "");
    }
}
