//! What a session's TLS runs over: a TCP connection, or a circuit through other sites.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use nix::unistd;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::pipe::Pipe;
use crate::socket::{Read, give_up_if_short, read_once};

/// A transport registered with the runtime that uses it.
#[derive(Debug)]
pub(crate) enum Transport {
    Tcp(TcpStream),
    Circuit(Pipe),
}

/// A transport on its way to another runtime.
#[derive(Debug)]
pub(crate) enum Detached {
    Tcp(std::net::TcpStream),
    Circuit(Pipe),
}

impl Detached {
    /// Registers the transport with the runtime that is running.
    pub(crate) fn attach(self) -> io::Result<Transport> {
        match self {
            Self::Tcp(tcp) => TcpStream::from_std(tcp).map(Transport::Tcp),
            Self::Circuit(pipe) => Ok(Transport::Circuit(pipe)),
        }
    }
}

impl Transport {
    /// Takes the transport off its runtime.
    pub(crate) fn detach(self) -> io::Result<Detached> {
        match self {
            Self::Tcp(tcp) => tcp.into_std().map(Detached::Tcp),
            Self::Circuit(pipe) => Ok(Detached::Circuit(pipe)),
        }
    }

    /// Reads once.
    pub(crate) fn read(&self, room: &mut [u8]) -> io::Result<Read> {
        match self {
            Self::Tcp(tcp) => read_once(|count| {
                tcp.try_io(Interest::READABLE, || {
                    let size = room.len();
                    *count = unistd::read(tcp, room)?;
                    give_up_if_short(*count, size)
                })
            }),
            Self::Circuit(pipe) => pipe.read(&mut [io::IoSliceMut::new(room)]),
        }
    }

    /// Writes what is taken; 0: nothing now.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => match tcp.try_write(bytes) {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
                other => other,
            },
            Self::Circuit(pipe) => pipe.write(bytes),
        }
    }

    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(tcp) => tcp.poll_read_ready(cx),
            Self::Circuit(pipe) => pipe.poll_read_ready(cx),
        }
    }

    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(tcp) => tcp.poll_write_ready(cx),
            Self::Circuit(pipe) => pipe.poll_write_ready(cx),
        }
    }

    /// Waits until there may be something to read.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_read_ready(cx)).await
    }

    /// Waits until something may be written.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_write_ready(cx)).await
    }

    /// Ends a circuit in order; dropped without, the sites on the way see a reset. A connection's own
    /// end is the kernel's.
    pub(crate) fn end_in_order(&self) {
        if let Self::Circuit(pipe) = self {
            pipe.end_write();
        }
    }

    /// Where this and the other end are, for people.
    pub(crate) fn places(&self) -> io::Result<(String, String)> {
        match self {
            Self::Tcp(tcp) => Ok((tcp.local_addr()?.to_string(), tcp.peer_addr()?.to_string())),
            Self::Circuit(_) => Ok(("circuit".into(), "circuit".into())),
        }
    }
}
