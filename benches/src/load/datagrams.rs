//! Datagrams: many a second one way, counted where they arrive; and one after the other there and
//! back.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::SMALL;
use super::samples::Samples;
use crate::host::Host;

/// Datagrams a second.
const RATE: u32 = 50_000;

/// Their size in bytes.
const SIZE: usize = 512;

/// Time between two bursts.
const BEAT: Duration = Duration::from_millis(1);

/// How long the last datagrams may be on their way.
const SETTLE: Duration = Duration::from_millis(500);

/// How long one datagram may take there and back.
const ANSWER: Duration = Duration::from_millis(200);

/// How often a first datagram is sent that nobody answers.
const TRIES: u32 = 25;

/// Counts what arrives, until it is dropped.
#[derive(Debug)]
pub struct Sink {
    address: SocketAddr,
    arrived: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sink {
    /// Opens a sink beside the back-ends.
    ///
    /// # Errors
    /// Where no port is free.
    pub fn open(host: &Host) -> Result<Self> {
        let address = host.free_port()?;
        let socket = UdpSocket::bind(address).context("binding the sink failed")?;
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::RcvBuf, &(4 << 20))?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let (arrived, over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let thread = {
            let (arrived, over) = (arrived.clone(), over.clone());
            std::thread::spawn(move || {
                let mut buffer = [0; 2048];
                while !over.load(Ordering::Relaxed) {
                    if socket.recv(&mut buffer).is_ok_and(|length| length == SIZE) {
                        arrived.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        };
        Ok(Self { address, arrived, over, thread: Some(thread) })
    }

    /// Gives where datagrams go.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends to `entry` for `length` and gives the share that did not arrive here, in percent.
    ///
    /// # Errors
    /// Where nothing arrives at all, or less was sent than is to be.
    pub fn loss(&self, entry: SocketAddr, length: Duration) -> Result<f64> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(entry)?;
        self.warm(&socket)?;
        let before = self.arrived.load(Ordering::Relaxed);
        let (start, mut sent) = (Instant::now(), 0u64);
        while start.elapsed() < length {
            let due = (start.elapsed().as_secs_f64() * f64::from(RATE)) as u64;
            while sent < due {
                if socket.send(&[5; SIZE]).is_ok() {
                    sent += 1;
                }
            }
            std::thread::sleep(BEAT);
        }
        std::thread::sleep(SETTLE);
        let arrived = self.arrived.load(Ordering::Relaxed) - before;
        let wanted = length.as_secs_f64() * f64::from(RATE);
        if (sent as f64) < wanted * 0.95 {
            bail!("only {sent} of {wanted:.0} datagrams could be sent");
        }
        Ok(sent.saturating_sub(arrived) as f64 / sent as f64 * 100.0)
    }

    fn warm(&self, socket: &UdpSocket) -> Result<()> {
        for _ in 0..TRIES {
            let before = self.arrived.load(Ordering::Relaxed);
            socket.send(&[5; SIZE])?;
            std::thread::sleep(ANSWER);
            if self.arrived.load(Ordering::Relaxed) > before {
                return Ok(());
            }
        }
        bail!("no datagram arrives")
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It counts and cannot fail.
            let _ = thread.join();
        }
    }
}

/// Exchanges small datagrams for `length`.
///
/// # Errors
/// Where the first is never answered.
pub fn exchange(entry: SocketAddr, length: Duration) -> Result<Samples> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(entry)?;
    socket.set_read_timeout(Some(ANSWER))?;
    let mut buffer = [0; SMALL];
    let once = |buffer: &mut [u8]| {
        socket.send(&[3; SMALL])?;
        socket.recv(buffer)
    };
    if !(0..TRIES).any(|_| once(&mut buffer).is_ok()) {
        bail!("no datagram comes back");
    }
    let mut times = Samples::default();
    let end = Instant::now() + length;
    while Instant::now() < end {
        let start = Instant::now();
        if once(&mut buffer).is_ok() {
            times.push(start.elapsed());
        }
    }
    Ok(times)
}
