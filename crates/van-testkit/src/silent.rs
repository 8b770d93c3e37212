//! A workload that accepts and never answers.

use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// A server on a loopback port that takes connections, reads nothing and says nothing.
#[derive(Debug)]
pub struct Silent {
    port: u16,
    held: Arc<Mutex<Vec<TcpStream>>>,
}

impl Silent {
    /// Starts one on a free port; it stands until the test's process ends.
    ///
    /// # Panics
    /// When there is none.
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let held = Arc::new(Mutex::new(Vec::new()));
        let into = held.clone();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                into.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
            }
        });
        Self { port, held }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connections that it holds.
    pub fn held(&self) -> usize {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
