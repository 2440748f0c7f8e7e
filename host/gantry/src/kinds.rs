//! The kinds that plugins declare. A kind outlives its plugin: its objects stay readable when the plugin is taken out
//! of the bundle, and only nobody acts on them.

use anyhow::{Result, bail};
use gantry_model::kind::Origin;
use gantry_model::{Kinds, core};
use gantry_plugin::Loaded;

/// Declares a plugin's kinds. Two plugins can't declare the same kind.
pub fn declare(kinds: &Kinds, plugin: &Loaded) -> Result<()> {
    for kind in &plugin.manifest().kinds {
        if let Some(other) = kinds.by_kind(&kind.group, &kind.kind)
            && other.origin != kind.origin
            && !core::is_awaited(&other)
        {
            let (name, group) = (&kind.kind, &kind.group);
            bail!(
                "plugin {} declares {name} of group {group:?}, which {} has declared",
                plugin.name(),
                said(&other.origin)
            );
        }
    }
    plugin.manifest().kinds.iter().cloned().for_each(|kind| kinds.insert(kind));
    Ok(())
}

fn said(origin: &Origin) -> String {
    match origin {
        Origin::Core => "the host".to_owned(),
        Origin::Plugin(name) => format!("plugin {name}"),
        Origin::Definition(name) => format!("the CustomResourceDefinition {name}"),
    }
}
