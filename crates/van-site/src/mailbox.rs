//! Notes from the data plane to the site's task, which must never make it wait.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use tokio::sync::Notify;
use van_net::{Admission, EndReason, JoinRefusal, JoinRequest, Link, Observer};
use van_pki::PeerIdentity;

use crate::site::Site;

/// What came since the site's task last looked.
#[derive(Debug, Default)]
pub(crate) struct Letters {
    /// Links that came up.
    pub(crate) up: Vec<Arc<Link>>,
    /// Links that ended, and why.
    pub(crate) down: Vec<(Arc<Link>, String)>,
    /// Link-state messages in the order in which they came, each with its link.
    pub(crate) routes: Vec<(Arc<Link>, Vec<u8>)>,
    /// The bytes of these messages.
    pub(crate) route_bytes: usize,
    /// Refusals at the link port.
    pub(crate) refused: Vec<(SocketAddr, String)>,
}

/// Refusals kept between two looks; more are counted by nobody, so that strangers can't fill memory.
const MAX_REFUSED: usize = 64;

/// Link-state messages kept between two looks; what is lost beyond is sent again, since nobody
/// acknowledged it.
const MAX_ROUTES: usize = 4096;

/// The same in bytes: a few whole databases of neighbours that start together.
const MAX_ROUTE_BYTES: usize = 32 << 20;

/// Where the data plane leaves its notes.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    letters: Mutex<Letters>,
    bell: Notify,
    site: OnceLock<Weak<Site>>,
}

impl Mailbox {
    /// Tells whose mailbox it is.
    pub(crate) fn belongs_to(&self, site: &Arc<Site>) {
        // Set once, at the start.
        let _ = self.site.set(Arc::downgrade(site));
    }

    /// Makes the site's task look.
    pub(crate) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Waits for the bell.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }

    pub(crate) fn take(&self) -> Letters {
        std::mem::take(&mut *self.letters.lock())
    }

    fn leave(&self, note: impl FnOnce(&mut Letters)) {
        note(&mut self.letters.lock());
        self.ring();
    }
}

impl Observer for Mailbox {
    fn link_up(&self, link: &Arc<Link>) {
        self.leave(|letters| letters.up.push(link.clone()));
    }

    fn link_down(&self, link: &Arc<Link>, reason: &EndReason) {
        let reason = reason.to_string();
        self.leave(|letters| letters.down.push((link.clone(), reason)));
    }

    fn route(&self, link: &Arc<Link>, message: Vec<u8>) {
        self.leave(|letters| {
            if letters.routes.len() < MAX_ROUTES
                && letters.route_bytes + message.len() <= MAX_ROUTE_BYTES
            {
                letters.route_bytes += message.len();
                letters.routes.push((link.clone(), message));
            }
        });
    }

    fn join(&self, joiner: &PeerIdentity, request: &JoinRequest) -> Result<Admission, JoinRefusal> {
        let site = self.site.get().and_then(Weak::upgrade).ok_or(JoinRefusal::Unavailable)?;
        site.admit(joiner, request)
    }

    fn refused(&self, remote: SocketAddr, why: &str) {
        self.leave(|letters| {
            if letters.refused.len() < MAX_REFUSED {
                letters.refused.push((remote, why.to_owned()));
            }
        });
    }

    fn changed(&self) {
        self.ring();
    }
}
