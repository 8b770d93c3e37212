//! A workload that sends back what it gets, and a client that checks it.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Time for one answer of an echo.
const PATIENCE: Duration = Duration::from_secs(20);

/// An echo server on a loopback port, which half-closes when its client does.
#[derive(Debug)]
pub struct Echo {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    accepted: AtomicUsize,
}

impl Echo {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// When there is none.
    pub fn start() -> Self {
        Self::start_at(0)
    }

    /// Starts one on this port.
    ///
    /// # Panics
    /// When it is taken.
    pub fn start_at(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port));
        let listener = listener.unwrap_or_else(|e| panic!("can't listen at port {port}: {e}"));
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared::default());
        let seen = shared.clone();
        let thread = std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if seen.stop.load(Ordering::Relaxed) {
                    return;
                }
                seen.accepted.fetch_add(1, Ordering::Relaxed);
                std::thread::spawn(move || {
                    // A client that breaks off is not the server's business.
                    let _ended = serve(&stream);
                });
            }
        });
        Self { address, shared, thread: Some(thread) }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Connections that it has taken.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Wakes the accepting thread; where that fails, it has ended.
        let _woken = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

fn serve(stream: &TcpStream) -> io::Result<()> {
    let (mut reader, mut writer) = (stream, stream);
    io::copy(&mut reader, &mut writer)?;
    stream.shutdown(Shutdown::Write)
}

/// Sends `count` numbered lines through one connection to a loopback port, one at a time, and
/// checks each answer and the end.
///
/// # Errors
/// When the connection fails, or an answer is not what was sent.
pub fn echo_lines(port: u16, count: usize) -> io::Result<()> {
    let address = ([127, 0, 0, 1], port).into();
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut answers = BufReader::new(&stream);
    for number in 0..count {
        let line = format!("line {number} of {count}\n");
        (&stream).write_all(line.as_bytes())?;
        let mut answer = String::new();
        answers.read_line(&mut answer)?;
        if answer != line {
            return Err(io::Error::other(format!("{line:?} came back as {answer:?}")));
        }
    }
    stream.shutdown(Shutdown::Write)?;
    let mut rest = String::new();
    if answers.read_line(&mut rest)? > 0 {
        return Err(io::Error::other(format!("{rest:?} came after the last line")));
    }
    Ok(())
}

/// Whether a line sent to a loopback port comes back now.
pub fn echoes(port: u16) -> bool {
    echo_lines(port, 1).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back() {
        let echo = Echo::start();
        echo_lines(echo.port(), 100).unwrap();
        assert_eq!(echo.accepted(), 1);
        let port = echo.port();
        drop(echo);
        assert!(!echoes(port));
    }
}
