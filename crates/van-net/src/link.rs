//! A link: the connections between two sites that count as one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, oneshot};
use van_model::status::{ConnectionStatus, Direction};
use van_model::{Mode, SiteId};
use van_mux::{GoAwayReason, Hello};

use crate::connection::{Command, Handle};
use crate::flow::NewFlow;
use crate::meter::Meter;
use crate::tls::TlsInfo;

/// The site at the other end, as its HELLO tells and its certificate proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Who it is, by its certificate.
    pub id: SiteId,
    /// Which of its routers.
    pub replica: u16,
    /// New at each of its starts.
    pub instance: u64,
    /// Its name.
    pub name: String,
    /// Interior or edge.
    pub mode: Mode,
    /// Whether it is forgotten a day after its last link.
    pub ephemeral: bool,
    /// Its software's version.
    pub software: String,
}

impl Peer {
    pub(crate) fn new(hello: &Hello) -> Self {
        Self {
            id: hello.site,
            replica: hello.replica,
            instance: hello.instance,
            name: hello.name.clone(),
            mode: hello.mode(),
            ephemeral: hello.ephemeral,
            software: hello.software.clone(),
        }
    }
}

/// One connection of a link, as others see it.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) handle: Handle,
    pub(crate) index: u16,
    pub(crate) tls: TlsInfo,
    pub(crate) local: String,
    pub(crate) remote: String,
    pub(crate) worker: usize,
    pub(crate) since: Timestamp,
}

/// A link that is up, or was.
#[derive(Debug)]
pub struct Link {
    /// Its name at the dialler.
    pub name: String,
    /// The other end.
    pub peer: Peer,
    /// Who dialled.
    pub direction: Direction,
    /// The cost that both ends use.
    pub cost: u16,
    /// Since when it is up.
    pub since: Timestamp,
    /// Bytes and flows over it.
    pub meter: Arc<Meter>,
    pub(crate) number: u64,
    circuit: bool,
    pub(crate) members: ArcSwap<Vec<Arc<Member>>>,
    round_trip_ns: AtomicU64,
    leaf_not_after: AtomicU64,
    going_away: AtomicBool,
    /// Rung when `going_away` is set.
    goes_away: Notify,
    /// Rung with each new flow.
    gets_flow: Notify,
    /// Rises when a connection begins or ends.
    generation: AtomicU64,
}

/// What a link is made of, beside its peer.
pub(crate) struct Making {
    pub(crate) circuit: bool,
    pub(crate) name: String,
    pub(crate) direction: Direction,
    pub(crate) cost: u16,
    pub(crate) number: u64,
    pub(crate) since: Timestamp,
    pub(crate) meter: Arc<Meter>,
}

impl Link {
    pub(crate) fn new(peer: Peer, making: Making) -> Self {
        let Making { circuit, name, direction, cost, number, since, meter } = making;
        Self {
            name,
            peer,
            direction,
            cost,
            since,
            meter,
            number,
            circuit,
            members: ArcSwap::default(),
            round_trip_ns: AtomicU64::new(0),
            leaf_not_after: AtomicU64::new(0),
            going_away: AtomicBool::new(false),
            goes_away: Notify::new(),
            gets_flow: Notify::new(),
            generation: AtomicU64::new(0),
        }
    }

    /// Hands a client's flow to the connection with the least to do, if it can be one of the worker
    /// `near`; gives it back when none takes flows.
    pub fn open(&self, flow: Box<NewFlow>, near: Option<usize>) -> Result<(), Box<NewFlow>> {
        self.open_on(flow, near).map(|_| ())
    }

    /// The same; returns the worker on which the flow's connection lives.
    pub(crate) fn open_on(
        &self,
        mut flow: Box<NewFlow>,
        near: Option<usize>,
    ) -> Result<usize, Box<NewFlow>> {
        if self.going_away.load(Ordering::Relaxed) {
            return Err(flow);
        }
        let members = self.members.load();
        let mut order: Vec<&Arc<Member>> = members.iter().collect();
        order.sort_by_key(|m| {
            let is_far = near.is_some_and(|worker| worker != m.worker);
            (is_far, m.handle.load.queued.get(), m.handle.load.flows.get())
        });
        for member in order {
            match member.handle.commands.try_send(Command::Open(flow)) {
                Ok(()) => return Ok(member.worker),
                Err(
                    mpsc::error::TrySendError::Full(Command::Open(back))
                    | mpsc::error::TrySendError::Closed(Command::Open(back)),
                ) => flow = back,
                Err(_) => unreachable!("a command comes back as it was sent"),
            }
        }
        Err(flow)
    }

    /// Sends a link-state message. Returns whether a connection took it.
    pub fn send_route(&self, message: &Arc<[u8]>) -> bool {
        self.members
            .load()
            .iter()
            .any(|m| m.handle.commands.try_send(Command::Route(message.clone())).is_ok())
    }

