//! Ports and what answers at them.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

/// Ports below those that the kernel gives to clients, so that none is taken between the look and
/// the use.
const FIRST: u16 = 20_000;
/// How many of them.
const COUNT: u16 = 12_000;

/// Finds a free TCP port on the loopback address; never the same twice in a process, and unlikely
/// in two that run at once.
///
/// # Panics
/// When all are taken.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 120) as u16 * 100;
    for _ in 0..COUNT {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (start + offset) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port from {FIRST} to {} is free on 127.0.0.1", FIRST + COUNT - 1);
}

/// Whether connections to a loopback port are refused now.
pub fn is_refused(port: u16) -> bool {
    let address = ([127, 0, 0, 1], port).into();
    match TcpStream::connect_timeout(&address, Duration::from_secs(5)) {
        Ok(_) => false,
        Err(error) => error.kind() == ErrorKind::ConnectionRefused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_differ_and_refuse() {
        let (one, two) = (free_port(), free_port());
        assert_ne!(one, two);
        assert!(is_refused(one));
        let _held = TcpListener::bind(("127.0.0.1", one)).unwrap();
        assert!(!is_refused(one));
    }
}
