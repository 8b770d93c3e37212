//! A flow's own socket: a client's or a workload's.

use std::io::{self, IoSliceMut, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};
use std::time::Duration;

use nix::sys::uio::readv;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

/// A connected, non-blocking stream socket that belongs to no runtime yet.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(std::net::TcpStream),
    /// A Unix stream socket.
    Unix(std::os::unix::net::UnixStream),
}

impl Socket {
    /// Writes what the kernel takes now. Returns how much that was.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => (&*tcp).write(bytes),
            Self::Unix(unix) => (&*unix).write(bytes),
        }
    }

    /// Closes so that the other end sees a reset, not an orderly end.
    pub fn abort(self) {
        match self {
            Self::Tcp(tcp) => abort(tcp.as_fd()),
            Self::Unix(unix) => drop(unix),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(tcp) => tcp.as_fd(),
            Self::Unix(unix) => unix.as_fd(),
        }
    }
}

/// Makes closing send a reset; a socket that is gone already needs none.
fn abort(fd: BorrowedFd<'_>) {
    let _ = SockRef::from(&fd).set_linger(Some(Duration::ZERO));
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

/// A socket registered with the worker that its flow lives on.
#[derive(Debug)]
pub(crate) enum FlowSocket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

macro_rules! either {
    ($self:expr, $socket:ident => $body:expr) => {
        match $self {
            FlowSocket::Tcp($socket) => $body,
            FlowSocket::Unix($socket) => $body,
        }
    };
}

impl FlowSocket {
    /// Registers a socket with the runtime that is running.
    pub(crate) fn register(socket: Socket) -> io::Result<Self> {
        match socket {
            Socket::Tcp(tcp) => TcpStream::from_std(tcp).map(Self::Tcp),
            Socket::Unix(unix) => UnixStream::from_std(unix).map(Self::Unix),
        }
    }

    /// Takes the socket off its runtime, to be registered with another.
    pub(crate) fn unregister(self) -> io::Result<Socket> {
        match self {
            Self::Tcp(tcp) => tcp.into_std().map(Socket::Tcp),
            Self::Unix(unix) => unix.into_std().map(Socket::Unix),
        }
    }

    /// Reads into the buffers in turn.
    pub(crate) fn read(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<Read> {
        let room: usize = buffers.iter().map(|b| b.len()).sum();
        read_once(|count| {
            either!(self, socket => socket.try_io(Interest::READABLE, || {
                *count = readv(socket.as_fd(), buffers)?;
                give_up_if_short(*count, room)
            }))
        })
    }

    /// Writes what the kernel takes; 0: nothing now.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match either!(self, socket => socket.try_write(bytes)) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
            other => other,
        }
    }

    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, socket => socket.poll_read_ready(cx))
    }

    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, socket => socket.poll_write_ready(cx))
    }

    /// Why the socket has failed, if it has.
    pub(crate) fn failure(&self) -> Option<io::Error> {
        either!(self, socket => socket.take_error()).unwrap_or_else(Some)
    }

    /// Sends an orderly end of this direction. A socket that is gone tells at its next read.
    pub(crate) fn end_write(&self) {
        let fd = either!(self, socket => socket.as_fd());
        let _ = SockRef::from(&fd).shutdown(Shutdown::Write);
    }

    /// Closes so that the other end sees a reset.
    pub(crate) fn abort(self) {
        if let Self::Tcp(tcp) = &self {
            abort(tcp.as_fd());
        }
    }
}
