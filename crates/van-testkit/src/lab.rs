//! Hosts and cables of a test.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Mutex, Once, PoisonError};

use tempfile::TempDir;

use crate::cable::{Cable, device};
use crate::namespace::{Host, NAMESPACES, ip, remove};
use crate::wait::temp_dir;
use crate::wire::{Quality, Wire};

/// The start of every namespace's name; the test's process and what makes it unique follow.
const PREFIX: &str = "van-lab-";

/// A laboratory: hosts in network namespaces, and cables between them.
///
/// Dropping it takes everything away, also what still runs there. What a killed test run left is
/// taken away by the next.
#[derive(Debug)]
pub struct Lab {
    tag: String,
    cables: AtomicU8,
    hosts: Mutex<Vec<Host>>,
    dir: TempDir,
}

impl Lab {
    /// Opens one.
    ///
    /// # Panics
    /// Without the right to make network namespaces; the message says what is needed.
    #[track_caller]
    #[allow(clippy::new_without_default, reason = "it is no plain value")]
    pub fn new() -> Self {
        static SWEPT: Once = Once::new();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        assert!(
            nix::unistd::geteuid().is_root(),
            "network namespaces need root, or CAP_NET_ADMIN and CAP_SYS_ADMIN: run `sudo make test`"
        );
        SWEPT.call_once(sweep);
        let process = std::process::id();
        let born = born(process).expect("a running process has a start");
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let tag = format!("{PREFIX}{process}-{born}-{number}-");
        Self { tag, cables: AtomicU8::new(0), hosts: Mutex::default(), dir: temp_dir() }
    }

    /// Makes a host, which is joined to nothing.
    ///
    /// # Panics
    /// When the kernel refuses it, or there is one of that name.
    #[track_caller]
    pub fn host(&self, name: &str) -> Host {
        let host = Host::new(name, format!("{}{name}", self.tag));
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).push(host.clone());
        host
    }

    /// Joins two hosts.
    ///
    /// # Panics
    /// When the kernel refuses it.
    #[track_caller]
    pub fn cable(&self, a: &Host, b: &Host) -> Cable {
        let number = self.cables.fetch_add(1, Ordering::Relaxed);
        let (device, [a_space, b_space]) = (device(number), [a, b].map(Host::namespace));
        let pair = format!(
            "link add {device} netns {a_space} type veth peer name {device} netns {b_space}"
        );
        ip(&["-batch", "-"], &pair);
        Cable::plug(number, [a, b], None)
    }

    /// Joins two hosts by a cable with delay and loss; kernels without an emulator of networks do.
    ///
    /// # Panics
    /// When the kernel refuses it.
    #[track_caller]
    pub fn slow_cable(&self, a: &Host, b: &Host, quality: Quality) -> Cable {
        let number = self.cables.fetch_add(1, Ordering::Relaxed);
        let wire = Wire::plug(a, b, &device(number), quality);
        Cable::plug(number, [a, b], Some(wire))
    }

    /// A folder for what the test's programs keep.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for host in self.hosts.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            remove(host.namespace());
        }
    }
}

/// Takes away the namespaces of processes that are gone.
fn sweep() {
    // No folder: no namespace was ever made.
    let Ok(entries) = fs::read_dir(NAMESPACES) else { return };
    for name in entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()) {
        let Some(owner) = name.strip_prefix(PREFIX) else { continue };
        let mut parts = owner.split('-').map(str::parse::<u64>);
        let (Some(Ok(process)), Some(Ok(since))) = (parts.next(), parts.next()) else { continue };
        let lives = u32::try_from(process).ok().and_then(born) == Some(since);
        if !lives {
            remove(&name);
        }
    }
}

/// When a process was started, in ticks since the machine was: with its id it is the only one.
fn born(process: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The program's name, which may hold anything, ends with the last parenthesis.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;
    use crate::{FlowEnd, PatternServer, pattern_flow};

    #[test]
    fn the_own_process_has_a_start_and_the_idle_one_none() {
        assert!(born(std::process::id()).is_some_and(|born| born > 0));
        assert_eq!(born(0), None);
    }

    #[test]
    fn hosts_talk_over_cables_that_fall_silent_and_go_with_the_lab() {
        let lab = Lab::new();
        let [a, b] = ["a", "b"].map(|name| lab.host(name));
        let cable = lab.cable(&a, &b);
        let place = SocketAddr::new(cable.address(&b).into(), 9);
        let _open = b.within(|| TcpListener::bind(place)).unwrap();
        let short = Duration::from_millis(500);
        let dials = || a.within(|| TcpStream::connect_timeout(&place, short).is_ok());
        assert!(dials());
        for host in [&a, &b] {
            cable.silence_towards(host);
            assert!(!dials());
            cable.heal_towards(host);
            assert!(dials());
        }
        b.only_dials();
        assert!(!dials());
        // Loopback ports are each host's own.
        let server = b.within(PatternServer::start);
        let flow = || pattern_flow(server.port(), 1, 1000, 1000);
        assert!(matches!(b.within(flow), FlowEnd::Complete));
        assert!(matches!(a.within(flow), FlowEnd::Broken(_)));
        let path = b.path();
        assert!(path.exists());
        drop(lab);
        assert!(!path.exists());
    }
}
