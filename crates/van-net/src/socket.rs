//! A flow's own end: a client's or a workload's socket, a client of a UDP listener, or the end of a
//! circuit within the process.

use std::io::{self, IoSliceMut, Write as _};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use nix::sys::uio::readv;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::{TcpStream, UdpSocket, UnixStream};

use crate::datagrams::Datagrams;
use crate::pipe::Pipe;

/// A connected, non-blocking socket that belongs to no runtime yet.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(std::net::TcpStream),
    /// A Unix stream socket.
    Unix(std::os::unix::net::UnixStream),
    /// A circuit's end within this process.
    Pipe(Pipe),
    /// A client of a UDP listener.
    Datagrams(Datagrams),
    /// A workload's, connected.
    Udp(std::net::UdpSocket),
}

impl Socket {
    /// Writes what the kernel takes now. Returns how much that was.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => (&*tcp).write(bytes),
            Self::Unix(unix) => (&*unix).write(bytes),
            Self::Pipe(pipe) => pipe.write(bytes),
            Self::Datagrams(_) | Self::Udp(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Closes so that the other end sees a reset, not an orderly end.
    pub fn abort(self) {
        match self {
            Self::Tcp(tcp) => reset_on_close(&tcp),
            Self::Unix(unix) => drop(unix),
            Self::Pipe(pipe) => pipe.abort(),
            Self::Datagrams(datagrams) => drop(datagrams),
            Self::Udp(udp) => drop(udp),
        }
    }
}

/// Makes closing send a reset; a socket that is gone already needs none.
fn reset_on_close(tcp: &impl AsFd) {
    let _ = SockRef::from(tcp).set_linger(Some(Duration::ZERO));
}

/// What one read gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// Bytes, or a datagram, which may have none.
    Bytes {
        /// How many.
        count: usize,
        /// There is nothing more now, and readiness was given up.
        drained: bool,
    },
    /// Nothing now.
    Blocked,
    /// The other end sends no more.
    End,
}

/// Makes a short read give up readiness: it says that the kernel's buffer is empty (epoll(7),
/// edge-triggered streams), which saves a second read that fails.
pub(crate) fn give_up_if_short(count: usize, room: usize) -> io::Result<()> {
    if 0 < count && count < room { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
}

/// Reads by `attempt`, which counts bytes and ends with [`give_up_if_short`].
pub(crate) fn read_once(attempt: impl FnOnce(&mut usize) -> io::Result<()>) -> io::Result<Read> {
    let mut count = 0;
    match attempt(&mut count) {
        Ok(()) if count == 0 => Ok(Read::End),
        Ok(()) => Ok(Read::Bytes { count, drained: false }),
        Err(e) if e.kind() != io::ErrorKind::WouldBlock => Err(e),
        Err(_) if count > 0 => Ok(Read::Bytes { count, drained: true }),
        Err(_) => Ok(Read::Blocked),
    }
}

/// A stream registered with the worker that its flow lives on.
#[derive(Debug)]
pub(crate) enum FlowSocket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Pipe(Pipe),
    Datagrams(Datagrams),
    Udp(UdpSocket),
}

impl FlowSocket {
    /// Registers a stream with the runtime that is running.
    pub(crate) fn register(socket: Socket) -> io::Result<Self> {
        match socket {
            Socket::Tcp(tcp) => TcpStream::from_std(tcp).map(Self::Tcp),
            Socket::Unix(unix) => UnixStream::from_std(unix).map(Self::Unix),
            Socket::Pipe(pipe) => Ok(Self::Pipe(pipe)),
            Socket::Datagrams(datagrams) => Ok(Self::Datagrams(datagrams)),
            Socket::Udp(udp) => UdpSocket::from_std(udp).map(Self::Udp),
        }
    }

    /// Takes the stream off its runtime, to be registered with another.
    pub(crate) fn unregister(self) -> io::Result<Socket> {
        match self {
            Self::Tcp(tcp) => tcp.into_std().map(Socket::Tcp),
            Self::Unix(unix) => unix.into_std().map(Socket::Unix),
            Self::Pipe(pipe) => Ok(Socket::Pipe(pipe)),
            Self::Datagrams(datagrams) => Ok(Socket::Datagrams(datagrams)),
            Self::Udp(udp) => udp.into_std().map(Socket::Udp),
        }
    }

