//! A network whose addresses all are this host's own, by one route.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use futures_util::TryStreamExt as _;
use ipnet::Ipv4Net;
use nix::errno::Errno;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteScope, RouteType,
};
use rtnetlink::{Handle, RouteMessageBuilder, new_connection};
use thiserror::Error;

use crate::mark::Mark;

/// The loopback interface; the kernel makes it first in each network namespace.
const LOOPBACK: u32 = 1;

/// The kernel's table of the host's own addresses (`RT_TABLE_LOCAL`).
const LOCAL: u32 = 255;

/// Routes as wide as this lead everywhere, and say nothing of the networks below them.
const EVERYWHERE: u8 = 1;

/// What the kernel or a filter of system calls or of socket families answers without the right.
const FORBIDDEN: [Errno; 5] =
    [Errno::EPERM, Errno::EACCES, Errno::ENOSYS, Errno::EPROTONOSUPPORT, Errno::EAFNOSUPPORT];

/// A network that this host answers for as if each address were its own.
#[derive(Debug)]
pub struct Subnet {
    net: Ipv4Net,
    /// Whether the route was made here or by an earlier run, and not found.
    made: bool,
    mark: Option<Mark>,
}

/// Why a network can't be this host's own.
#[derive(Debug, Error)]
pub enum SubnetError {
    /// The process may not change routes.
    #[error("the daemon may not add a route for {net}: {error}")]
    Forbidden {
        /// The network.
        net: Ipv4Net,
        /// What the kernel said.
        error: io::Error,
    },
    /// The host reaches something else there.
    #[error("{net} overlaps with {other}, to which this host has a route already")]
    InUse {
        /// The network.
        net: Ipv4Net,
        /// The route's network.
        other: Ipv4Net,
    },
    /// Anything else.
    #[error("the route for {net} can't be added: {error}")]
    Failed {
        /// The network.
        net: Ipv4Net,
        /// What the kernel said.
        error: io::Error,
    },
}

impl Subnet {
    /// Makes every address of a network this host's own, until [`Subnet::leave`] or a reboot. One
    /// that is so already is used as it is; it is taken away later only where an earlier run with the
    /// same runtime directory made it.
    ///
    /// # Errors
    /// CAP_NET_ADMIN is missing, or a route leads into the network or to a wider one around it.
    pub async fn take(net: Ipv4Net, runtime_dir: Option<&Path>) -> Result<Self, SubnetError> {
        let mark = runtime_dir.map(Mark::of);
        let left = mark.as_ref().and_then(Mark::read);
        if let Some(old) = left.filter(|old| *old != net) {
            Self { net: old, made: true, mark: mark.clone() }.leave().await?;
        }
        let work = async |handle: Handle| {
            let others = overlapping(&handle, net).await?;
            if others.own {
                return Ok(left == Some(net));
            }
            if let Some(other) = others.foreign {
                return Err(Problem::InUse(other));
            }
            if let Some(mark) = &mark {
                // Before the route: what is remembered too early is looked for in vain, and that is all.
                mark.set(net).map_err(Problem::Kernel)?;
            }
            let added = handle.route().add(route(net)).replace().execute().await;
            if let (Err(_), Some(mark)) = (&added, &mark) {
                mark.clear().map_err(Problem::Kernel)?;
            }
            added?;
            Ok(true)
        };
        let made = asked(net, work).await?;
        Ok(Self { net, made, mark })
    }

    /// What an earlier run with this runtime directory left behind.
    pub fn left_in(runtime_dir: &Path) -> Option<Self> {
        let mark = Mark::of(runtime_dir);
        let net = mark.read()?;
        Some(Self { net, made: true, mark: Some(mark) })
    }

    /// The network.
    pub fn net(&self) -> Ipv4Net {
        self.net
    }

    /// Takes the route away again, if it was made here.
    ///
    /// # Errors
    /// What the kernel said; a route that is gone already is no error.
    pub async fn leave(self) -> Result<(), SubnetError> {
        if !self.made {
            return Ok(());
        }
        let net = self.net;
        let work = async |handle: Handle| match handle.route().del(route(net)).execute().await {
            Ok(()) => Ok(()),
            Err(error) => match io_error(error) {
                error if error.raw_os_error() == Some(Errno::ESRCH as i32) => Ok(()),
                error => Err(Problem::Kernel(error)),
            },
        };
        asked(net, work).await?;
        self.mark.map_or(Ok(()), |mark| mark.clear()).map_err(|error| failed(net, error))
    }
}

/// Does something with the kernel's routes, over a connection for just that.
async fn asked<T>(
    net: Ipv4Net,
    work: impl AsyncFnOnce(Handle) -> Result<T, Problem>,
) -> Result<T, SubnetError> {
    let (connection, handle, _) = new_connection().map_err(|error| failed(net, error))?;
    match futures_util::future::select(Box::pin(work(handle)), connection).await {
        futures_util::future::Either::Left((done, _)) => done.map_err(|problem| problem.of(net)),
        futures_util::future::Either::Right(_) => {
            Err(failed(net, io::ErrorKind::BrokenPipe.into()))
        }
    }
}

enum Problem {
    InUse(Ipv4Net),
    Kernel(io::Error),
}

impl From<rtnetlink::Error> for Problem {
    fn from(error: rtnetlink::Error) -> Self {
        Self::Kernel(io_error(error))
    }
}

impl Problem {
    fn of(self, net: Ipv4Net) -> SubnetError {
        match self {
            Self::InUse(other) => SubnetError::InUse { net, other },
            Self::Kernel(error) => failed(net, error),
        }
    }
}

fn failed(net: Ipv4Net, error: io::Error) -> SubnetError {
    match error.raw_os_error() {
        Some(code) if FORBIDDEN.contains(&Errno::from_raw(code)) => {
            SubnetError::Forbidden { net, error }
        }
        _ => SubnetError::Failed { net, error },
    }
}

fn io_error(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other.to_string()),
    }
}

fn route(net: Ipv4Net) -> RouteMessage {
    RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(net.network(), net.prefix_len())
        .output_interface(LOOPBACK)
        .table_id(LOCAL)
        .kind(RouteType::Local)
        .scope(RouteScope::Host)
        .build()
}

/// Routes that lead into a network.
struct Overlapping {
    /// It is this host's own already.
    own: bool,
    foreign: Option<Ipv4Net>,
}

async fn overlapping(handle: &Handle, net: Ipv4Net) -> Result<Overlapping, rtnetlink::Error> {
    let all = RouteMessageBuilder::<Ipv4Addr>::new().build();
    let mut routes = handle.route().get(all).execute();
    let mut found = Overlapping { own: false, foreign: None };
    while let Some(route) = routes.try_next().await? {
        let Some(to) = destination(&route) else { continue };
        if to == net && route.header.kind == RouteType::Local {
            found.own = true;
        } else if to.prefix_len() > EVERYWHERE && (to.contains(&net) || net.contains(&to)) {
            found.foreign.get_or_insert(to);
        }
    }
    Ok(found)
}

fn destination(route: &RouteMessage) -> Option<Ipv4Net> {
    let to = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(to)) => Some(IpAddr::V4(*to)),
        _ => None,
    });
    match to {
        Some(IpAddr::V4(to)) => Ipv4Net::new(to, route.header.destination_prefix_length).ok(),
        _ => None,
    }
}
