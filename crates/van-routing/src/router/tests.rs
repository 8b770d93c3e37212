//! Bad input, and members that misbehave, at one router.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use van_model::{Mode, SiteId};
use van_pki::{Authority, CertificateDer, Voucher};

use super::{Router, RouterConfig};
use crate::about::{About, Trust};
use crate::event::RouterEvent;
use crate::message::Message;
use crate::record::{Neighbour, Record};
use crate::router_id::LinkId;
use crate::signatures::{RealSignatures, Signatures};
use crate::signed::SignedRecord;

mod bad_messages;
mod bad_records;
mod limits;
mod revocations;

const LINK: LinkId = LinkId(1);

/// Real checks, counted.
#[derive(Default)]
struct Counted(AtomicUsize);

impl Signatures for Counted {
    fn site_id(&self, certificate: &CertificateDer<'static>) -> Option<SiteId> {
        RealSignatures.site_id(certificate)
    }

    fn verify(
        &self,
        certificate: &CertificateDer<'static>,
        context: &str,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        RealSignatures.verify(certificate, context, message, signature)
    }
}

/// A router, and its pinned neighbour's authority.
struct Pair {
    now: Instant,
    router: Router,
    own: Arc<Authority>,
    neighbour: Authority,
    checks: Arc<Counted>,
}

fn authority() -> Authority {
    Authority::generate("2026-11-22T00:00:00Z".parse().unwrap()).unwrap()
}

impl Pair {
    fn new() -> Self {
        let now = Instant::now();
        let (own, neighbour) = (Arc::new(authority()), authority());
        let checks = Arc::new(Counted::default());
        let mut config = RouterConfig::new(own.clone(), 1);
        config.signatures = checks.clone();
        let mut router = Router::new(now, config);
        let pins = BTreeMap::from([(neighbour.id(), neighbour.certificate().clone())]);
        router.set_trust(now, Trust { pins, ..Trust::default() });
        router.set_about(now, About { name: "own".into(), ..About::default() });
        router.link_up(now, LINK, neighbour.id().into(), 1);
        Self { now, router, own, neighbour, checks }
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.router.next_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.router.handle_timeout(self.now);
        }
        self.now = end;
    }

    fn send(&mut self, record: &SignedRecord) {
        self.send_bytes(record.as_bytes());
    }

    fn send_bytes(&mut self, record: &[u8]) {
        let message = Message::Records(vec![(0, record)]).encode();
        self.router.receive(self.now, LINK, &message).unwrap();
    }

    /// The counter of the neighbour's record that is held.
    fn held(&self) -> Option<u32> {
        let entry = self.router.database.entry(self.neighbour.id().into());
        entry.map(|entry| entry.version.counter)
    }

    fn bad_records(&mut self) -> usize {
        let events = self.router.take_events().into_iter();
        events.filter(|event| matches!(event, RouterEvent::BadRecord { .. })).count()
    }
}

/// What a site with one link to `other` says of itself.
fn record(of: &Authority, counter: u32, other: &Authority) -> Record {
    Record {
        origin: of.id(),
        replica: 0,
        epoch: 1,
        counter,
        name: "neighbour".into(),
        mode: Mode::Interior,
        software: "0.1.0".into(),
        neighbours: vec![Neighbour { site: other.id(), replica: 0, cost: 1 }],
        offers: Vec::new(),
        labels: BTreeMap::new(),
        revoked: Vec::new(),
        admitted: None,
    }
}

fn sign(record: Record, authority: &Authority) -> SignedRecord {
    SignedRecord::sign(record, authority, Vec::new())
}

fn vouched(record: Record, authority: &Authority, by: &Authority) -> SignedRecord {
    let voucher = Voucher::issue(by, authority.id());
    SignedRecord::sign(record, authority, vec![voucher])
}
