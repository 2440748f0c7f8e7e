//! hostPath volumes: what must be there, and what is made if it is not.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::ownership::set_mode;

/// Checks the type that the spec names.
pub fn check(path: &Path, type_: &str) -> Result<(), String> {
    let found = fs::metadata(path);
    let failed = |what: &str| Err(format!("hostPath type check failed: {} is not {what}", path.display()));
    let is = |want: fn(&fs::FileType) -> bool, what: &str| match &found {
        Ok(meta) if want(&meta.file_type()) => Ok(()),
        _ => failed(what),
    };
    match type_ {
        "" => create_if_absent(path, found.is_ok()),
        "DirectoryOrCreate" if found.is_err() => make_directory(path),
        "DirectoryOrCreate" | "Directory" => is(fs::FileType::is_dir, "a directory"),
        "FileOrCreate" if found.is_err() => make_file(path),
        "FileOrCreate" | "File" => is(fs::FileType::is_file, "a file"),
        "Socket" => is(FileTypeExt::is_socket, "a socket file"),
        "CharDevice" => is(FileTypeExt::is_char_device, "a character device"),
        "BlockDevice" => is(FileTypeExt::is_block_device, "a block device"),
        other => Err(format!("unknown hostPath type {other}")),
    }
}

/// Without a type nothing is checked, and container runtimes make an absent directory.
fn create_if_absent(path: &Path, there: bool) -> Result<(), String> {
    if there { Ok(()) } else { make_directory(path) }
}

fn make_directory(path: &Path) -> Result<(), String> {
    let made = fs::create_dir_all(path).and_then(|()| set_mode(path, 0o755));
    made.map_err(|error| format!("can't make the directory {}: {error}", path.display()))
}

/// The parent must be there.
fn make_file(path: &Path) -> Result<(), String> {
    let made = fs::OpenOptions::new().append(true).create(true).open(path).and_then(|_| set_mode(path, 0o644));
    made.map_err(|error| format!("can't make the file {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_checked() {
        let temp = tempfile::tempdir().unwrap();
        let (dir, file) = (temp.path().join("dir"), temp.path().join("file"));
        fs::create_dir(&dir).unwrap();
        fs::write(&file, "").unwrap();
        let absent = temp.path().join("no");
        for (path, type_, ok) in [
            (&dir, "Directory", true),
            (&file, "Directory", false),
            (&dir, "File", false),
            (&file, "File", true),
            (&absent, "Directory", false),
            (&absent, "File", false),
            (&dir, "Socket", false),
            (&file, "BlockDevice", false),
            (&dir, "Nonsense", false),
            (&temp.path().join("a/b"), "DirectoryOrCreate", true),
            (&temp.path().join("c"), "FileOrCreate", true),
            (&temp.path().join("x/y"), "FileOrCreate", false),
        ] {
            assert_eq!(check(path, type_).is_ok(), ok, "{} {type_}", path.display());
        }
        assert!(check(Path::new("/dev/null"), "CharDevice").is_ok());
        assert!(temp.path().join("a/b").is_dir() && temp.path().join("c").is_file());
    }
}
