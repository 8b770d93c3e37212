//! Bytes that can be checked at both ends: a seeded sequence each way.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Time without any byte after which a flow is taken to have stalled.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a client says first: the seed and how many bytes go each way, big-endian.
const REQUEST: usize = 24;

/// The seed that turns one direction's sequence into the other's.
const ANSWER: u64 = 0x5851_f42d_4c95_7f2d;

/// A workload that checks what it gets against the seed, and answers with what the seed says.
#[derive(Debug)]
pub struct PatternServer {
    port: u16,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    corrupt: AtomicUsize,
    served: AtomicUsize,
}

/// How a checked flow ended.
#[derive(Debug)]
pub enum FlowEnd {
    /// Every byte came both ways, and then the end.
    Complete,
    /// The connection failed; what had come was right.
    Broken(io::Error),
    /// The end came in order, but too early; what had come was right.
    Short,
    /// A byte was not what the seed says.
    Corrupt,
    /// Nothing came for far too long.
    Stalled,
}

impl PatternServer {
    /// Starts one on a free loopback port; it stands until the test's process ends.
    ///
    /// # Panics
    /// When there is none.
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let counts = Arc::new(Counts::default());
        let seen = counts.clone();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let seen = seen.clone();
                std::thread::spawn(move || match serve(&stream) {
                    Ok(true) => seen.served.fetch_add(1, Ordering::Relaxed),
                    Ok(false) => seen.corrupt.fetch_add(1, Ordering::Relaxed),
                    // Flows that break are the client's to judge.
                    Err(_) => 0,
                });
            }
        });
        Self { port, counts }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Flows whose bytes were not what their seed says.
    pub fn corrupt(&self) -> usize {
        self.counts.corrupt.load(Ordering::Relaxed)
    }

    /// Flows that were right to their end.
    pub fn served(&self) -> usize {
        self.counts.served.load(Ordering::Relaxed)
    }
}

/// Answers one client. Returns whether all that came was right.
fn serve(mut stream: &TcpStream) -> io::Result<bool> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = [0; REQUEST];
    stream.read_exact(&mut request)?;
    let [seed, up, down] = [0, 8, 16].map(|at| {
        u64::from_be_bytes(request[at..at + 8].try_into().expect("eight bytes are eight bytes"))
    });
    if !matches(stream, Sequence(seed), up)? {
        return Ok(false);
    }
    send(stream, Sequence(seed ^ ANSWER), down)?;
    stream.shutdown(Shutdown::Write)?;
    Ok(true)
}

/// Opens one flow to a loopback port, behind which a [`PatternServer`] stands: `up` bytes there,
/// half-close, `down` bytes back, the end.
pub fn pattern_flow(port: u16, seed: u64, up: u64, down: u64) -> FlowEnd {
    let end = exchange(port, seed, up, down);
    end.unwrap_or_else(|error| match error.kind() {
        ErrorKind::UnexpectedEof => FlowEnd::Short,
        ErrorKind::WouldBlock | ErrorKind::TimedOut => FlowEnd::Stalled,
        _ => FlowEnd::Broken(error),
    })
}

fn exchange(port: u16, seed: u64, up: u64, down: u64) -> io::Result<FlowEnd> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    for number in [seed, up, down] {
        stream.write_all(&number.to_be_bytes())?;
    }
    send(&stream, Sequence(seed), up)?;
    stream.shutdown(Shutdown::Write)?;
    if !matches(&stream, Sequence(seed ^ ANSWER), down)? {
        return Ok(FlowEnd::Corrupt);
    }
    let more = stream.read(&mut [0; 1])?;
    Ok(if more == 0 { FlowEnd::Complete } else { FlowEnd::Corrupt })
}

fn send(mut stream: &TcpStream, mut sequence: Sequence, mut left: u64) -> io::Result<()> {
    let mut chunk = [0; 16 * 1024];
    while left > 0 {
        let n = usize::try_from(left).map_or(chunk.len(), |left| left.min(chunk.len()));
        sequence.fill(&mut chunk[..n]);
        stream.write_all(&chunk[..n])?;
        left -= n as u64;
    }
    Ok(())
}

fn matches(mut stream: &TcpStream, mut sequence: Sequence, mut left: u64) -> io::Result<bool> {
    let (mut came, mut right) = ([0; 16 * 1024], [0; 16 * 1024]);
    while left > 0 {
        let n = usize::try_from(left).map_or(came.len(), |left| left.min(came.len()));
        let n = stream.read(&mut came[..n])?;
        if n == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        sequence.fill(&mut right[..n]);
        if came[..n] != right[..n] {
            return Ok(false);
        }
        left -= n as u64;
    }
    Ok(true)
}

/// An endless sequence of bytes, the same for the same seed however it is cut.
struct Sequence(u64);

impl Sequence {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            // A linear congruential generator with Knuth's factor.
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (self.0 >> 56) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_checked_both_ways() {
        let server = PatternServer::start();
        let end = pattern_flow(server.port(), 7, 100_000, 70_000);
        assert!(matches!(end, FlowEnd::Complete), "{end:?}");
        assert_eq!((server.served(), server.corrupt()), (1, 0));
    }

    #[test]
    fn a_wrong_byte_is_seen() {
        let server = PatternServer::start();
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        for number in [7u64, 4, 0] {
            stream.write_all(&number.to_be_bytes()).unwrap();
        }
        stream.write_all(b"oops").unwrap();
        crate::wait_until(PATIENCE, "the server saw it", || server.corrupt() == 1);
    }
}
