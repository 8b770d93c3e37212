//! Reaching one target.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};
use van_model::{Target, Workload, is_metadata};
use van_mux::ResetCode;
use van_net::Tasks;

use crate::resolve::{ResolveError, Resolver};
use crate::stream::Stream;
use crate::workloads::Workloads;

/// Time for one connection, all addresses of its target together; resolving its name has its own.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Quiet time after which the kernel asks whether the workload is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Why a target was not reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Timeout,
    #[error("{0}")]
    Refused(io::Error),
    #[error("{0}")]
    Overload(io::Error),
    #[error("{0}")]
    Unreachable(io::Error),
    #[error("it leads to the cloud's metadata service, which no service may be")]
    Metadata,
    #[error("{0}")]
    NotThere(String),
    #[error(transparent)]
    Tls(#[from] van_tls::TlsError),
}

impl ConnectError {
    pub(crate) fn new(error: io::Error) -> Self {
        use io::ErrorKind as Kind;
        let errno = error.raw_os_error().map(Errno::from_raw_os_error);
        match error.kind() {
            Kind::ConnectionRefused | Kind::ConnectionReset => Self::Refused(error),
            // A Unix socket's file may come with its workload.
            Kind::NotFound => Self::Refused(error),
            Kind::TimedOut => Self::Timeout,
            // No free local port, or a Unix socket's full backlog.
            Kind::AddrNotAvailable | Kind::AddrInUse | Kind::WouldBlock => Self::Overload(error),
            _ if matches!(errno, Some(Errno::MFILE | Errno::NFILE)) => Self::Overload(error),
            _ => Self::Unreachable(error),
        }
    }

    /// What the ingress is told: no byte has reached the workload.
    pub(crate) fn code(&self) -> ResetCode {
        match self {
            Self::Refused(_) => ResetCode::Refused,
            Self::Timeout => ResetCode::Timeout,
            Self::Overload(_) => ResetCode::Overload,
            Self::Unreachable(_) | Self::Resolve(_) | Self::Metadata | Self::Tls(_) => {
                ResetCode::Unreachable
            }
            // A container that does not run refuses as a program does that does not.
            Self::NotThere(_) => ResetCode::Refused,
        }
    }

    /// Whether no further try is needed to know that the target does not serve.
    pub(crate) fn is_certain(&self) -> bool {
        matches!(self, Self::NotThere(_))
    }
}

/// Where a target is, ready to be reached.
pub(crate) enum Place {
    Tcp(Resolver),
    Unix(PathBuf),
    Workload(Workload, Arc<dyn Workloads>),
}

impl Place {
    /// Prepares reaching a target; its name is resolved by `tasks`, a container's by `workloads`.
    pub(crate) fn new(target: &Target, workloads: &Arc<dyn Workloads>, tasks: Tasks) -> Self {
        match target {
            Target::Tcp(tcp) => Self::Tcp(Resolver::new(tcp.clone(), tasks)),
            Target::Unix(path) => Self::Unix(path.clone()),
            Target::Workload(workload) => Self::Workload(workload.clone(), workloads.clone()),
        }
    }

    /// Where the target is by the word of whoever moves it about; `None`: nobody does.
    pub(crate) fn located(&self) -> Option<Result<Vec<SocketAddr>, ConnectError>> {
        match self {
            Self::Tcp(_) | Self::Unix(_) => None,
            Self::Workload(workload, workloads) => {
                Some(workloads.locate(workload).map_err(ConnectError::NotThere))
            }
        }
    }

