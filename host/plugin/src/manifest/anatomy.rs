//! What can be seen of a component without compiling it.

use wasmparser::{Encoding, Parser, Payload};

use super::Error;

/// The custom section that holds the manifest's text.
pub const SECTION: &str = "gantry:manifest";

/// Names that a component imports and exports, and its manifest.
#[derive(Clone, Debug, Default)]
pub struct Anatomy {
    /// `wasi:io/streams@0.2.6`
    pub imports: Vec<String>,
    /// `gantry:plugin/controller@0.1.0`
    pub exports: Vec<String>,
    /// The text of the manifest.
    pub manifest: Option<String>,
}

impl Anatomy {
    /// Reads a component. The manifest usually lies in the core module inside (the linker of a Rust toolchain puts it
    /// there), but may as well be a section of the component itself, which then counts.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let mut anatomy = Self::default();
        let mut inner = Vec::new();
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(broken)? {
                Payload::Version { encoding, .. } => {
                    if depth == 0 && encoding != Encoding::Component {
                        return Err(Error::NotAComponent("it is a core module".to_owned()));
                    }
                    depth += 1;
                }
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::CustomSection(section) if section.name() == SECTION => {
                    let text = String::from_utf8(section.data().to_vec())
                        .map_err(|_| Error::Invalid("is not UTF-8".to_owned()))?;
                    if depth == 1 { anatomy.manifest = Some(text) } else { inner.push(text) }
                }
                Payload::ComponentImportSection(section) if depth == 1 => {
                    for import in section {
                        anatomy.imports.push(import.map_err(broken)?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 1 => {
                    for export in section {
                        anatomy.exports.push(export.map_err(broken)?.name.name.to_owned());
                    }
                }
                _ => {}
            }
        }
        if anatomy.manifest.is_none() {
            inner.dedup();
            if inner.len() > 1 {
                return Err(Error::Invalid("there are several of them".to_owned()));
            }
            anatomy.manifest = inner.pop();
        }
        Ok(anatomy)
    }
}

fn broken(error: wasmparser::BinaryReaderError) -> Error {
    Error::NotAComponent(error.to_string().replace('\n', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Magic, version 0xd, layer 1: an empty component.
    const EMPTY: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];

    #[test]
    fn finds_a_manifest_at_the_top() {
        let mut bytes = EMPTY.to_vec();
        let payload = [&[u8::try_from(SECTION.len()).unwrap()], SECTION.as_bytes(), b"name = 1"].concat();
        bytes.extend([0, u8::try_from(payload.len()).unwrap()]);
        bytes.extend(payload);
        assert_eq!(Anatomy::read(&bytes).unwrap().manifest.as_deref(), Some("name = 1"));
        assert_eq!(Anatomy::read(&EMPTY).unwrap().manifest, None);
    }

    #[test]
    fn refuses_what_is_no_component() {
        let core = [0, b'a', b's', b'm', 1, 0, 0, 0];
        for bytes in [&core[..], b"hello world", &EMPTY[..5], b""] {
            assert!(matches!(Anatomy::read(bytes), Err(Error::NotAComponent(_))), "{bytes:?}");
        }
    }
}
