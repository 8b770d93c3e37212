//! Why a listener can't have its place.

use std::io;
use std::path::PathBuf;

/// Why a listener can't start.
#[derive(Debug, thiserror::Error)]
pub enum ListenerError {
    /// Another program, or another listener, holds the place.
    #[error("{bind} is in use already; {hint}")]
    AddrInUse {
        /// The place, as it was asked for.
        bind: String,
        /// What the user can do.
        hint: String,
    },
    /// No interface of this host has the address.
    #[error("{bind} is not an address of this host; see `ip address`")]
    NotLocal {
        /// The place.
        bind: String,
    },
    /// The system does not allow it.
    #[error("{bind} is not allowed: {source}; {hint}")]
    NotAllowed {
        /// The place.
        bind: String,
        /// The system's word.
        source: io::Error,
        /// What the user can do.
        hint: &'static str,
    },
    /// The host's name is unknown.
    #[error("the name in {bind} can't be resolved: {source}; give an IP address")]
    Resolve {
        /// The place.
        bind: String,
        /// The resolver's word.
        source: io::Error,
    },
    /// Something that is not a socket stands at the path; it is left alone.
    #[error("{} exists and is not a socket; move it away or choose another path", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The folder of a Unix socket is missing.
    #[error("the folder of {} does not exist; create it", path.display())]
    NoFolder {
        /// The socket's path.
        path: PathBuf,
    },
    /// The system failed otherwise.
    #[error("listening at {bind} failed: {source}")]
    Io {
        /// The place.
        bind: String,
        /// The system's word.
        source: io::Error,
    },
}

impl ListenerError {
    /// Sorts a failure of binding or listening at a TCP port.
    pub(crate) fn tcp(bind: &str, source: io::Error) -> Self {
        let bind = bind.to_owned();
        match source.kind() {
            io::ErrorKind::AddrInUse => {
                let port = bind.rsplit(':').next().unwrap_or_default();
                let hint = format!("find who holds it with `ss -tlnp sport = :{port}`");
                Self::AddrInUse { bind, hint }
            }
            io::ErrorKind::AddrNotAvailable => Self::NotLocal { bind },
            io::ErrorKind::PermissionDenied => {
                let hint = "ports below 1024 need the capability CAP_NET_BIND_SERVICE";
                Self::NotAllowed { bind, source, hint }
            }
            _ => Self::Io { bind, source },
        }
    }

    /// Sorts a failure of binding a UDP port.
    pub(crate) fn udp(bind: &str, source: io::Error) -> Self {
        match Self::tcp(bind, source) {
            Self::AddrInUse { bind, hint } => {
                Self::AddrInUse { bind, hint: hint.replace("-tlnp", "-ulnp") }
            }
            other => other,
        }
    }

    /// Sorts a failure at a Unix socket's path.
    pub(crate) fn unix(path: &std::path::Path, source: io::Error) -> Self {
        let bind = format!("unix:{}", path.display());
        match source.kind() {
            io::ErrorKind::AddrInUse => {
                let hint = format!("find who holds it with `ss -xlp src {}`", path.display());
                Self::AddrInUse { bind, hint }
            }
            io::ErrorKind::NotFound => Self::NoFolder { path: path.into() },
            io::ErrorKind::PermissionDenied => {
                let hint = "the daemon's user must be able to write in its folder";
                Self::NotAllowed { bind, source, hint }
            }
            _ => Self::Io { bind, source },
        }
    }

    /// A short stable word for the API, logs and conditions.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::AddrInUse { .. } => "AddressInUse",
            Self::NotLocal { .. } => "AddressNotLocal",
            Self::NotAllowed { .. } => "NotAllowed",
            Self::Resolve { .. } => "NameUnknown",
            Self::NotASocket { .. } => "NotASocket",
            Self::NoFolder { .. } => "NoFolder",
            Self::Io { .. } => "BindFailed",
        }
    }
}
