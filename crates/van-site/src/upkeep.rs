//! What may wait for a disk or a name service, in a task of its own: neither the site's task nor the
//! API waits for it.

use tracing::{error, warn};
use van_model::SiteId;
use van_model::api::Severity;
use van_store::StoreError;

use crate::site::Site;

impl Site {
    /// Keeps what is noted, drops what is over, and binds what could not be bound, for ever.
    pub(crate) async fn keep_up(&self) {
        loop {
            let due = tokio::select! {
                () = self.noted.notified() => Self::keep_peers,
                () = self.upkeep.notified() => Self::keep_up_once,
            };
            let site = self.arc();
            if let Err(error) = tokio::task::spawn_blocking(move || due(&site)).await {
                error!(%error, "keeping the state failed");
            }
        }
    }

    /// Has the task above do what is due, where anything is: most of the time nothing is.
    pub(crate) fn look_at_upkeep(&self) {
        if self.is_upkeep_due() {
            self.upkeep.notify_one();
        }
    }

    /// Whether something is over, could not be kept, or could not be bound.
    pub(crate) fn is_upkeep_due(&self) -> bool {
        let linked = |id: &SiteId| !self.links.to(id).is_empty();
        self.tokens.has_expired()
            || self.peers.has_forgotten(linked)
            || self.state_problem.lock().is_some()
            || self.has_unbound()
            || self.imports.has_unbound()
    }

    fn keep_up_once(&self) {
        if let Err(error) = self.tokens.drop_expired(&self.store) {
            warn!(%error, "expired tokens stay in the state directory");
        }
        let linked = |id: &SiteId| !self.links.to(id).is_empty();
        match self.peers.forget_ephemeral(&self.store, linked) {
            Ok(gone) => gone.iter().for_each(|name| {
                let text =
                    format!("the one-shot site {name} was forgotten a day after its last link");
                self.event(Severity::Info, "PeerForgotten", format!("site/{name}"), text);
            }),
            Err(error) => warn!(%error, "an ephemeral peer can't be forgotten"),
        }
        let failed = self.state_problem.lock().is_some();
        if failed {
            self.keep_peers();
        }
        self.retry_binds();
        self.retry_imports();
    }

    /// Keeps when peers were last seen; that also tells whether the state can be written.
    pub(crate) fn keep_peers(&self) {
        let kept = self.peers.keep(&self.store).and_then(|()| self.keep_epoch());
        let problem = kept.err().map(|e| e.to_string());
        if let Some(why) = &problem {
            error!(why, "the state directory can't be written");
        }
        *self.state_problem.lock() = problem;
        self.notify();
    }

    /// Keeps the epoch that could not be kept at the start, so that the next one is higher.
    fn keep_epoch(&self) -> Result<(), StoreError> {
        if self.kept_epoch.get() >= self.epoch {
            return Ok(());
        }
        self.kept_epoch.change(&self.store, |kept| *kept = self.epoch)
    }

    /// Keeps the epoch at which the router goes on after it met a newer record of its own.
    pub(crate) fn keep_new_epoch(&self, epoch: u32) {
        if let Err(error) = self.kept_epoch.change(&self.store, |kept| *kept = epoch) {
            warn!(%error, "the new epoch is not kept");
        }
    }
}
