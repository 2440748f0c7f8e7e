//! `gantry bundle pin`: writes the digests of the files that are there into a bundle's text, which otherwise stays as
//! its author wrote it.

use std::path::{Path, PathBuf};

use super::{Bundle, Error, FileError, digest, find};

/// Why a bundle can't be pinned.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// The bundle itself.
    #[error(transparent)]
    Bundle(#[from] Error),
    /// A plugin's file.
    #[error("plugin {plugin}: {cause}")]
    File {
        /// Which.
        plugin: String,
        /// Why.
        cause: FileError,
    },
    /// The text is laid out in a way that can't be edited line by line.
    #[error("plugin {0}: can't find where its digest belongs; write its [[plugin]] with one key a line")]
    Layout(String),
}

impl Bundle {
    /// The text with every plugin's digest set to that of its file.
    pub fn pin(text: &str, file: &Path, folders: &[PathBuf]) -> Result<String, PinError> {
        let bundle = Self::parse(text, file)?;
        let mut digests = Vec::new();
        for entry in &bundle.plugins {
            let wrap = |cause| PinError::File { plugin: entry.name.clone(), cause };
            let path = find(entry, folders).map_err(wrap)?;
            let bytes = std::fs::read(&path).map_err(|e| wrap(FileError::Read(e)))?;
            digests.push(digest(&bytes));
        }
        let pinned = edit(text, &digests);
        // The edit works on lines and knows little of TOML: read the result and see that it says what was meant.
        let check = Self::parse(&pinned, file)?;
        let mut plugins = bundle.plugins.iter().zip(&check.plugins).zip(&digests);
        match plugins.find(|((old, new), digest)| old.name != new.name || new.digest.as_ref() != Some(*digest)) {
            Some(((old, _), _)) => Err(PinError::Layout(old.name.clone())),
            None => Ok(pinned),
        }
    }
}

/// Sets the digest in each `[[plugin]]` in turn: in place where there is one, else below `source` or `name`.
fn edit(text: &str, digests: &[String]) -> String {
    let mut out = String::with_capacity(text.len() + 100);
    let mut digests = digests.iter();
    let mut lines = text.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        out.push_str(line);
        if line.trim_end().trim_start() != "[[plugin]]" {
            continue;
        }
        let mut table = Vec::new();
        while let Some(next) = lines.next_if(|next| !next.trim_start().starts_with('[')) {
            table.push(next.to_owned());
        }
        if let Some(digest) = digests.next() {
            set(&mut table, digest);
        }
        out.extend(table);
    }
    out
}

fn set(table: &mut Vec<String>, digest: &str) {
    if let Some(line) = table.iter_mut().find(|line| key(line) == "digest") {
        let comment = line.split_once('#').map_or(String::new(), |(_, rest)| format!(" # {}", rest.trim()));
        *line = format!("digest = \"{digest}\"{comment}\n");
        return;
    }
    let after = table.iter().rposition(|line| matches!(key(line), "source" | "name")).map_or(0, |at| at + 1);
    if let Some(line) = after.checked_sub(1).and_then(|at| table.get_mut(at))
        && !line.ends_with('\n')
    {
        line.push('\n');
    }
    table.insert(after, format!("digest = \"{digest}\"\n"));
}

fn key(line: &str) -> &str {
    line.split_once('=').map_or("", |(key, _)| key.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_digests_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("one.wasm"), b"1").unwrap();
        std::fs::write(dir.path().join("2.wasm"), b"2").unwrap();
        let text = "# head\nname = \"b\"\n\n[[plugin]] \nname = \"one\" # the first\n[plugin.config]\ndigest = \"mine\"\n\n[[plugin]]\nname = \"two\"\nsource = \"2.wasm\"\ndigest = \"sha256:0000000000000000000000000000000000000000000000000000000000000000\" # old\nrequired = false";
        let (one, two) = (digest(b"1"), digest(b"2"));
        let want = format!(
            "# head\nname = \"b\"\n\n[[plugin]] \nname = \"one\" # the first\ndigest = \"{one}\"\n[plugin.config]\ndigest = \"mine\"\n\n[[plugin]]\nname = \"two\"\nsource = \"2.wasm\"\ndigest = \"{two}\" # old\nrequired = false"
        );
        let folders = [dir.path().to_owned()];
        let pinned = Bundle::pin(text, Path::new("b.toml"), &folders).unwrap();
        assert_eq!(pinned, want);
        assert_eq!(Bundle::pin(&pinned, Path::new("b.toml"), &folders).unwrap(), want, "twice is once");
    }

    #[test]
    fn says_when_it_can_not() {
        let dir = tempfile::tempdir().unwrap();
        let folders = [dir.path().to_owned()];
        let pin = |text: &str| Bundle::pin(text, Path::new("b.toml"), &folders).unwrap_err().to_string();
        assert!(pin("name = \"b\"\n[[plugin]]\nname = \"one\"\n").contains("plugin one: one.wasm is in none of"));
        std::fs::write(dir.path().join("one.wasm"), b"1").unwrap();
        assert!(pin("name = \"b\"\nplugin = [{ name = \"one\" }]\n").contains("plugin one: can't find where"));
    }
}
