//! Keeping up a link that this site dials: redeeming its token once, then a few connections.

mod failure;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, DnsName, ServerName};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{debug, info, warn};
use van_model::status::{Direction, LinkState};
use van_model::{Cost, HostPort, SiteId};
use van_mux::GoAwayReason;
use van_pki::{PeerError, Token};

use crate::backoff::Backoff;
use crate::connect::{Segments, connect};
use crate::connection::EndReason;
use crate::establish::{HANDSHAKE_TIMEOUT, Handshake, tune};
use crate::join::{JoinRequest, Joined, redeem};
use crate::link::Link;
use crate::links::{Dialled, Links, Place};
use crate::meter::Meter;
use crate::proxy::Proxy;
use crate::tasks::Tasks;
use crate::transport::Transport;
use failure::{Failure, ended};

/// A link that is to be dialled.
#[derive(Debug, Clone)]
pub struct DialSpec {
    /// The link's name.
    pub name: String,
    /// The site at the other end.
    pub peer: SiteId,
    /// Where it is reached.
    pub endpoints: Vec<HostPort>,
    /// The link's cost.
    pub cost: Cost,
    /// The way out.
    pub proxy: Option<Proxy>,
    /// What to redeem where the sites don't know each other yet.
    pub token: Option<Token>,
}

/// How a dialled link stands.
#[derive(Debug, Clone)]
pub struct DialStatus {
    /// In one word.
    pub state: LinkState,
    /// One word for programs.
    pub reason: &'static str,
    /// Why the last attempt failed.
    pub message: Option<String>,
    /// What the user can do.
    pub hint: Option<String>,
    /// How often the link came up again.
    pub reconnects: u64,
}

/// Pins the issuer of a redeemed token, durably, before it is dialled.
pub trait Pin: Send + Sync {
    /// Keeps the peer; the error is a sentence.
    fn pin(&self, link: &str, joined: &Joined) -> Result<(), String>;

    /// Whether this site may trust such an authority; the error is a sentence.
    fn may_trust(&self, authority: &CertificateDer<'_>) -> Result<(), String>;

    /// Whether this site has revoked the peer, so that nothing may bring it back by itself.
    fn is_revoked(&self, peer: &SiteId) -> bool;
}

/// Connections that a link starts with: one is one congestion window and one lost segment away from
/// standing still (`link-protocol.md`).
const CONNECTIONS: u16 = 2;

/// The most connections of a link.
const MAX_CONNECTIONS: u16 = 16;

/// The most connections with which all replicas of a peer are looked for: of two that a balancer chooses between
/// evenly, one is missed by this many in one of 128 links.
const MOST_FOR_REPLICAS: u16 = 8;

/// How often a link looks whether it needs one more connection.
const GROWTH_PERIOD: Duration = Duration::from_millis(250);

/// A handshake that fails after this has heard nothing: the other end gives up first where it began
/// to wait a moment sooner.
const SILENT_HANDSHAKE: Duration = HANDSHAKE_TIMEOUT.saturating_sub(Duration::from_secs(1));

/// Keeps one link up until its tasks are cancelled.
pub struct Dialler {
    links: Arc<Links>,
    spec: DialSpec,
    pin: Arc<dyn Pin>,
    status: watch::Sender<DialStatus>,
    config: Arc<ClientConfig>,
    /// The present incarnation's number.
    number: AtomicU64,
    /// Whether connections keep to short segments.
    short: AtomicBool,
    meter: Arc<Meter>,
    tasks: Tasks,
}

impl Dialler {
    /// Starts keeping a link up. Its status is told by the receiver; its counts by the meter.
    pub fn start(
        links: Arc<Links>,
        spec: DialSpec,
        pin: Arc<dyn Pin>,
        tasks: &Tasks,
    ) -> (watch::Receiver<DialStatus>, Arc<Meter>) {
        let status = DialStatus {
            state: LinkState::Connecting,
            reason: "Connecting",
            message: None,
            hint: None,
            reconnects: 0,
        };
        let (status, receiver) = watch::channel(status);
        let (identity, peers, clock) = (&links.identity, &links.peers, &links.clock);
        let config =
            van_pki::session_client_config(identity, spec.peer, peers.clone(), clock.clone());
        let meter: Arc<Meter> = Arc::default();
        let dialler = Arc::new(Self {
            links,
            spec,
            pin,
            status,
            config,
            number: AtomicU64::new(rand::random()),
            short: AtomicBool::new(false),
            meter: meter.clone(),
            tasks: tasks.clone(),
        });
        tasks.spawn("link", async move { dialler.keep_up().await });
        (receiver, meter)
    }