    /// Measures a round trip; `None` where the link ended or does not answer within `patience`.
    pub async fn ping(&self, patience: Duration) -> Option<Duration> {
        let (sender, answer) = oneshot::channel();
        let member = self.members.load().first().cloned()?;
        member.handle.commands.send(Command::Ping(sender)).await.ok()?;
        tokio::time::timeout(patience, answer).await.ok()?.ok()
    }

    /// Takes no new flows and closes once the open ones have ended, at the latest after `grace`.
    pub fn go_away(&self, reason: GoAwayReason, grace: Duration) {
        self.mark_going_away();
        for member in self.members.load().iter() {
            member.handle.ready.leave(reason, grace);
        }
    }

    /// Whether it is the end-to-end session with a site that is not a neighbour, in circuits.
    pub fn is_circuit(&self) -> bool {
        self.circuit
    }

    /// Flows that are open on it.
    pub fn flows_open(&self) -> u64 {
        self.members.load().iter().map(|m| m.handle.load.flows.get()).sum()
    }

    /// Whether new flows may take it.
    pub fn takes_flows(&self) -> bool {
        !self.going_away.load(Ordering::Relaxed) && !self.members.load().is_empty()
    }

    pub(crate) fn is_going_away(&self) -> bool {
        self.going_away.load(Ordering::Relaxed)
    }

    pub(crate) fn mark_going_away(&self) {
        self.going_away.store(true, Ordering::Release);
        self.goes_away.notify_waiters();
    }

    /// Tells the one who waits for it of a new flow.
    pub(crate) fn note_flow(&self) {
        self.gets_flow.notify_one();
    }

    /// Waits for a flow that is new since the last time.
    pub(crate) async fn got_flow(&self) {
        self.gets_flow.notified().await;
    }

    /// Waits until it takes no flows any more because either side said so.
    pub(crate) async fn went_away(&self) {
        // Made before the look, so that nothing is missed between the two.
        let rung = self.goes_away.notified();
        if !self.going_away.load(Ordering::Acquire) {
            rung.await;
        }
    }

    /// Changes whenever one of its connections begins or ends: what was sent over one before may be
    /// lost.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// The last round-trip time.
    pub fn round_trip(&self) -> Option<Duration> {
        Some(self.round_trip_ns.load(Ordering::Relaxed))
            .filter(|ns| *ns > 0)
            .map(Duration::from_nanos)
    }

    pub(crate) fn set_round_trip(&self, sample: Duration) {
        self.round_trip_ns.store(sample.as_nanos() as u64, Ordering::Relaxed);
    }

    /// When the peer's present certificate expires.
    pub fn certificate_expires(&self) -> Option<Timestamp> {
        let seconds = self.leaf_not_after.load(Ordering::Relaxed);
        Timestamp::from_second(i64::try_from(seconds).ok()?).ok().filter(|_| seconds > 0)
    }

    pub(crate) fn set_certificate_expires(&self, time: Timestamp) {
        let seconds = u64::try_from(time.as_second()).unwrap_or(0);
        self.leaf_not_after.fetch_max(seconds, Ordering::Relaxed);
    }

    /// Its connections.
    pub fn connections(&self) -> Vec<ConnectionStatus> {
        let members = self.members.load();
        let mut list: Vec<_> = members.iter().map(|m| m.status()).collect();
        list.sort_by_key(|c| c.index);
        list
    }

    /// Where the other end is.
    pub fn remote(&self) -> Option<String> {
        self.members.load().first().map(|m| m.remote.clone())
    }

    /// Connections whose send queue stands.
    pub(crate) fn is_congested(&self) -> bool {
        let members = self.members.load();
        self.may_grow() && members.iter().all(|m| m.handle.load.queued.get() >= 64 * 1024)
    }

    /// Whether it carries more flows than it has connections.
    pub(crate) fn may_grow(&self) -> bool {
        let members = self.members.load();
        let flows: u64 = members.iter().map(|m| m.handle.load.flows.get()).sum();
        flows > members.len() as u64
    }

    pub(crate) fn add(&self, member: &Arc<Member>) {
        self.members.rcu(|members| {
            let mut members = Vec::clone(members);
            members.push(member.clone());
            members
        });
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a connection out; returns how many are left.
    pub(crate) fn remove(&self, member: &Arc<Member>) -> usize {
        self.members.rcu(|members| {
            let mut members = Vec::clone(members);
            members.retain(|m| !Arc::ptr_eq(m, member));
            members
        });
        self.generation.fetch_add(1, Ordering::Relaxed);
        self.members.load().len()
    }
}

impl Member {
    fn status(&self) -> ConnectionStatus {
        ConnectionStatus {
            index: self.index,
            local: self.local.clone(),
            remote: self.remote.clone(),
            tls: "1.3".into(),
            cipher: self.tls.cipher.clone(),
            key_exchange: self.tls.key_exchange.clone(),
            resumed: self.tls.resumed,
            since: self.since,
            flows_open: self.handle.load.flows.get(),
        }
    }
}
