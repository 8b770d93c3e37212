//! The state directory of a pod, and its copy in a Secret.

use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::warn;
use van_kube::{Documents, StateSecret};
use van_site::Site;

/// Time after which a change is looked for that nothing told of.
const LOOK: Duration = Duration::from_millis(50);

/// The first and the longest pause after a write that failed.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// The document without which a folder has no state.
const IDENTITY: &str = "identity.json";

/// Writes documents into a folder that has no state: one that has is of this very pod, and newer.
pub(super) fn unpack(folder: &Path, documents: &Documents) -> io::Result<()> {
    if folder.join(IDENTITY).exists() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // The identity last: what is cut off before it is unpacked again.
    let last = |name: &String| name.as_str() == IDENTITY;
    let others = documents.iter().filter(|(name, _)| !last(name));
    for (name, bytes) in others.chain(documents.iter().filter(|(name, _)| last(name))) {
        // A Secret's keys have no slash; a name that leads elsewhere is not ours.
        if name.contains('/') || name.starts_with('.') {
            continue;
        }
        let mut options = std::fs::OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o600).open(folder.join(name))?;
        file.write_all(bytes)?;
        file.sync_all()?;
    }
    Ok(())
}

/// Keeps the site's state and the Secret alike, for ever: the pod that leads writes, the others read.
pub(super) async fn keep(site: Arc<Site>, secret: StateSecret, mut leads: watch::Receiver<bool>) {
    loop {
        let is_leader = *leads.borrow_and_update();
        let work = async {
            match is_leader {
                true => mirror(&site, &secret).await,
                false => secret.follow(|documents| adopt(&site, &documents)).await,
            }
        };
        tokio::select! {
            () = work => return,
            changed = leads.changed() => if changed.is_err() { return },
        }
    }
}

fn adopt(site: &Site, documents: &Documents) {
    if let Err(why) = site.adopt(documents) {
        warn!(why, "what the leading pod keeps is not taken over whole");
    }
}

/// Keeps a copy of the site's state in the Secret, for ever; what another pod wrote before is taken over first.
async fn mirror(site: &Site, secret: &StateSecret) {
    let mut changes = site.changes();
    let (mut kept, mut pause) = (None, PAUSES.0);
    let mut is_known = false;
    loop {
        let writes = site.store().writes();
        if kept != Some(writes) || !is_known {
            match save(site, secret, is_known).await {
                Ok(Saved::Written) => {
                    (kept, is_known) = (Some(writes), true);
                    pause = PAUSES.0;
                }
                Ok(Saved::Other) => is_known = false,
                Err(why) => {
                    warn!(why, "the state is not in the Secret yet; it is tried again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
            continue;
        }
        if changes.changed().await.is_err() {
            return;
        }
        // A change is told before what follows from it is on the disk.
        tokio::time::sleep(LOOK).await;
    }
}

/// What came of saving.
enum Saved {
    Written,
    /// Another pod wrote meanwhile.
    Other,
}

async fn save(site: &Site, secret: &StateSecret, is_known: bool) -> Result<Saved, String> {
    if !is_known && let Some(documents) = secret.load().await.map_err(|error| error.to_string())? {
        adopt(site, &documents);
    }
    let documents = site.store().documents().map_err(|error| error.to_string())?;
    let written = secret.save(&documents).await.map_err(|error| error.to_string())?;
    Ok(if written { Saved::Written } else { Saved::Other })
}
