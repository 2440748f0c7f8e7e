//! What is loaded and what is refused, in words that name file, plugin and cause; and that one refusal is nobody else's.

use std::path::Path;

use gantry_plugin::{Bundle, CONTRACT, Cause, Family, LoadError, Manifest, State};

use crate::support::{Bench, component};

/// The same bytes with one text in place of another of the same length.
fn patched(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut out = bytes.to_vec();
    let places: Vec<usize> =
        bytes.windows(from.len()).enumerate().filter(|(_, w)| *w == from.as_bytes()).map(|(i, _)| i).collect();
    assert!(!places.is_empty(), "{from} is not there");
    for at in places {
        out[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    out
}

async fn refused(bench: &Bench, want: &[&str]) -> LoadError {
    let error = bench.load().await.pop().unwrap().err().expect("it was loaded");
    let text = error.to_string();
    for part in want {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
    assert!(!text.contains('\n'), "{text:?} is one line");
    error
}

#[tokio::test]
async fn a_bundle_is_loaded_and_its_refusals_stay_alone() {
    let mut bench = Bench::new();
    bench.fixture("fixture-controller", "grants = \"asked\"");
    bench.fixture("fixture-sockets", "required = false");
    bench.fixture("fixture-scheduler", "");
    let mut loaded = bench.load().await;
    assert_eq!(loaded.len(), 3);
    let scheduler = loaded.pop().unwrap().unwrap();
    assert_eq!((scheduler.name(), scheduler.version()), ("fixture-scheduler", "0.2.0"));
    assert!(scheduler.scheduler().is_some() && scheduler.controller().is_none() && scheduler.sink().is_none());
    assert_eq!(scheduler.health().state, State::Ready);
    let sockets = loaded.pop().unwrap().err().unwrap();
    assert!(!sockets.required);
    let Cause::Import { import, .. } = &sockets.cause else { panic!("{sockets}") };
    assert!(import.starts_with("wasi:sockets/"), "{sockets}");
    let controller = loaded.pop().unwrap().unwrap();
    assert!(controller.manifest().families.contains(&Family::Controller) && controller.controller().is_some());
}

#[tokio::test]
async fn another_contract_is_named_before_anything_else() {
    let mut bench = Bench::new();
    let old = patched(&component("fixture-controller"), "@0.1.0", "@0.0.9");
    bench.add("fixture-controller", &old, "grants = \"asked\"");
    let error = refused(&bench, &["fixture-controller", ".wasm", "0.0.9", CONTRACT]).await;
    assert!(matches!(error.cause, Cause::Manifest(gantry_plugin::manifest::Error::Contract { .. })));
}

#[tokio::test]
async fn families_must_agree_with_exports() {
    let mut bench = Bench::new();
    let other = patched(&component("fixture-controller"), "families = [\"controller\"]", "families = [\"scheduler\" ]");
    bench.add("fixture-controller", &other, "");
    refused(&bench, &["names the family scheduler", "does not export gantry:plugin/scheduler"]).await;
}

#[tokio::test]
async fn a_component_must_be_the_one_that_is_meant() {
    let good = component("fixture-scheduler");

    let mut bench = Bench::new();
    bench.add("other", &good, "");
    refused(&bench, &["plugin other (", "other.wasm", "its manifest says that it is fixture-scheduler"]).await;

    let mut bench = Bench::new();
    bench.fixture("fixture-scheduler", "");
    std::fs::write(bench.dir.path().join("fixture-scheduler.wasm"), patched(&good, "0.2.0", "0.2.1")).unwrap();
    refused(&bench, &["fixture-scheduler.wasm", "the bundle says sha256:", "gantry bundle pin"]).await;

    std::fs::remove_file(bench.dir.path().join("fixture-scheduler.wasm")).unwrap();
    refused(&bench, &["fixture-scheduler.wasm is in none of the plugin folders"]).await;

    let mut bench = Bench::new();
    bench.add("junk", b"not wasm at all", "");
    refused(&bench, &["junk.wasm", "is not a WebAssembly component"]).await;
}

#[tokio::test]
async fn a_directory_must_be_granted_and_named() {
    let mut bench = Bench::new();
    bench.fixture("fixture-node", "grants = \"asked\"");
    refused(&bench, &["filesystem:records is granted", "wasi.directories"]).await;

    let mut bench = Bench::new();
    bench.fixture("fixture-node", "[plugin.wasi.directories]\nrecords = \"{data}/records\"");
    refused(&bench, &["directory records is named, but filesystem:records is not granted"]).await;
}

#[tokio::test]
async fn a_check_tells_all_without_running_anything() {
    let mut bench = Bench::new();
    bench.fixture(
        "fixture-controller",
        "[[plugin.grants.objects]]\ngroup = \"\"\nkind = \"Pod\"\nverbs = [\"get\", \"watch\"]",
    );
    bench.fixture("fixture-sockets", "required = false");
    let report = bench.engine.check(&bench.bundle(), &bench.folders());
    let text = report.to_string();
    assert!(report.ok(), "{text}");
    for part in [
        "ok       fixture-controller 0.1.0 (controller) sha256:",
        "note     fixture-controller: asks for list, create, delete on Pod, which the bundle does not give",
        "note     fixture-controller: asks for events, which the bundle does not give",
        "without  plugin fixture-sockets (",
    ] {
        assert!(text.contains(part), "{text} does not say {part}");
    }
    bench.add("junk", b"not wasm at all", "");
    assert!(!bench.engine.check(&bench.bundle(), &bench.folders()).ok());
}

#[tokio::test]
async fn compiled_code_is_kept() {
    let mut bench = Bench::new();
    bench.fixture("fixture-scheduler", "");
    bench.only().await;
    let cache = bench.dir.path().join("data/cache/plugins");
    let files = || std::fs::read_dir(&cache).unwrap().map(|f| f.unwrap().path()).collect::<Vec<_>>();
    let first = files();
    assert_eq!(first.len(), 1);
    let written = first[0].metadata().unwrap().len();
    bench.only().await.scheduler().unwrap().reset().await.unwrap().unwrap();
    assert_eq!((files(), first[0].metadata().unwrap().len()), (first.clone(), written));
}

/// What the stock plugins and bundles say about themselves is read by nobody else's tests before they run.
#[test]
fn stock_manifests_and_bundles_are_read() {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
    let folders = |dir: &Path| std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect::<Vec<_>>();
    let mut manifests = 0;
    for file in folders(&plugins).iter().filter(|p| p.is_dir()).flat_map(|family| folders(family)) {
        let manifest = file.join("manifest.toml");
        if manifest.is_file() {
            let text = std::fs::read_to_string(&manifest).unwrap();
            Manifest::parse(&text).unwrap_or_else(|e| panic!("{}: {e}", manifest.display()));
            manifests += 1;
        }
    }
    assert!(manifests >= 4, "{manifests} manifests");
    for file in folders(&plugins.join("bundles")) {
        Bundle::read(&file).unwrap();
    }
}
