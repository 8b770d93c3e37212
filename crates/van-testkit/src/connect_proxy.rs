//! An HTTP CONNECT proxy, as stands between many hosts and the rest of the world.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// A proxy on a loopback port, which keeps what it was asked.
#[derive(Debug)]
pub struct ConnectProxy {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl ConnectProxy {
    /// Starts one on a free port; it stands until the test's process ends.
    ///
    /// # Panics
    /// When there is none.
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let into = asked.clone();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let into = into.clone();
                std::thread::spawn(move || {
                    // Who breaks off is the test's business and not the proxy's.
                    let _ended = serve(&stream, &into);
                });
            }
        });
        Self { port, asked }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The heads of the requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(client: &TcpStream, asked: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut reader = BufReader::new(client);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(head.clone());
    let Some(target) = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()) else {
        return (&*client).write_all(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n");
    };
    let server = TcpStream::connect(target)?;
    (&*client).write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut from, to) = (server.try_clone()?, client.try_clone()?);
    std::thread::spawn(move || {
        let _ended = io::copy(&mut from, &mut &to);
        let _closed = to.shutdown(Shutdown::Write);
    });
    io::copy(&mut reader, &mut &server)?;
    server.shutdown(Shutdown::Write)
}