    /// Reads into the buffers in turn.
    pub(crate) fn read(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<Read> {
        let room: usize = buffers.iter().map(|b| b.len()).sum();
        match self {
            Self::Tcp(tcp) => read_once(|count| {
                tcp.try_io(Interest::READABLE, || {
                    *count = readv(tcp, buffers)?;
                    give_up_if_short(*count, room)
                })
            }),
            Self::Unix(unix) => read_once(|count| {
                unix.try_io(Interest::READABLE, || {
                    *count = readv(unix, buffers)?;
                    give_up_if_short(*count, room)
                })
            }),
            Self::Pipe(pipe) => pipe.read(buffers),
            Self::Datagrams(_) | Self::Udp(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Takes one datagram; the room is for the largest.
    pub(crate) fn receive(&self, now: Instant, room: &mut [u8]) -> io::Result<Read> {
        match self {
            Self::Datagrams(datagrams) => Ok(datagrams.take(now, room)),
            Self::Udp(udp) => match udp.try_recv(room) {
                Ok(count) => Ok(Read::Bytes { count, drained: false }),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(Read::Blocked),
                Err(e) => Err(e),
            },
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Takes one datagram that is to be dropped; those of a listener's clients tell their own age.
    pub(crate) fn receive_late(&self, room: &mut [u8]) -> io::Result<Read> {
        match self {
            Self::Udp(_) => self.receive(Instant::now(), room),
            _ => Ok(Read::Blocked),
        }
    }

    /// Sends one datagram. Returns whether the kernel took it; an error means that nobody listens at
    /// the other end.
    pub(crate) fn send(&self, datagram: &[u8]) -> io::Result<bool> {
        match self {
            Self::Datagrams(datagrams) => Ok(datagrams.answer(datagram)),
            // By the descriptor: the runtime may not have heard yet that a new socket can be written.
            Self::Udp(udp) => match SockRef::from(udp).send(datagram) {
                Ok(_) => Ok(true),
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => Err(e),
                Err(_) => Ok(false),
            },
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Writes what is taken; 0: nothing now.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let written = match self {
            Self::Tcp(tcp) => tcp.try_write(bytes),
            Self::Unix(unix) => unix.try_write(bytes),
            Self::Pipe(pipe) => return pipe.write(bytes),
            Self::Datagrams(_) | Self::Udp(_) => Err(io::ErrorKind::Unsupported.into()),
        };
        match written {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
            other => other,
        }
    }

    /// Writes what is taken; a circuit takes the memory itself and leaves other in its place.
    pub(crate) fn write_whole(&self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        let count = bytes.len();
        match self {
            Self::Pipe(pipe) => Ok(if pipe.exchange_out(bytes, 0)? { count } else { 0 }),
            _ => self.write(bytes),
        }
    }

    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(tcp) => tcp.poll_read_ready(cx),
            Self::Unix(unix) => unix.poll_read_ready(cx),
            Self::Pipe(pipe) => pipe.poll_read_ready(cx),
            Self::Datagrams(datagrams) => datagrams.poll_ready(cx),
            Self::Udp(udp) => udp.poll_recv_ready(cx),
        }
    }

    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(tcp) => tcp.poll_write_ready(cx),
            Self::Unix(unix) => unix.poll_write_ready(cx),
            Self::Pipe(pipe) => pipe.poll_write_ready(cx),
            Self::Datagrams(_) => Poll::Ready(Ok(())),
            Self::Udp(udp) => udp.poll_send_ready(cx),
        }
    }

    /// Why the stream has failed, if it has.
    pub(crate) fn failure(&self) -> Option<io::Error> {
        match self {
            Self::Tcp(tcp) => tcp.take_error().unwrap_or_else(Some),
            Self::Unix(unix) => unix.take_error().unwrap_or_else(Some),
            Self::Pipe(pipe) => pipe.failure(),
            Self::Datagrams(_) => None,
            Self::Udp(udp) => udp.take_error().unwrap_or_else(Some),
        }
    }

    /// Sends an orderly end of this direction. A socket that is gone tells at its next read.
    pub(crate) fn end_write(&self) {
        let _ = match self {
            Self::Tcp(tcp) => SockRef::from(tcp).shutdown(Shutdown::Write),
            Self::Unix(unix) => SockRef::from(unix).shutdown(Shutdown::Write),
            Self::Pipe(pipe) => {
                pipe.end_write();
                Ok(())
            }
            Self::Datagrams(_) | Self::Udp(_) => Ok(()),
        };
    }

    /// Closes so that the other end sees a reset.
    pub(crate) fn abort(self) {
        match &self {
            Self::Tcp(tcp) => reset_on_close(tcp),
            Self::Unix(_) | Self::Datagrams(_) | Self::Udp(_) => {}
            Self::Pipe(pipe) => pipe.abort(),
        }
    }
}
