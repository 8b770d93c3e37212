//! The place where a listener listens, which it keeps while it refuses.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::{Domain, Protocol, SockRef, Socket as RawSocket, TcpKeepalive, Type};
use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use van_model::{Bind, HostPort};
use van_net::Socket;

use crate::listener_error::ListenerError;
use crate::unix_place::UnixPlace;

/// Clients that may wait to be accepted; the kernel lowers it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Quiet time after which the kernel asks whether a client is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// A place that is bound, whether or not it listens.
#[derive(Debug)]
pub(crate) enum Gate {
    Tcp(RawSocket, SocketAddr),
    Unix(UnixPlace),
}

impl Gate {
    /// Takes a place, which then refuses. Blocks while a bind's name is resolved.
    pub(crate) fn bind(bind: &Bind) -> Result<Self, ListenerError> {
        match bind {
            Bind::Unix(path) => UnixPlace::take(path).map(Self::Unix),
            Bind::Tcp(place) => {
                let address = resolve(place)?;
                bind_tcp(address)
                    .map(|(socket, bound)| Self::Tcp(socket, bound))
                    .map_err(|error| ListenerError::tcp(&place.to_string(), error))
            }
        }
    }

    /// Takes over a socket that listens already, and goes on to.
    pub(crate) fn adopt(socket: RawSocket) -> io::Result<Self> {
        let bound = local_address(&socket)?;
        socket.set_nonblocking(true)?;
        tune(&socket);
        Ok(Self::Tcp(socket, bound))
    }

    /// Where it is, with the port that was taken.
    pub(crate) fn bound(&self) -> String {
        match self {
            Self::Tcp(_, bound) => bound.to_string(),
            Self::Unix(place) => format!("unix:{}", place.path().display()),
        }
    }

    /// Listens, registered with the runtime that is running.
    pub(crate) fn open(&mut self) -> io::Result<Door> {
        let unix = matches!(self, Self::Unix(_));
        let socket = match self {
            Self::Tcp(socket, _) => {
                socket.set_reuse_address(true)?;
                &*socket
            }
            Self::Unix(place) => place.socket()?,
        };
        socket.listen(BACKLOG)?;
        // A copy: a registered socket that no longer listens would be ready for ever.
        let copy = socket.try_clone()?;
        #[expect(deprecated, reason = "its successor is `unsafe`; a socket keeps its descriptor")]
        let socket = AsyncFd::with_interest(copy, Interest::READABLE)?;
        Ok(Door { socket, unix })
    }

    /// Refuses from now on; the [`Door`] must be gone. Clients not accepted yet see a reset.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(socket, _) => refuse(socket),
            Self::Unix(place) => place.refuse(),
        }
    }
}

/// A place that listens.
pub(crate) struct Door {
    socket: AsyncFd<RawSocket>,
    unix: bool,
}

impl Door {
    /// Waits until there may be a client; [`Door::accept`] tells when there is none.
    pub(crate) async fn ready(&self) -> io::Result<AsyncFdReadyGuard<'_, RawSocket>> {
        self.socket.readable().await
    }

    /// Accepts a client without waiting; its socket is registered with no runtime.
    pub(crate) fn accept(&self) -> io::Result<(Socket, Option<SocketAddr>)> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (fd, client): (OwnedFd, _) = acceptfrom_with(self.socket.get_ref(), flags)?;
        if self.unix {
            return Ok((Socket::Unix(fd.into()), None));
        }
        let client = client.and_then(|any| SocketAddr::try_from(any).ok());
        let client = client.map(|a| SocketAddr::new(a.ip().to_canonical(), a.port()));
        Ok((Socket::Tcp(fd.into()), client))
    }
}

pub(crate) fn resolve(place: &HostPort) -> Result<SocketAddr, ListenerError> {
    if let Some(address) = place.socket_addr() {
        return Ok(address);
    }
    let failed = |source| ListenerError::Resolve { bind: place.to_string(), source };
    let found: Vec<_> = (place.host(), place.port()).to_socket_addrs().map_err(failed)?.collect();
    // Of a name with several addresses, clients that know but one family know IPv4.
    let best = found.iter().find(|a| a.is_ipv4()).or(found.first()).copied();
    best.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
}

fn bind_tcp(address: SocketAddr) -> io::Result<(RawSocket, SocketAddr)> {
    let mut socket = bind_once(address)?;
    let bound = local_address(&socket)?;
    if address.port() == 0 {
        // The kernel gives a port that it chose back when listening ends; one asked for stays.
        socket = bind_once(bound)?;
    }
    // Others that set SO_REUSEADDR can take a port whose holder never listened; once it has, and
    // no longer sets the option itself, they can't.
    socket.listen(BACKLOG)?;
    refuse(&socket)?;
    Ok((socket, bound))
}

fn bind_once(address: SocketAddr) -> io::Result<RawSocket> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    tune(&socket);
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Accepted sockets inherit both, which saves two calls a flow; neither is needed.
fn tune(socket: &RawSocket) {
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
}

fn local_address(socket: &RawSocket) -> io::Result<SocketAddr> {
    let address = SockRef::from(socket).local_addr()?;
    address.as_socket().ok_or_else(|| io::ErrorKind::Unsupported.into())
}

fn refuse(socket: &RawSocket) -> io::Result<()> {
    socket.shutdown(std::net::Shutdown::Read)?;
    socket.set_reuse_address(false)
}
