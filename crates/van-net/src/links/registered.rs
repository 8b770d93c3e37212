//! A connection as part of its link.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tracing::info;
use van_mux::{GoAwayReason, Kind, Open, ResetCode};

use super::Links;
use crate::connection::EndReason;
use crate::flow::Connected;
use crate::link::{Link, Member};
use crate::meter::{Counted, Meter};

/// A connection's place in its link; what the connection's task calls.
pub(crate) struct Registered {
    links: Arc<Links>,
    link: Arc<Link>,
    member: Arc<Member>,
}

impl Registered {
    pub(super) fn new(links: Arc<Links>, link: Arc<Link>, member: Arc<Member>) -> Self {
        Self { links, link, member }
    }

    pub(crate) fn meter(&self) -> &Meter {
        &self.link.meter
    }

    /// Notes that it carries one more flow, whoever opened it.
    pub(crate) fn note_flow(&self) {
        self.link.note_flow();
    }

    /// Notes a user's flow that the peer opens.
    pub(crate) fn log(&self, open: &Open) -> Counted {
        match open.kind {
            Kind::Flow | Kind::Datagrams => {
                let from = self.link.peer.id;
                Counted::logged(self.links.flow_log.egress(&open.address, open.client, from))
            }
            Kind::Circuit => Counted::default(),
        }
    }

    pub(crate) fn connect(&self, open: Open) -> BoxFuture<'static, Result<Connected, ResetCode>> {
        match open.kind {
            Kind::Flow | Kind::Datagrams => self.links.egress.connect(open, self.link.clone()),
            Kind::Circuit => {
                let taken = self.links.take_circuit(open, &self.link, self.member.worker);
                Box::pin(std::future::ready(taken))
            }
        }
    }

    pub(crate) fn route(&self, message: Vec<u8>) {
        if !self.link.is_circuit() {
            self.links.observer.route(&self.link, message);
        }
    }

    pub(crate) fn round_trip(&self, sample: Duration) {
        self.link.set_round_trip(sample);
    }

    pub(crate) fn going_away(&self, reason: GoAwayReason) {
        if !self.link.is_circuit() {
            info!(van.link = %self.link.name, van.site = %self.link.peer.name, %reason, "peer ends the link");
        }
        self.link.mark_going_away();
        self.links.observer.changed();
    }

    /// Takes the connection out of its link, and the link out of the table with its last one.
    pub(crate) fn ended(self, reason: &EndReason) {
        let Self { links, link, member } = self;
        let mut table = links.table.lock();
        let last = link.remove(&member) == 0;
        if last {
            table.retain(|_, known| !Arc::ptr_eq(known, &link));
        }
        drop(table);
        if link.is_circuit() {
            return;
        }
        if last {
            info!(van.link = %link.name, van.site = %link.peer.name, %reason, "link is down");
            links.observer.link_down(&link, reason);
        }
        links.observer.changed();
    }
}
