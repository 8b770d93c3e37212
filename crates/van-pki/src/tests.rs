//! Sites made for tests, and the tests of handshakes, certificates and tokens.

mod authorities;
mod certificates;
mod handshake;
mod resumption;
mod signing;
mod tokens;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use rustls::pki_types::UnixTime;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use van_model::SiteId;

use crate::{Authority, CertificateDer, Identity, Peers, TimeProvider};

/// When the tests take place.
pub(super) const NOW: i64 = 1_800_000_000;

/// Seconds of a day.
pub(super) const DAY: i64 = 86_400;

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A clock that is set by hand.
#[derive(Debug)]
pub(super) struct Clock(AtomicI64);

impl Clock {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(NOW)))
    }

    pub(super) fn set(&self, second: i64) {
        self.0.store(second, Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> Timestamp {
        at(self.0.load(Ordering::Relaxed))
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let second = self.0.load(Ordering::Relaxed).cast_unsigned();
        Some(UnixTime::since_unix_epoch(Duration::from_secs(second)))
    }
}

/// Pinned peers that can be revoked.
#[derive(Debug, Default)]
pub(super) struct Pins(RwLock<BTreeMap<SiteId, CertificateDer<'static>>>);

impl Pins {
    pub(super) fn pin(&self, authority: &Authority) {
        self.0.write().unwrap().insert(authority.id(), authority.certificate().clone());
    }

    pub(super) fn revoke(&self, id: SiteId) {
        self.0.write().unwrap().remove(&id);
    }
}

impl Peers for Pins {
    fn authority(&self, id: &SiteId) -> Option<CertificateDer<'static>> {
        self.0.read().unwrap().get(id).cloned()
    }
}

/// A site with its pinned peers.
pub(super) struct Site {
    pub(super) authority: Authority,
    pub(super) identity: Arc<Identity>,
    pub(super) pins: Arc<Pins>,
    pub(super) clock: Arc<Clock>,
}

impl Site {
    pub(super) fn new(clock: &Arc<Clock>) -> Self {
        let authority = Authority::generate(clock.now()).unwrap();
        let identity = Identity::new(&authority, authority.issue_leaf(clock.now()).unwrap());
        Self { authority, identity, pins: Arc::default(), clock: Arc::clone(clock) }
    }

    /// Two sites that pin each other.
    pub(super) fn pair() -> (Self, Self) {
        let clock = Clock::new();
        let (one, two) = (Self::new(&clock), Self::new(&clock));
        one.pins.pin(&two.authority);
        two.pins.pin(&one.authority);
        (one, two)
    }

    pub(super) fn id(&self) -> SiteId {
        self.authority.id()
    }

    pub(super) fn dials(&self, peer: SiteId) -> Arc<ClientConfig> {
        let pins: Arc<dyn Peers> = Arc::<Pins>::clone(&self.pins);
        crate::session_client_config(&self.identity, peer, pins, self.time())
    }

    pub(super) fn accepts(&self) -> Arc<ServerConfig> {
        let pins: Arc<dyn Peers> = Arc::<Pins>::clone(&self.pins);
        crate::session_server_config(&self.identity, pins, self.time())
    }

    pub(super) fn time(&self) -> Arc<dyn TimeProvider> {
        Arc::<Clock>::clone(&self.clock)
    }
}

/// The two ends of a connection through memory.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) client: ClientConnection,
    pub(super) server: ServerConnection,
}

/// Which end gave up, and why; the other end's reaction to the alert, if it had one.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) by_client: Option<rustls::Error>,
    pub(super) by_server: Option<rustls::Error>,
}

impl Wire {
    pub(super) fn connect(
        client: &Arc<ClientConfig>,
        server: &Arc<ServerConfig>,
    ) -> Result<Self, Box<Refused>> {
        let name = "any.example.net".try_into().unwrap();
        let client = ClientConnection::new(Arc::clone(client), name).unwrap();
        let server = ServerConnection::new(Arc::clone(server)).unwrap();
        let mut wire = Self { client, server };
        wire.settle()?;
        Ok(wire)
    }

    /// Carries bytes both ways until neither end has any left.
    pub(super) fn settle(&mut self) -> Result<(), Box<Refused>> {
        let mut refused = Refused { by_client: None, by_server: None };
        loop {
            let mut moved = false;
            while self.client.wants_write() {
                let mut bytes = Vec::new();
                self.client.write_tls(&mut bytes).unwrap();
                moved = true;
                let mut rest = &bytes[..];
                while !rest.is_empty() && self.server.read_tls(&mut rest).unwrap() > 0 {
                    if let Err(error) = self.server.process_new_packets() {
                        refused.by_server.get_or_insert(error);
                    }
                }
            }
            while self.server.wants_write() {
                let mut bytes = Vec::new();
                self.server.write_tls(&mut bytes).unwrap();
                moved = true;
                let mut rest = &bytes[..];
                while !rest.is_empty() && self.client.read_tls(&mut rest).unwrap() > 0 {
                    if let Err(error) = self.client.process_new_packets() {
                        refused.by_client.get_or_insert(error);
                    }
                }
            }
            if refused.by_client.is_some() && refused.by_server.is_some() || !moved {
                break;
            }
        }
        if refused.by_client.is_some() || refused.by_server.is_some() {
            return Err(Box::new(refused));
        }
        assert!(!self.client.is_handshaking() && !self.server.is_handshaking());
        Ok(())
    }

    /// Sends a line from the client to the server.
    pub(super) fn talk(&mut self) {
        use std::io::{Read, Write};
        self.client.writer().write_all(b"hello").unwrap();
        self.settle().unwrap();
        let mut line = [0; 5];
        self.server.reader().read_exact(&mut line).unwrap();
        assert_eq!(&line, b"hello");
    }
}
