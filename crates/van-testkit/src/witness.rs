//! A workload that sends back what it gets, and remembers how each conversation ended.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::socket;

/// An echo server on a loopback port. Connections on which nothing is said, as checks of a target
/// are, don't count.
#[derive(Debug)]
pub struct Witness {
    port: u16,
    listener: TcpListener,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    talks: AtomicUsize,
    ended: AtomicUsize,
    broken: AtomicUsize,
    numbers: AtomicUsize,
    open: Mutex<BTreeMap<usize, TcpStream>>,
}

impl Witness {
    /// Starts one on a port.
    ///
    /// # Panics
    /// When it is taken.
    #[track_caller]
    pub fn start(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port));
        let listener = listener.unwrap_or_else(|e| panic!("can't listen at port {port}: {e}"));
        let seen = Arc::<Seen>::default();
        let accepting = listener.try_clone().expect("a file descriptor can be doubled");
        let into = seen.clone();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = accepting.accept() {
                let seen = into.clone();
                std::thread::spawn(move || seen.hear(&stream));
            }
        });
        Self { port, listener, seen }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Conversations so far.
    pub fn talks(&self) -> usize {
        self.seen.talks.load(Ordering::Relaxed)
    }

    /// Conversations that came to an orderly end.
    pub fn ended(&self) -> usize {
        self.seen.ended.load(Ordering::Relaxed)
    }

    /// Conversations that were reset.
    pub fn broken(&self) -> usize {
        self.seen.broken.load(Ordering::Relaxed)
    }
}

impl Drop for Witness {
    /// Ends it as the end of a program would: the port is closed, and all its connections.
    fn drop(&mut self) {
        use std::os::fd::AsRawFd as _;
        // Wakes the accepting thread, wherever that is; what is closed already is as good.
        let _closed = socket::shutdown(self.listener.as_raw_fd(), socket::Shutdown::Both);
        for stream in self.seen.open.lock().unwrap_or_else(PoisonError::into_inner).values() {
            let _closed = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Seen {
    fn hear(&self, stream: &TcpStream) {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let ours = stream.try_clone().expect("a file descriptor can be doubled");
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(number, ours);
        let (said, end) = self.echo(stream);
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
        if said {
            let counter = if end.is_ok() { &self.ended } else { &self.broken };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether anything was said, and how it ended.
    fn echo(&self, mut stream: &TcpStream) -> (bool, io::Result<()>) {
        let mut buffer = [0; 16 * 1024];
        let mut said = false;
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => return (said, Ok(())),
                Ok(n) => {
                    if !said {
                        self.talks.fetch_add(1, Ordering::Relaxed);
                        said = true;
                    }
                    if let Err(error) = stream.write_all(&buffer[..n]) {
                        return (said, Err(error));
                    }
                }
                Err(error) => return (said, Err(error)),
            }
        }
    }
}
