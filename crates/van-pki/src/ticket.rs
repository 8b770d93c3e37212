//! Session tickets, kept for at most an hour at either end.
//!
//! A resumed handshake repeats the certificates of the first one, and gives new tickets for them.
//! The client forgets its tickets each hour, so that such a chain ends long before a leaf expires.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use rustls::NamedGroup;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::ServerName;
use rustls::server::ProducesTickets;
use rustls::time_provider::TimeProvider;

use crate::clock;

/// Seconds for which a ticket counts.
const LIFE: u32 = 3600;
/// Seconds for which the server makes tickets with one key; they are read for as long again.
const KEY_LIFE: i64 = LIFE as i64 / 2;
/// Names under which a client may have met the one peer.
const NAMES: usize = 16;

/// What seals and opens tickets.
type Key = Arc<dyn ProducesTickets>;

/// The server's ticket keys: the current one, and the one before.
#[derive(Debug)]
pub(crate) struct ServerTickets {
    clock: Arc<dyn TimeProvider>,
    keys: Mutex<Keys>,
}

#[derive(Debug, Default)]
struct Keys {
    since: Option<Timestamp>,
    current: Option<Key>,
    previous: Option<Key>,
}

impl ServerTickets {
    pub(crate) fn new(clock: Arc<dyn TimeProvider>) -> Arc<Self> {
        Arc::new(Self { clock, keys: Mutex::new(Keys::default()) })
    }

    /// The keys that count now: the current one and the one before.
    fn keys(&self) -> (Option<Key>, Option<Key>) {
        let Some(now) = self.clock.current_time().map(clock::from_unix) else {
            return (None, None);
        };
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back makes the age unknown: it counts as too old.
        let age = keys
            .since
            .map(|since| now.as_second() - since.as_second())
            .filter(|age| *age >= 0)
            .unwrap_or(i64::MAX);
        if age >= KEY_LIFE {
            let last = keys.current.take();
            keys.previous = last.filter(|_| age < 2 * KEY_LIFE);
            keys.current = Ticketer::new().ok();
            keys.since = Some(now);
        }
        (keys.current.clone(), keys.previous.clone())
    }
}

impl ProducesTickets for ServerTickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFE
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.keys().0?.encrypt(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let (current, previous) = self.keys();
        [current, previous].into_iter().flatten().find_map(|key| key.decrypt(cipher))
    }
}

/// The tickets that a client got from one peer.
#[derive(Debug)]
pub(crate) struct ClientTickets {
    clock: Arc<dyn TimeProvider>,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    since: Option<Timestamp>,
    store: Arc<ClientSessionMemoryCache>,
}

impl ClientTickets {
    pub(crate) fn new(clock: Arc<dyn TimeProvider>) -> Arc<Self> {
        let kept = Kept { since: None, store: Arc::new(ClientSessionMemoryCache::new(NAMES)) };
        Arc::new(Self { clock, kept: Mutex::new(kept) })
    }

    fn store(&self) -> Arc<ClientSessionMemoryCache> {
        let now = self.clock.current_time().map(clock::from_unix);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = now.zip(kept.since).is_some_and(|(now, since)| {
            (0..i64::from(LIFE)).contains(&(now.as_second() - since.as_second()))
        });
        if !fresh {
            *kept = Kept { since: now, store: Arc::new(ClientSessionMemoryCache::new(NAMES)) };
        }
        Arc::clone(&kept.store)
    }
}

impl ClientSessionStore for ClientTickets {
    fn set_kx_hint(&self, server_name: ServerName<'static>, group: NamedGroup) {
        self.store().set_kx_hint(server_name, group);
    }

    fn kx_hint(&self, server_name: &ServerName<'_>) -> Option<NamedGroup> {
        self.store().kx_hint(server_name)
    }

    fn set_tls12_session(&self, _name: ServerName<'static>, _value: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _name: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, name: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.store().insert_tls13_ticket(name, value);
    }

    fn take_tls13_ticket(&self, name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.store().take_tls13_ticket(name)
    }
}
