//! Policies: tables in the guest, verdicts checked against the contract, a new instance after a fault.

use gantry_plugin::family::scheduler::{Delta, Dependency, Node, Question, Resources, Verdict};
use gantry_plugin::{Finding, Loaded, Scheduler};

use crate::support::Bench;

fn node(id: u32, name: &str) -> Delta {
    Delta::NodeSet(Node {
        id,
        name: name.into(),
        labels: Vec::new(),
        taints: Vec::new(),
        unschedulable: false,
        allocatable: Resources { cpu_milli: 1, memory: 1, ephemeral_storage: 1, pods: 1, extended: Vec::new() },
    })
}

async fn policy(more: &str) -> (Bench, Loaded, Box<dyn Scheduler>) {
    let mut bench = Bench::new();
    bench.fixture("fixture-scheduler", more);
    let loaded = bench.only().await;
    let scheduler = loaded.scheduler().unwrap();
    (bench, loaded, scheduler)
}

fn ask(class: u32, nodes: &[u32]) -> [Question; 1] {
    [Question { class, nodes: nodes.to_vec() }]
}

#[tokio::test]
async fn keeps_tables_and_answers() {
    let (_bench, _, mut scheduler) = policy("").await;
    let policy = scheduler.reset().await.unwrap().unwrap();
    assert!(matches!(policy.depends_on[..], [Dependency::Node]));
    scheduler.sync(&[node(7, "a"), node(9, "b"), node(11, "c"), Delta::NodeGone(9)]).await.unwrap().unwrap();
    let answers = scheduler.evaluate(&[ask(1, &[]), ask(1, &[9, 7])].concat()).await.unwrap().unwrap();
    assert!(matches!(answers[0][..], [Verdict::Score(7), Verdict::Score(11)]));
    assert!(matches!(answers[1][..], [Verdict::Infeasible(1), Verdict::Score(7)]));
    assert_eq!(scheduler.reasons(&[1, 2]).await.unwrap(), [["reason 1"], ["reason 2"]]);
}

#[tokio::test]
async fn two_of_the_same_plugin_share_nothing() {
    let (_bench, loaded, mut one) = policy("").await;
    let mut two = loaded.scheduler().unwrap();
    one.reset().await.unwrap().unwrap();
    two.reset().await.unwrap().unwrap();
    one.sync(&[node(1, "a")]).await.unwrap().unwrap();
    assert_eq!(two.evaluate(&ask(1, &[])).await.unwrap().unwrap()[0].len(), 0);
}

#[tokio::test]
async fn an_answer_against_the_contract_is_a_fault() {
    let (_bench, _, mut scheduler) = policy("deadline-ms = 200").await;
    type Expected = fn(&Finding) -> bool;
    let table: [(u32, Expected); 5] = [
        (11, |f| matches!(f, Finding::Nonsense(what) if what == "0 lists of verdicts instead of 1")),
        (12, |f| matches!(f, Finding::Nonsense(what) if what == "0 verdicts instead of 1")),
        (13, |f| matches!(f, Finding::Nonsense(what) if what.contains("a score of 20000"))),
        (14, |f| matches!(f, Finding::Deadline(200))),
        (15, |f| matches!(f, Finding::Trap { message, .. } if message.contains("class 15"))),
    ];
    for (class, expected) in table {
        // Until the pause after the fault before has passed.
        while scheduler.reset().await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        scheduler.sync(&[node(1, "a")]).await.unwrap().unwrap();
        assert_eq!(scheduler.evaluate(&ask(1, &[])).await.unwrap().unwrap()[0].len(), 1);
        let fault = scheduler.evaluate(&ask(class, &[])).await.unwrap_err();
        assert!(expected(&fault.finding), "class {class}: {fault}");
        let gone = scheduler.evaluate(&ask(1, &[])).await.unwrap_err();
        assert!(matches!(gone.finding, Finding::Unavailable(_)), "its tables are gone with it: {gone}");
    }
}

#[tokio::test]
async fn reasons_must_be_complete() {
    let (_bench, _, mut scheduler) = policy("").await;
    scheduler.reset().await.unwrap().unwrap();
    let fault = scheduler.reasons(&[99]).await.unwrap_err();
    assert!(matches!(fault.finding, Finding::Nonsense(_)), "{fault}");
}

#[tokio::test]
async fn a_refused_sync_throws_the_instance_away() {
    let (_bench, loaded, mut scheduler) = policy("").await;
    scheduler.reset().await.unwrap().unwrap();
    assert_eq!(scheduler.sync(&[node(1, "bad")]).await.unwrap().unwrap_err().message, "a bad node");
    assert!(scheduler.evaluate(&[]).await.is_err());
    scheduler.reset().await.unwrap().unwrap();
    assert_eq!(loaded.health().faults, 0, "a refusal is an answer");
}

#[tokio::test]
async fn a_refused_configuration_is_the_plugins_answer() {
    let (_bench, _, mut scheduler) = policy("[plugin.config]\nmode = \"refuse\"").await;
    assert_eq!(scheduler.reset().await.unwrap().unwrap_err().message, "refused as told");
}
