//! Several routers of one site: one leads, the others follow what it keeps.
//!
//! All have the same key, the same wanted state and the same targets. What a site learns (peers, tokens, whom
//! its links dial) the leader alone changes: newcomers are handed on to it, and its documents are adopted.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::{info, warn};
use van_model::status::LinkState;
use van_model::{Cost, HostPort};
use van_mux::GoAwayReason;
use van_net::{Decider, DialSpec, Dialler, Link, Meter, Tasks};
use van_store::Store;

use crate::error::SiteError;
use crate::identity::OwnIdentity;
use crate::reconcile::DELETE_GRACE;
use crate::resources::LinkPeers;
use crate::site::Site;
use crate::{peers, resources, tokens};

/// Which replica leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Leader {
    /// This one, or there is no other.
    #[default]
    Here,
    /// The one whose link port this is.
    There(SocketAddr),
    /// None is known.
    Unknown,
}

/// What a router knows of the others of its site.
#[derive(Default)]
pub(crate) struct Replicas {
    leader: Mutex<Leader>,
    dialled: Mutex<BTreeMap<String, Dialled>>,
}

/// Another replica that this one dials.
struct Dialled {
    at: SocketAddr,
    meter: Arc<Meter>,
    tasks: Tasks,
}

/// Makes the identity of a site, where its state has none: what several pods are given before they start.
///
/// # Errors
/// The identity was lost, or the disk is full.
pub fn make_identity(store: &Store) -> Result<(), SiteError> {
    OwnIdentity::load(store, None).map(drop)
}

impl Site {
    /// Keeps up links with these replicas, by name, and with no others.
    pub fn set_replicas(&self, wanted: &BTreeMap<String, SocketAddr>) {
        let mut dialled = self.replicas.dialled.lock();
        dialled.retain(|name, run| {
            let stays = wanted.get(name) == Some(&run.at);
            if !stays {
                run.tasks.cancel();
                let links = self.links.all();
                let own = links.iter().filter(|link| Arc::ptr_eq(&link.meter, &run.meter));
                own.for_each(|link| link.go_away(GoAwayReason::Deleted, DELETE_GRACE));
            }
            stays
        });
        for (name, at) in wanted {
            if dialled.contains_key(name) {
                continue;
            }
            let spec = DialSpec {
                name: format!("replica-{name}"),
                peer: self.own_id(),
                endpoints: vec![HostPort::from(*at)],
                cost: Cost::MIN,
                proxy: None,
                token: None,
            };
            let tasks = self.tasks.child();
            let (_, meter) = Dialler::start(self.links.clone(), spec, self.arc(), &tasks);
            dialled.insert(name.clone(), Dialled { at: *at, meter, tasks });
        }
    }

    /// With how many other replicas this one is linked.
    pub fn replicas_linked(&self) -> usize {
        let links = self.links.to(&self.own_id());
        links.iter().map(|link| link.peer.replica).collect::<BTreeSet<_>>().len()
    }

    /// Whether each link that is wanted is up.
    pub fn is_linked(&self) -> bool {
        let running = self.running.lock();
        running.links.values().all(|run| run.status.borrow().state == LinkState::Connected)
    }

    /// Says which replica leads.
    pub fn set_leader(&self, leader: Leader) {
        let before = std::mem::replace(&mut *self.replicas.leader.lock(), leader);
        if before == leader {
            return;
        }
        self.acceptor.set_decider(match leader {
            Leader::Here => Decider::Here,
            Leader::There(at) => Decider::There(at),
            Leader::Unknown => Decider::Nobody,
        });
        if leader == Leader::Here {
            info!("this replica leads");
            self.reconcile_or_tell();
        }
    }

    /// Whether another replica leads: then nothing that all replicas share is changed here.
    pub(crate) fn follows(&self) -> bool {
        *self.replicas.leader.lock() != Leader::Here
    }