    /// Connects, registered with the runtime that is running.
    pub(crate) async fn connect(&self) -> Result<Stream, ConnectError> {
        match self {
            Self::Tcp(resolver) => {
                let addresses = resolver.addresses().await?;
                // What was checked is what is connected to: a name that answers otherwise the next
                // time gains nothing.
                if resolver.is_name() && addresses.iter().any(|a| is_metadata(a.ip())) {
                    return Err(ConnectError::Metadata);
                }
                let tcp = connect_any(&addresses).await?;
                tune(&tcp);
                Ok(Stream::Tcp(tcp))
            }
            Self::Unix(path) => {
                let attempt = tokio::time::timeout(PATIENCE, UnixStream::connect(path)).await;
                let unix = attempt.map_err(|_| ConnectError::Timeout)?;
                unix.map(Stream::Unix).map_err(ConnectError::new)
            }
            Self::Workload(workload, workloads) => {
                let places = workloads.locate(workload).map_err(ConnectError::NotThere)?;
                // podman's word is no better than a name service's.
                if places.iter().any(|place| is_metadata(place.ip())) {
                    return Err(ConnectError::Metadata);
                }
                let tcp = connect_any(&places).await?;
                tune(&tcp);
                Ok(Stream::Tcp(tcp))
            }
        }
    }
}

impl Place {
    /// A socket for datagrams to the target; that somebody listens there is not known yet.
    pub(crate) async fn connect_datagrams(&self) -> Result<UdpSocket, ConnectError> {
        let addresses = match self {
            Self::Tcp(resolver) => resolver.addresses().await?,
            Self::Workload(workload, workloads) => {
                workloads.locate(workload).map_err(ConnectError::NotThere)?.into()
            }
            Self::Unix(_) => {
                let why = "datagrams go to HOST:PORT, a container or a pod, not to unix:/PATH";
                return Err(ConnectError::NotThere(why.into()));
            }
        };
        if addresses.iter().any(|a| is_metadata(a.ip())) && !self.is_address() {
            return Err(ConnectError::Metadata);
        }
        let mut last = ConnectError::Timeout;
        for address in addresses.iter() {
            match datagram_socket(*address) {
                Ok(socket) => return Ok(socket),
                Err(error) => last = ConnectError::new(error),
            }
        }
        Err(last)
    }

    /// Whether the target was written as an address, which is the file's own word.
    fn is_address(&self) -> bool {
        matches!(self, Self::Tcp(resolver) if !resolver.is_name())
    }
}

/// The kernel's buffer for a workload's answers: a burst of a few hundred of full size.
const DATAGRAM_BUFFER: usize = 1 << 20;

fn datagram_socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    // The kernel gives what it may; less only loses more of a burst.
    let _ = SockRef::from(&socket).set_recv_buffer_size(DATAGRAM_BUFFER);
    socket.connect(address)?;
    Ok(socket)
}

/// Connects to the first address that answers; each gets its share of the time.
async fn connect_any(addresses: &[SocketAddr]) -> Result<TcpStream, ConnectError> {
    let deadline = Instant::now() + PATIENCE;
    let mut last = ConnectError::Timeout;
    for (index, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - index).unwrap_or(1).max(1);
        last = match timeout_at(Instant::now() + share, connect_one(*address)).await {
            Ok(Ok(tcp)) if is_its_own_peer(&tcp) => {
                ConnectError::Refused(io::ErrorKind::ConnectionRefused.into())
            }
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => ConnectError::new(error),
            Err(_) => ConnectError::Timeout,
        };
    }
    Err(last)
}

/// Connects so that giving up meanwhile is a reset for the workload, not an empty request.
async fn connect_one(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
    let tcp = socket.connect(address).await?;
    SockRef::from(&tcp).set_linger(None)?;
    Ok(tcp)
}

/// Whether the kernel joined a socket to itself, as it does where a free local port is chosen that
/// is the one asked for: nobody listens there.
fn is_its_own_peer(tcp: &TcpStream) -> bool {
    matches!((tcp.local_addr(), tcp.peer_addr()), (Ok(local), Ok(peer)) if local == peer)
}

fn tune(tcp: &TcpStream) {
    let socket = SockRef::from(tcp);
    // Each is an improvement where the kernel has it, and none is needed.
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
}
