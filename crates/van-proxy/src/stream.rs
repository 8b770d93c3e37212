//! A client's or workload's socket, registered with the worker that runs.

use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use van_net::{Pipe, Socket};

/// A connected stream.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// What ends in TLS within this process.
    Pipe(Pipe),
}

/// What one read gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    Bytes(usize),
    Blocked,
    End,
}

macro_rules! any {
    ($self:expr, $socket:ident => $body:expr) => {
        match $self {
            Stream::Tcp($socket) => $body,
            Stream::Unix($socket) => $body,
            Stream::Pipe($socket) => $body,
        }
    };
}

macro_rules! either {
    ($self:expr, $socket:ident => $body:expr, $pipe:ident => $other:expr) => {
        match $self {
            Stream::Tcp($socket) => $body,
            Stream::Unix($socket) => $body,
            Stream::Pipe($pipe) => $other,
        }
    };
}

impl Stream {
    /// Registers a socket with the runtime that is running.
    pub(crate) fn register(socket: Socket) -> io::Result<Self> {
        match socket {
            Socket::Tcp(tcp) => TcpStream::from_std(tcp).map(Self::Tcp),
            Socket::Unix(unix) => UnixStream::from_std(unix).map(Self::Unix),
            Socket::Pipe(pipe) => Ok(Self::Pipe(pipe)),
            // Datagrams are no stream.
            Socket::Datagrams(_) | Socket::Udp(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Takes the socket off its runtime, to be registered with another.
    pub(crate) fn unregister(self) -> io::Result<Socket> {
        match self {
            Self::Tcp(tcp) => tcp.into_std().map(Socket::Tcp),
            Self::Unix(unix) => unix.into_std().map(Socket::Unix),
            Self::Pipe(pipe) => Ok(Socket::Pipe(pipe)),
        }
    }

    /// Where the other end is, for TCP.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(tcp) => tcp.peer_addr().ok(),
            Self::Unix(_) | Self::Pipe(_) => None,
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
        }), pipe => return Ok(match pipe.read_once(room)? {
            None => Read::Blocked,
            Some(0) => Read::End,
            Some(count) => Read::Bytes(count),
        }));
        match result {
            Ok(()) if count == 0 => Ok(Read::End),
            Ok(()) => Ok(Read::Bytes(count)),
            Err(e) if e.kind() != io::ErrorKind::WouldBlock => Err(e),
            Err(_) if count > 0 => Ok(Read::Bytes(count)),
            Err(_) => Ok(Read::Blocked),
        }
    }

    /// Writes what is taken now of all pieces.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        any!(self, socket => Pin::new(socket).poll_write_vectored(cx, pieces))
    }

    /// Reads what is there even if readiness has not been told of yet; nothing where that fails.
    pub(crate) fn read_left(&self, room: &mut [u8]) -> usize {
        either!(self,
            socket => rustix::io::read(socket, room).unwrap_or(0),
            pipe => pipe.read_once(room).ok().flatten().unwrap_or(0))
    }

    /// Writes what is taken now. Returns how much that was.
    pub(crate) fn write(&self, mut bytes: &[u8]) -> io::Result<usize> {
        let all = bytes.len();
        while !bytes.is_empty() {
            match either!(self, socket => socket.try_write(bytes), pipe => match pipe.write(bytes) {
                Ok(0) => break,
                written => written,
            }) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        Ok(all - bytes.len())
    }

    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        any!(self, socket => socket.poll_read_ready(cx))
    }

    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        any!(self, socket => socket.poll_write_ready(cx))
    }

    /// Waits until the other end has reset the connection.
    pub(crate) async fn broken(&self) {
        match self {
            // An error of waiting itself means that the worker is ending.
            Self::Tcp(tcp) => drop(tcp.ready(Interest::ERROR).await),
            Self::Unix(unix) => drop(unix.ready(Interest::ERROR).await),
            Self::Pipe(pipe) => {
                poll_fn(|cx| {
                    if pipe.failure().is_some() {
                        return Poll::Ready(());
                    }
                    // What there is to read is for whoever reads; a reset calls here too.
                    let _ = ready!(pipe.poll_read_ready(cx));
                    if pipe.failure().is_some() { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            }
        }
    }

    /// Sends an orderly end of this direction. A socket that is gone tells at its next read.
    pub(crate) fn end_write(&self) {
        either!(self, socket => {
            let _ = SockRef::from(&socket.as_fd()).shutdown(Shutdown::Write);
        }, pipe => pipe.end_write());
    }

    /// Makes closing send a reset; a socket that is gone already needs none.
    pub(crate) fn abort_on_close(&self) {
        match self {
            Self::Tcp(tcp) => {
                let _ = SockRef::from(tcp).set_linger(Some(Duration::ZERO));
            }
            Self::Unix(_) => {}
            Self::Pipe(pipe) => pipe.abort(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        any!(&mut *self, socket => Pin::new(socket).poll_read(cx, room))
    }
}