    /// Takes over what the leader keeps: peers, tokens, and whom links dial.
    ///
    /// # Errors
    /// A document can't be read, or the disk is full; the others are taken all the same.
    pub fn adopt(&self, documents: &BTreeMap<String, Vec<u8>>) -> Result<(), String> {
        let mut troubles = Vec::new();
        let mut note = |name: &str, result: Result<(), String>| {
            troubles.extend(result.err().map(|why| format!("{name}: {why}")));
        };
        if let Some(bytes) = document(documents, peers::DOCUMENT) {
            note(peers::DOCUMENT, self.peers.adopt(&self.store, bytes));
        }
        if let Some(bytes) = document(documents, tokens::DOCUMENT) {
            note(tokens::DOCUMENT, self.tokens.adopt(&self.store, bytes));
        }
        if let Some(bytes) = document(documents, resources::LINKS) {
            note(resources::LINKS, adopt_links(&self.link_peers, &self.store, bytes));
        }
        self.reconcile_or_tell();
        self.mailbox.ring();
        if troubles.is_empty() { Ok(()) } else { Err(troubles.join("; ")) }
    }

    fn reconcile_or_tell(&self) {
        if let Err(error) = self.reconcile() {
            warn!(%error, "what is wanted is not applied");
        }
    }
}

/// Whether a link is one between replicas of the site: those are shown to nobody.
pub(crate) fn is_within(site: van_model::SiteId, link: &Link) -> bool {
    link.peer.id == site
}

fn document<'a>(documents: &'a BTreeMap<String, Vec<u8>>, name: &str) -> Option<&'a [u8]> {
    documents.get(&format!("{name}.json")).map(Vec::as_slice)
}

fn adopt_links(book: &LinkPeers, store: &Store, bytes: &[u8]) -> Result<(), String> {
    let fresh = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if book.get() == fresh {
        return Ok(());
    }
    book.change(store, |kept| *kept = fresh).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use van_model::SiteId;
    use van_pki::{CertificateDer, Peers as _};

    use super::*;
    use crate::peers::{PeerBook, PinnedPeer};
    use crate::resources::LinkPeer;

    #[test]
    fn what_the_leader_keeps_is_taken_over_and_stays() {
        let (leader, follower) = (Store::in_memory(), Store::in_memory());
        let book = PeerBook::load(&leader, None).unwrap();
        let peer = SiteId::from_bytes([7; 20]);
        let pin = PinnedPeer::new("peer".into(), &CertificateDer::from(vec![1]), false);
        book.change(&leader, |pins| pins.insert(peer, pin)).unwrap();
        let links = LinkPeers::load_peers(&leader).unwrap();
        let there = LinkPeer { peer, endpoints: Vec::new(), cost: None };
        links.change(&leader, |kept| kept.insert("up".into(), there)).unwrap();
        let documents = leader.documents().unwrap();

        let followed = PeerBook::load(&follower, None).unwrap();
        let version = followed.version();
        let kept = document(&documents, peers::DOCUMENT).unwrap();
        followed.adopt(&follower, kept).unwrap();
        assert!(followed.authority(&peer).is_some() && followed.version() > version);
        let version = (followed.version(), follower.writes());
        followed.adopt(&follower, kept).unwrap();
        assert_eq!((followed.version(), follower.writes()), version, "nothing is new");

        let of_links = LinkPeers::load_peers(&follower).unwrap();
        adopt_links(&of_links, &follower, document(&documents, resources::LINKS).unwrap()).unwrap();
        assert_eq!(LinkPeers::load_peers(&follower).unwrap().get(), links.get());
        assert!(followed.adopt(&follower, b"{").is_err() && followed.authority(&peer).is_some());
    }

    #[test]
    fn a_site_trusts_itself_only_where_it_runs_several_routers() {
        let book = PeerBook::load(&Store::in_memory(), None).unwrap();
        let own = SiteId::from_bytes([1; 20]);
        assert!(book.authority(&own).is_none());
        book.trust_own(own, CertificateDer::from(vec![1]));
        assert!(book.authority(&own).is_some());
    }
}