    /// One incarnation of the link after the other, for ever.
    async fn keep_up(self: Arc<Self>) {
        let mut backoff = Backoff::default();
        let mut was_up = false;
        loop {
            self.wait_for_winner().await;
            if was_up {
                self.status.send_modify(|s| s.reconnects += 1);
            }
            // Connections of an earlier incarnation may still drain: they are another link.
            self.number.store(rand::random(), Ordering::Relaxed);
            let scope = self.tasks.child();
            let _ends_with_it = scope.guard();
            let up: watch::Sender<Option<Instant>> = watch::Sender::new(None);
            let (dialler, tell, inner) = (self.clone(), up.clone(), scope.clone());
            scope.spawn("link up", async move { dialler.when_up(tell, inner).await });
            let outcome = self.incarnation(&scope, &up).await;
            let lasted = up.borrow().map(|since| since.elapsed());
            was_up = lasted.is_some();
            if let Some(lasted) = lasted {
                backoff.was_up(lasted);
            }
            let wait = self.tell(&outcome).unwrap_or_else(|| backoff.next());
            debug!(van.link = %self.spec.name, ?wait, "next attempt");
            sleep(wait).await;
        }
    }

    /// Keeps the first connection while the link has any and takes flows.
    async fn incarnation(
        self: &Arc<Self>,
        scope: &Tasks,
        up: &watch::Sender<Option<Instant>>,
    ) -> Result<EndReason, Failure> {
        let mut backoff = Backoff::default();
        loop {
            let start = Instant::now();
            let outcome = tokio::select! {
                outcome = self.attempt(0, scope) => outcome,
                reason = self.went_away(up.subscribe()) => Ok(reason),
            };
            if up.borrow().is_none() || self.own_link().is_none() {
                return outcome;
            }
            debug!(van.link = %self.spec.name, ?outcome, "the first connection ended, others go on");
            if outcome.is_ok() {
                backoff.was_up(start.elapsed());
            }
            sleep(backoff.next()).await;
        }
    }

    /// While the peer's own link to this site is the one that stays, this one rests.
    async fn wait_for_winner(&self) {
        let own = self.links.local().id;
        // Of two replicas of one site only one dials.
        if own == self.spec.peer {
            return;
        }
        let incoming = |l: &Arc<Link>| l.direction == Direction::Incoming;
        while self.links.to(&self.spec.peer).iter().any(incoming) {
            if own < self.spec.peer {
                return;
            }
            self.connected();
            sleep(GROWTH_PERIOD).await;
        }
    }

    /// One connection from dialling to its end.
    async fn attempt(self: &Arc<Self>, index: u16, scope: &Tasks) -> Result<EndReason, Failure> {
        let handshake = match self.handshake().await {
            Err(Failure::Unknown) => {
                self.join().await?;
                self.handshake().await?
            }
            other => other?,
        };
        let dialled = Dialled {
            name: self.spec.name.clone(),
            number: self.number.load(Ordering::Relaxed),
            index,
            cost: self.spec.cost.get(),
            meter: self.meter.clone(),
            scope: scope.clone(),
        };
        let outcome =
            self.links.run(usize::from(index), handshake, Some(dialled), Place::Link).await;
        match outcome.map_err(Failure::Ended)? {
            EndReason::Tls(error) if PeerError::refused_as_unknown(&error) => {
                self.join().await?;
                // Known now: the next attempt is due at once.
                Ok(EndReason::Closed)
            }
            reason => Ok(reason),
        }
    }

