//! The kinds that the host itself declares, and the definitions that any kind's schema may refer to.

mod gantry;
mod http;
mod list;

use std::io::Read;
use std::sync::LazyLock;

use crate::kind::{Kind, Kinds};

/// `name<tab>json<newline>`, compressed; made by the build script.
const DEFINITIONS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/definitions.z"));

/// One inflated text for the whole process: sets of kinds share it.
static TEXT: LazyLock<String> = LazyLock::new(|| {
    let mut text = String::new();
    // The bytes are our own build's; if they can't be read, nothing is defined and every test says so.
    let _ = flate2::read::ZlibDecoder::new(DEFINITIONS).read_to_string(&mut text);
    text
});

/// Declares the core kinds and the definitions that schemas may refer to by name.
pub fn register(kinds: &Kinds) {
    kinds.define_text(TEXT.lines().filter_map(|line| line.split_once('\t')));
    kinds.define(gantry::definitions());
    for kind in list::all() {
        kinds.insert(kind);
    }
    await_plugins(kinds);
}

/// Declares the kinds that clients count on, in the name of the plugins that are expected to declare them, where nobody
/// has. To be called again when a plugin's kinds were forgotten.
pub fn await_plugins(kinds: &Kinds) {
    for kind in list::awaited() {
        if kinds.by_kind(&kind.group, &kind.kind).is_none() {
            kinds.insert(kind);
        }
    }
}

/// Whether a kind only stands in for the one that a plugin is expected to declare: any plugin may take its place.
pub fn is_awaited(kind: &Kind) -> bool {
    list::awaited().any(|awaited| awaited == *kind)
}

#[cfg(test)]
mod tests;
