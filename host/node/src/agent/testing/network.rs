//! Addresses for sandboxes, the same again for the same sandbox.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::runtime::Journal;
use crate::network::{NetError, NetStatus, PodNetwork, SandboxNet};

pub struct FakeNetwork {
    pub journal: Arc<Journal>,
    pub attached: Mutex<BTreeMap<String, u8>>,
    pub failures: Mutex<VecDeque<NetError>>,
    pub collected: Mutex<Vec<Vec<String>>>,
}

impl FakeNetwork {
    pub fn new(journal: Arc<Journal>) -> Self {
        let (attached, failures, collected) = Default::default();
        Self { journal, attached, failures, collected }
    }
}

#[async_trait]
impl PodNetwork for FakeNetwork {
    async fn attach(&self, sandbox: &SandboxNet) -> Result<NetStatus, NetError> {
        self.journal.step("attach").await;
        if let Some(error) = self.failures.lock().unwrap().pop_front() {
            return Err(error);
        }
        let number = {
            let mut attached = self.attached.lock().unwrap();
            let next = u8::try_from(attached.len() + 2).unwrap();
            *attached.entry(sandbox.id.clone()).or_insert(next)
        };
        self.journal.after("attach").await;
        let netns_path = Some(PathBuf::from(format!("/run/netns/{}", sandbox.id)));
        Ok(NetStatus { netns_path, addresses: vec![IpAddr::from([10, 1, 0, number])] })
    }

    async fn detach(&self, id: &str) -> Result<(), NetError> {
        self.journal.step("detach").await;
        self.attached.lock().unwrap().remove(id);
        self.journal.after("detach").await;
        Ok(())
    }

    async fn gc(&self, alive: &[String]) -> Result<(), NetError> {
        self.collected.lock().unwrap().push(alive.to_vec());
        Ok(())
    }

    async fn status(&self) -> Result<(), NetError> {
        Ok(())
    }
}
