//! What is known of one podman.

use std::path::PathBuf;
use std::sync::Arc;

use crate::container::Container;

/// The podman that answers at a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// Its version, as `5.4.2`.
    pub version: String,
    /// Whether a user runs it without root's rights: its networks are not the host's.
    pub rootless: bool,
}

/// What is known of one podman.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its API socket.
    pub socket: PathBuf,
    /// Whose it is; `None`: it was never heard of.
    pub engine: Option<Engine>,
    /// How many containers it has in all, running or not.
    pub total: usize,
    /// Those that somebody cares about, in the order in which they were made. They stay while podman
    /// can't be asked.
    pub containers: Vec<Arc<Container>>,
    /// Why podman can't be asked at the moment.
    pub trouble: Option<String>,
}

impl Snapshot {
    /// A podman that was not asked yet.
    pub fn new(socket: PathBuf) -> Self {
        Self { socket, engine: None, total: 0, containers: Vec::new(), trouble: None }
    }

    /// Whether it was asked, and answered or failed.
    pub fn is_known(&self) -> bool {
        self.engine.is_some() || self.trouble.is_some()
    }

    pub(crate) fn is_rootless(&self) -> bool {
        self.engine.as_ref().is_some_and(|engine| engine.rootless)
    }
}
