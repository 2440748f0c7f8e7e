//! From the static functions that a component exports to one object of the author's type.

use std::cell::RefCell;

use crate::{Config, Error, Result, logging};

/// Holds the instance's one plugin object. `plugin!` implements it; a component has one thread and is never entered
/// again while it runs, so a `RefCell` in a thread-local is all it takes.
pub trait Holder: 'static {
    /// The author's type.
    type Plugin: Default + 'static;

    /// Gives the slot, empty until the first call.
    fn slot<R>(f: impl FnOnce(&RefCell<Option<Self::Plugin>>) -> R) -> R;
}

/// Makes a new object, configures it and, if that went well, keeps it.
pub(crate) fn start<H: Holder, R>(configure: impl FnOnce(&mut H::Plugin) -> Result<R>) -> Result<R> {
    logging_on();
    let mut plugin = H::Plugin::default();
    let answer = configure(&mut plugin)?;
    H::slot(|slot| *slot.borrow_mut() = Some(plugin));
    Ok(answer)
}

/// Calls the configured object.
pub(crate) fn enter<H: Holder, R>(call: impl FnOnce(&mut H::Plugin) -> R) -> Result<R> {
    H::slot(|slot| match slot.borrow_mut().as_mut() {
        Some(plugin) => Ok(call(plugin)),
        None => Err(Error::internal("called before `configure`")),
    })
}

/// Calls the object, made and configured first if need be: for families without a call for it.
pub(crate) fn enter_configured<H: Holder, R>(
    configure: impl FnOnce(&mut H::Plugin, Config) -> Result<()>,
    call: impl FnOnce(&mut H::Plugin) -> R,
) -> Result<R> {
    if H::slot(|slot| slot.borrow().is_none()) {
        start::<H, ()>(|plugin| configure(plugin, Config::get()))?;
    }
    enter::<H, R>(call)
}

fn logging_on() {
    #[cfg(target_arch = "wasm32")]
    logging::install_panic_hook();
    // Natively the test harness has its own hook.
    #[cfg(not(target_arch = "wasm32"))]
    let _ = logging::install_panic_hook;
}

/// Makes the crate a plugin: embeds the manifest (a path from the crate's root), and exports one type per family.
///
/// ```ignore
/// gantry_sdk::plugin!(manifest: "manifest.toml", scheduler: MyPolicy);
/// ```
#[macro_export]
macro_rules! plugin {
    (manifest: $path:literal, $($family:ident: $plugin:ty),+ $(,)?) => {
        /// The plugin's manifest, as embedded.
        pub const MANIFEST: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $path));

        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code)]
        const _: () = {
            #[used]
            #[unsafe(link_section = "gantry:manifest")]
            static SECTION: [u8; MANIFEST.len()] = *include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $path));
        };

        $($crate::export_family!($family, $plugin);)+
    };
}

/// Part of `plugin!`.
#[doc(hidden)]
#[macro_export]
macro_rules! export_family {
    ($family:ident, $plugin:ty) => {
        #[allow(unsafe_code)]
        const _: () = {
            /// Stands for the plugin in the exported functions.
            #[allow(dead_code)]
            struct Exported;

            ::std::thread_local! {
                static SLOT: ::std::cell::RefCell<Option<$plugin>> = const { ::std::cell::RefCell::new(None) };
            }

            impl $crate::Holder for Exported {
                type Plugin = $plugin;

                fn slot<R>(f: impl FnOnce(&::std::cell::RefCell<Option<$plugin>>) -> R) -> R {
                    SLOT.with(f)
                }
            }

            #[cfg(target_arch = "wasm32")]
    $crate::contract::$family::export!(Exported with_types_in $crate::contract::$family);
        };
    };
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contract::scheduler::exports::gantry::plugin::scheduler::Guest;
    use crate::scheduler::{Delta, Question, Scheduler, Verdict};

    /// Scores every node with its own number.
    #[derive(Default)]
    struct Numbers;

    impl Scheduler for Numbers {
        fn sync(&mut self, deltas: Vec<Delta>) -> Result<()> {
            if deltas.is_empty() { Ok(()) } else { Err(Error::invalid("no deltas, please")) }
        }

        fn evaluate(&mut self, _class: u32, nodes: &[u32]) -> Result<Vec<Verdict>> {
            Ok(nodes.iter().map(|node| Verdict::Score(*node)).collect())
        }
    }

    struct Exported;

    thread_local! {
        static SLOT: RefCell<Option<Numbers>> = const { RefCell::new(None) };
    }

    impl Holder for Exported {
        type Plugin = Numbers;

        fn slot<R>(f: impl FnOnce(&RefCell<Option<Numbers>>) -> R) -> R {
            SLOT.with(f)
        }
    }

    #[test]
    fn exports_reach_the_one_configured_object() {
        let early = Exported::evaluate_all(&[1]);
        assert!(early.unwrap_err().message.contains("configure"));
        let refused = <Exported as Guest>::configure(json!({"x": 1}).to_string());
        assert!(refused.is_err() && SLOT.with(|slot| slot.borrow().is_none()), "one that failed is not kept");
        assert!(<Exported as Guest>::configure(String::new()).is_ok());
        assert_eq!(Exported::evaluate_all(&[1, 2]).unwrap(), [[Verdict::Score(1), Verdict::Score(2)]]);
        assert!(<Exported as Guest>::sync(Vec::new()).is_ok());
        assert!(<Exported as Guest>::sync(vec![Delta::NodeGone(1)]).is_err());
        assert_eq!(<Exported as Guest>::reasons(vec![7, 8]).len(), 2);
    }

    impl Exported {
        fn evaluate_all(nodes: &[u32]) -> Result<Vec<Vec<Verdict>>> {
            <Exported as Guest>::evaluate(vec![Question { class: 0, nodes: nodes.to_vec() }])
        }
    }
}