    async fn handshake(&self) -> Result<Handshake, Failure> {
        if self.links.peers.authority(&self.spec.peer).is_none() {
            return Err(Failure::Unknown);
        }
        self.session(self.config.clone(), "van/1").await
    }

    /// A TLS session with the peer.
    async fn session(
        &self,
        config: Arc<ClientConfig>,
        alpn: &'static str,
    ) -> Result<Handshake, Failure> {
        let short = self.short.load(Ordering::Relaxed);
        let segments = if short { Segments::Short } else { Segments::Any };
        let (socket, endpoint) = connect(&self.spec.endpoints, self.spec.proxy.as_ref(), segments)
            .await
            .map_err(Failure::Connect)?;
        tune(&socket);
        let name = server_name(&endpoint, &self.spec.peer);
        let start = Instant::now();
        let session = Handshake::dial(Transport::Tcp(socket), config, name, alpn).await;
        if session.is_err() && start.elapsed() >= SILENT_HANDSHAKE {
            // Its long packets may be what gets lost; where that is not so, the next try is as the
            // first.
            self.short.store(!short, Ordering::Relaxed);
        }
        session.map_err(Failure::Handshake)
    }

    /// Redeems the token and pins its issuer.
    async fn join(&self) -> Result<(), Failure> {
        if self.pin.is_revoked(&self.spec.peer) {
            return Err(Failure::Revoked);
        }
        let token = self.spec.token.as_ref().ok_or(Failure::Unknown)?;
        let issuer = self.spec.peer;
        let config =
            van_pki::join_client_config(&self.links.identity, issuer, self.links.clock.clone());
        let session = self.session(config, "van-join/1").await?;
        let proved = van_pki::check_joiner(&session.tls().peer_chain(), self.links.now())
            .map_err(|e| Failure::Ended(EndReason::Refused(e.to_string())))?;
        // Before the token's use is spent.
        self.pin.may_trust(&proved.authority).map_err(Failure::NotTrusted)?;
        let local = self.links.local();
        let request = JoinRequest {
            secret: token.secret.clone(),
            name: local.name,
            mode: local.mode,
            ephemeral: local.ephemeral,
        };
        let admission = redeem(session, issuer, local.id, &request).await.map_err(Failure::Join)?;
        info!(van.link = %self.spec.name, van.site = %admission.name, "token redeemed");
        let joined = Joined { issuer, authority: proved.authority, admission };
        self.pin.pin(&self.spec.name, &joined).map_err(Failure::Pin)
    }

    /// Waits until the link is up, says so, then keeps its further connections.
    async fn when_up(self: Arc<Self>, up: watch::Sender<Option<Instant>>, scope: Tasks) {
        while self.own_link().is_none() {
            sleep(Duration::from_millis(5)).await;
        }
        up.send_replace(Some(Instant::now()));
        self.connected();
        let mut count = 1;
        let mut congested = 0;
        loop {
            while count < CONNECTIONS {
                self.clone().add_connection(count, &scope);
                count += 1;
            }
            if self.misses_replica() && count < MOST_FOR_REPLICAS {
                self.clone().add_connection(count, &scope);
                count += 1;
            } else if let Some(link) = self.own_link().filter(|link| !link.may_grow()) {
                tokio::select! {
                    () = link.got_flow() => {}
                    () = link.went_away() => {}
                    () = self.links.rerouted() => {}
                }
            }
            sleep(GROWTH_PERIOD).await;
            let is_congested = self.own_link().is_some_and(|link| link.is_congested());
            congested = if is_congested { congested + 1 } else { 0 };
            if congested >= 2 && count < MAX_CONNECTIONS {
                self.clone().add_connection(count, &scope);
                (count, congested) = (count + 1, 0);
            }
        }
    }

