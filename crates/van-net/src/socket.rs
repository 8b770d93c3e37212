//! A flow's own end: a client's or a workload's socket, or the end of a circuit within the process.

use std::io::{self, IoSliceMut, Write as _};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::task::{Context, Poll};
use std::time::Duration;

use nix::sys::uio::readv;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

use crate::pipe::Pipe;

/// A connected, non-blocking stream that belongs to no runtime yet.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(std::net::TcpStream),
    /// A Unix stream socket.
    Unix(std::os::unix::net::UnixStream),
    /// A circuit's end within this process.
    Pipe(Pipe),
}

impl Socket {
    /// Writes what the kernel takes now. Returns how much that was.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => (&*tcp).write(bytes),
            Self::Unix(unix) => (&*unix).write(bytes),
            Self::Pipe(pipe) => pipe.write(bytes),
        }
    }

    /// Closes so that the other end sees a reset, not an orderly end.
    pub fn abort(self) {
        match self {
            Self::Tcp(tcp) => reset_on_close(&tcp),
            Self::Unix(unix) => drop(unix),
            Self::Pipe(pipe) => pipe.abort(),
        }
    }
}

/// Makes closing send a reset; a socket that is gone already needs none.
fn reset_on_close(tcp: &impl AsFd) {
    let _ = SockRef::from(tcp).set_linger(Some(Duration::ZERO));
}

/// What one read gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// So many bytes; `drained`: there is nothing more now, and readiness was given up.
    Bytes { count: usize, drained: bool },
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
}

impl FlowSocket {
    /// Registers a stream with the runtime that is running.
    pub(crate) fn register(socket: Socket) -> io::Result<Self> {
        match socket {
            Socket::Tcp(tcp) => TcpStream::from_std(tcp).map(Self::Tcp),
            Socket::Unix(unix) => UnixStream::from_std(unix).map(Self::Unix),
            Socket::Pipe(pipe) => Ok(Self::Pipe(pipe)),
        }
    }

    /// Takes the stream off its runtime, to be registered with another.
    pub(crate) fn unregister(self) -> io::Result<Socket> {
        match self {
            Self::Tcp(tcp) => tcp.into_std().map(Socket::Tcp),
            Self::Unix(unix) => unix.into_std().map(Socket::Unix),
            Self::Pipe(pipe) => Ok(Socket::Pipe(pipe)),
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
        }
    }

    /// Writes what is taken; 0: nothing now.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let written = match self {
            Self::Tcp(tcp) => tcp.try_write(bytes),
            Self::Unix(unix) => unix.try_write(bytes),
            Self::Pipe(pipe) => return pipe.write(bytes),
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
        }
    }

    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(tcp) => tcp.poll_write_ready(cx),
            Self::Unix(unix) => unix.poll_write_ready(cx),
            Self::Pipe(pipe) => pipe.poll_write_ready(cx),
        }
    }

    /// Why the stream has failed, if it has.
    pub(crate) fn failure(&self) -> Option<io::Error> {
        match self {
            Self::Tcp(tcp) => tcp.take_error().unwrap_or_else(Some),
            Self::Unix(unix) => unix.take_error().unwrap_or_else(Some),
            Self::Pipe(pipe) => pipe.failure(),
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
        };
    }

    /// Closes so that the other end sees a reset.
    pub(crate) fn abort(self) {
        match &self {
            Self::Tcp(tcp) => reset_on_close(tcp),
            Self::Unix(_) => {}
            Self::Pipe(pipe) => pipe.abort(),
        }
    }
}
