//! What a guest that fails gets: its call ends with a fault that says what happened, its instance is thrown away, and
//! nobody else notices.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use gantry_plugin::{FaultPolicy, Finding, State};

use crate::support::{Bench, keys};

/// No pauses, so that each failure can be looked at by itself.
fn patient() -> FaultPolicy {
    FaultPolicy { limit: 1000, first_pause: Duration::ZERO, ..FaultPolicy::default() }
}

#[tokio::test]
async fn every_failure_is_named_and_the_next_call_is_well() {
    let mut bench = Bench::with(patient());
    bench.fixture("fixture-controller", "grants = \"asked\"\ndeadline-ms = 200\nmemory = \"16Mi\"");
    let loaded = bench.only().await;
    let controller = loaded.controller().unwrap();
    let mut findings = Vec::new();
    for key in ["loop", "panic", "bloat", "recurse", "exit", "lie", "say"] {
        let fault = controller.reconcile(0, keys(&["good", key])).await.unwrap_err();
        assert_eq!((fault.plugin.as_str(), fault.version.as_str()), ("fixture-controller", "0.1.0"));
        assert_eq!(fault.call, "controller.reconcile");
        findings.push(fault.finding);
        controller.reconcile(0, keys(&["good"])).await.unwrap();
    }
    let [looped, panicked, bloated, recursed, exited, lied, said] = &findings[..] else { panic!() };
    assert!(matches!(looped, Finding::Deadline(200)), "{looped:?}");
    let Finding::Trap { message, backtrace, .. } = panicked else { panic!("{panicked:?}") };
    assert!(message.contains("controller.rs:") && message.contains("no such thing as default"), "{message}");
    assert!(backtrace.contains("wasm"), "{backtrace}");
    assert!(matches!(bloated, Finding::Memory(n) if *n == 16 << 20), "{bloated:?}");
    assert!(matches!(recursed, Finding::Trap { .. }), "{recursed:?}");
    assert!(matches!(exited, Finding::Trap { message, .. } if message.to_lowercase().contains("exit")), "{exited:?}");
    assert!(matches!(lied, Finding::Nonsense(what) if what == "1 outcomes instead of 2"), "{lied:?}");
    let Finding::Trap { log, .. } = said else { panic!("{said:?}") };
    assert!(log.iter().any(|l| l == "said with log") && log.iter().any(|l| l == "said with print"), "{log:?}");
    let health = loaded.health();
    assert_eq!((health.faults, health.instances), (7, 1));
    assert!(health.memory_bytes < 16 << 20, "what a dead instance had is given back: {}", health.memory_bytes);
}

#[tokio::test]
async fn a_loop_leaves_the_thread_to_others() {
    let mut bench = Bench::new();
    bench.fixture("fixture-controller", "grants = \"asked\"\ndeadline-ms = 1000\ninstances = 2");
    bench.fixture("fixture-scheduler", "");
    let mut loaded = bench.load().await.into_iter().map(Result::unwrap);
    let (first, second) = (loaded.next().unwrap(), loaded.next().unwrap());
    let controller = first.controller().unwrap();
    let mut scheduler = second.scheduler().unwrap();
    scheduler.reset().await.unwrap().unwrap();
    controller.reconcile(0, keys(&["good"])).await.unwrap();
    // All on one thread: whatever ends before the loop does so between two of its ticks.
    let order = Mutex::new(Vec::new());
    let looping = async {
        let fault = controller.reconcile(0, keys(&["loop"])).await.unwrap_err();
        order.lock().unwrap().push("loop");
        fault
    };
    let others = async {
        for _ in 0..5 {
            controller.reconcile(0, keys(&["good"])).await.unwrap();
            scheduler.evaluate(&[]).await.unwrap().unwrap();
            tokio::task::yield_now().await;
        }
        order.lock().unwrap().push("others");
    };
    let (fault, ()) = tokio::join!(looping, others);
    assert!(matches!(fault.finding, Finding::Deadline(1000)), "{fault}");
    assert_eq!(*order.lock().unwrap(), ["others", "loop"]);
    assert_eq!((first.health().faults, second.health().faults), (1, 0));
}

#[tokio::test]
async fn failing_again_and_again_makes_it_degraded_with_pauses() {
    // A pause that the next call does not outlast, however long it takes to come.
    let mut bench = Bench::with(FaultPolicy {
        limit: 3,
        window: Duration::from_secs(60),
        first_pause: Duration::from_secs(1),
        longest_pause: Duration::from_secs(1),
    });
    bench.fixture("fixture-controller", "grants = \"asked\"\ninstances = 1");
    let loaded = bench.only().await;
    let controller = loaded.controller().unwrap();
    let mut changes = loaded.health_changes();
    assert!(!changes.has_changed().unwrap());
    let mut traps = 0;
    let mut refused = 0;
    let patience = Instant::now() + Duration::from_secs(20);
    while loaded.health().state != State::Degraded && Instant::now() < patience {
        match controller.reconcile(0, keys(&["panic"])).await.unwrap_err().finding {
            Finding::Trap { .. } => traps += 1,
            Finding::Unavailable(why) => {
                assert!(why.contains("tried again in"), "{why}");
                refused += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(traps, 3, "the limit of this test's policy");
    assert!(refused > 0, "the third call had to wait for the pause after the second");
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    let (_, fault) = loaded.health().last_fault.unwrap();
    assert!(fault.to_string().starts_with("plugin fixture-controller 0.1.0: controller.reconcile: trapped: "));
    // After the pause a good call is answered, and the next fault costs no pause again.
    while controller.reconcile(0, keys(&["good"])).await.is_err() {
        assert!(Instant::now() < patience);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    controller.reconcile(0, keys(&["panic"])).await.unwrap_err();
    controller.reconcile(0, keys(&["good"])).await.unwrap();
}

#[tokio::test]
async fn halts_when_the_bundle_says_so() {
    let mut bench = Bench::with(FaultPolicy { limit: 2, first_pause: Duration::ZERO, ..FaultPolicy::default() });
    bench.fixture("fixture-controller", "grants = \"asked\"\non-fault = \"halt\"");
    let loaded = bench.only().await;
    let controller = loaded.controller().unwrap();
    for _ in 0..2 {
        controller.reconcile(0, keys(&["panic"])).await.unwrap_err();
    }
    let fault = controller.reconcile(0, keys(&["good"])).await.unwrap_err();
    assert!(matches!(&fault.finding, Finding::Unavailable(why) if why.contains("halt")), "{fault}");
    assert_eq!(loaded.health().state, State::Halted);
    // Loaded anew it begins anew.
    bench.only().await.controller().unwrap().reconcile(0, keys(&["good"])).await.unwrap();
}

#[tokio::test]
async fn memory_too_small_to_start_is_said() {
    let mut bench = Bench::new();
    bench.fixture("fixture-controller", "grants = \"asked\"\nmemory = \"64Ki\"");
    let fault = bench.only().await.controller().unwrap().describe().await.unwrap_err();
    assert!(matches!(fault.finding, Finding::Memory(65536)), "{fault}");
}
