//! A client's or workload's socket, registered with the worker that runs.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};
use van_net::Socket;

/// A connected stream.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What one read gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    Bytes(usize),
    Blocked,
    End,
}

macro_rules! either {
    ($self:expr, $socket:ident => $body:expr) => {
        match $self {
            Stream::Tcp($socket) => $body,
            Stream::Unix($socket) => $body,
        }
    };
}

impl Stream {
    /// Registers a socket with the runtime that is running.
    pub(crate) fn register(socket: Socket) -> io::Result<Self> {
        match socket {
            Socket::Tcp(tcp) => TcpStream::from_std(tcp).map(Self::Tcp),
            Socket::Unix(unix) => UnixStream::from_std(unix).map(Self::Unix),
            // Circuits end in sessions, never in workloads or clients; datagrams are no stream.
            Socket::Pipe(_) | Socket::Datagrams(_) | Socket::Udp(_) => {
                Err(io::ErrorKind::Unsupported.into())
            }
        }
    }

    /// Takes the socket off its runtime, to be registered with another.
    pub(crate) fn unregister(self) -> io::Result<Socket> {
        match self {
            Self::Tcp(tcp) => tcp.into_std().map(Socket::Tcp),
            Self::Unix(unix) => unix.into_std().map(Socket::Unix),
        }
    }

    /// Where the other end is, for TCP.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(tcp) => tcp.peer_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// Reads once.
    pub(crate) fn read(&self, room: &mut [u8]) -> io::Result<Read> {
        let mut count = 0;
        let result = either!(self, socket => socket.try_io(Interest::READABLE, || {
            count = rustix::io::read(socket, &mut *room)?;
            // A short read says that the kernel's buffer is empty (epoll(7)): giving up readiness
            // now saves a read that fails.
            if 0 < count && count < room.len() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        }));
        match result {
            Ok(()) if count == 0 => Ok(Read::End),
            Ok(()) => Ok(Read::Bytes(count)),
            Err(e) if e.kind() != io::ErrorKind::WouldBlock => Err(e),
            Err(_) if count > 0 => Ok(Read::Bytes(count)),
            Err(_) => Ok(Read::Blocked),
        }
    }

    /// Reads what is there even if readiness has not been told of yet; nothing where that fails.
    pub(crate) fn read_left(&self, room: &mut [u8]) -> usize {
        rustix::io::read(self, room).unwrap_or(0)
    }

    /// Writes what the kernel takes now. Returns how much that was.
    pub(crate) fn write(&self, mut bytes: &[u8]) -> io::Result<usize> {
        let all = bytes.len();
        while !bytes.is_empty() {
            match either!(self, socket => socket.try_write(bytes)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        Ok(all - bytes.len())
    }

    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, socket => socket.poll_read_ready(cx))
    }

    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, socket => socket.poll_write_ready(cx))
    }

    /// Waits until the other end has reset the connection.
    pub(crate) async fn broken(&self) {
        // An error of waiting itself means that the worker is ending.
        let _ = either!(self, socket => socket.ready(Interest::ERROR).await);
    }

    /// Sends an orderly end of this direction. A socket that is gone tells at its next read.
    pub(crate) fn end_write(&self) {
        let _ = SockRef::from(self).shutdown(Shutdown::Write);
    }

    /// Makes closing send a reset; a socket that is gone already needs none.
    pub(crate) fn abort_on_close(&self) {
        if let Self::Tcp(tcp) = self {
            let _ = SockRef::from(tcp).set_linger(Some(Duration::ZERO));
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        either!(self, socket => socket.as_fd())
    }
}
