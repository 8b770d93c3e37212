//! One container, as far as a site cares.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// What a container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It runs, and its health check (if it has one) does not fail. One that has not passed for the
    /// first time counts as that: podman may take half a minute until it asks.
    Running,
    /// It runs, and its health check fails.
    Unhealthy,
    /// Its processes are frozen.
    Paused,
    /// It does not run.
    Stopped,
}

/// A port of a container that the host forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The TCP port inside.
    pub port: u16,
    /// Where this host reaches it.
    pub at: SocketAddr,
}

/// One container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its id, 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was made, as podman writes it: later ones sort behind.
    pub created: String,
    /// The name of its pod, where it is in one.
    pub pod: Option<String>,
    /// What it does.
    pub state: State,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its addresses in podman's networks, those of version 4 first.
    pub addresses: Vec<IpAddr>,
    /// Ports that the host forwards to it.
    pub published: Vec<Published>,
    /// Whether it shares the host's own network.
    pub on_host: bool,
}

impl Container {
    /// Whether it runs, well or not.
    pub fn is_running(&self) -> bool {
        self.state != State::Stopped
    }
}