    /// The links of this incarnation that take flows: one for each replica of the peer that its connections
    /// came to.
    fn own_links(&self) -> Vec<Arc<Link>> {
        let number = self.number.load(Ordering::Relaxed);
        let mut links = self.links.all();
        links.retain(|l| l.number == number && l.peer.id == self.spec.peer && l.takes_flows());
        links
    }

    /// Whether the peer runs several routers, and one of them has no connection of this link: where it comes to
    /// is up to the balancer before them.
    fn misses_replica(&self) -> bool {
        let peer = &self.spec.peer;
        if *peer == self.links.local().id {
            return false;
        }
        let known = self.links.paths.replicas(peer);
        let links = self.own_links();
        known.len() > 1 && known.iter().any(|of| links.iter().all(|link| link.peer.replica != *of))
    }

    fn own_link(&self) -> Option<Arc<Link>> {
        self.own_links().into_iter().next()
    }

    /// Waits until a link that was up takes no flows any more, with any replica; what is open on it drains by
    /// itself.
    async fn went_away(&self, mut up: watch::Receiver<Option<Instant>>) -> EndReason {
        // Its sender outlives this.
        let _ = up.wait_for(Option::is_some).await;
        loop {
            let links = self.own_links();
            if links.is_empty() {
                // Of one that broke, its connection tells why.
                sleep(GROWTH_PERIOD).await;
                return EndReason::WentAway(GoAwayReason::Duplicate);
            }
            let all = links.iter().map(|link| Box::pin(link.went_away()));
            futures_util::future::select_all(all).await;
        }
    }

    /// Keeps one more connection up while the link takes flows.
    fn add_connection(self: Arc<Self>, index: u16, scope: &Tasks) {
        let inner = scope.clone();
        scope.spawn("link connection", async move {
            let mut backoff = Backoff::default();
            while self.own_link().is_some() {
                let start = Instant::now();
                let outcome = self.attempt(index, &inner).await;
                if outcome.is_ok() {
                    backoff.was_up(start.elapsed());
                }
                debug!(van.link = %self.spec.name, index, ?outcome, "further connection ended");
                sleep(backoff.next()).await;
            }
        });
    }

    fn connected(&self) {
        self.status.send_if_modified(|status| {
            let changed = status.state != LinkState::Connected;
            (status.state, status.reason) = (LinkState::Connected, "Connected");
            (status.message, status.hint) = (None, None);
            changed
        });
        self.links.observer.changed();
    }

    /// Tells how an attempt ended; returns how long to wait where the usual wait does not fit.
    fn tell(&self, outcome: &Result<EndReason, Failure>) -> Option<Duration> {
        let (reason, message, hint, wait) = match outcome {
            Ok(EndReason::WentAway(GoAwayReason::Duplicate))
            | Ok(EndReason::PeerWentAway(GoAwayReason::Duplicate)) => return Some(GROWTH_PERIOD),
            Ok(reason) => ended(reason),
            Err(failure) => failure.explain(self),
        };
        warn!(van.link = %self.spec.name, reason, %message, "link is not up");
        self.status.send_modify(|status| {
            status.state = LinkState::Failed;
            status.reason = reason;
            status.message = Some(message);
            status.hint = hint;
        });
        self.links.observer.changed();
        wait
    }
}

/// What goes into SNI: the endpoint's name, for passthrough routers; an address has none, so that
/// the site's own name stands in for it.
fn server_name(endpoint: &HostPort, peer: &SiteId) -> ServerName<'static> {
    let by_name = DnsName::try_from(endpoint.host().to_owned()).ok();
    let own = || DnsName::try_from(peer.dns_name()).expect("a site's name is a DNS name");
    ServerName::DnsName(by_name.filter(|_| endpoint.socket_addr().is_none()).unwrap_or_else(own))
}
