//! Brings certificates up to date when their Secrets change.

use std::collections::BTreeSet;
use std::sync::Weak;
use std::time::Duration;

use tracing::debug;

use super::secrets::Name;
use super::service::Shared;

/// Between attempts to fetch what could not be fetched.
const AGAIN: Duration = Duration::from_secs(1);

/// Follows them for as long as the proxy is there.
pub(super) async fn run(shared: Weak<Shared>) {
    let Some(mut feed) = shared.upgrade().map(|shared| shared.vault.changes()) else { return };
    let mut due: BTreeSet<Name> = BTreeSet::new();
    loop {
        let changed = match due.is_empty() {
            true => Some(feed.next().await),
            // Those that failed come again whether anything changes or not.
            false => tokio::time::timeout(AGAIN, feed.next()).await.ok(),
        };
        let Some(shared) = shared.upgrade() else { return };
        let wanted = shared.vault.wanted();
        match changed {
            Some(Ok(Some(names))) => due.extend(names.into_iter().filter(|name| wanted.contains(name))),
            Some(Ok(None)) => due.extend(wanted.iter().cloned()),
            Some(Err(error)) => {
                debug!(%error, "changes of Secrets were missed");
                due.extend(wanted.iter().cloned());
                tokio::time::sleep(AGAIN).await;
            }
            None => {}
        }
        due.retain(|name| wanted.contains(name));
        let mut failed = BTreeSet::new();
        for name in std::mem::take(&mut due) {
            if let Err(error) = shared.vault.fetch(&name).await {
                debug!(%error, secret = name.1, "a Secret can't be fetched");
                failed.insert(name);
            }
        }
        due = failed;
        shared.ports().iter().for_each(|port| port.certify(&shared));
    }
}
