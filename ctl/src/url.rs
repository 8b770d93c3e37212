//! Where the daemon is: `unix:///path`, `ssh://[user@]host` or `kube://…`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nix::unistd::{AccessFlags, access, geteuid};

use crate::kube::Namespace;

/// The system's daemon.
pub(crate) const SYSTEM_SOCKET: &str = "/run/vand/vand.sock";

/// Where the daemon is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Url {
    /// A Unix socket of this host.
    Unix(PathBuf),
    /// Another host; `vanctl api-proxy` is run there.
    Ssh {
        /// `[user@]host`, as ssh takes it.
        destination: String,
        /// Another port than ssh's own.
        port: Option<u16>,
    },
    /// The site of a namespace in a cluster.
    Kube(Namespace),
}

/// Why a text says no place of a daemon.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UrlError {
    /// No known scheme.
    #[error("use unix:///path, ssh://[user@]host or kube://[context]/[namespace]")]
    Scheme,
    /// The socket's path.
    #[error("a Unix socket needs an absolute path: unix:///run/vand/vand.sock")]
    Path,
    /// The context or the namespace.
    #[error("a cluster is written kube://[context]/[namespace]; a namespace has a-z, 0-9 and '-'")]
    Kube,
    /// The host or the user.
    #[error("ssh needs a host: ssh://[user@]host[:port]")]
    Host,
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if !path.starts_with('/') || path.contains('\0') {
                return Err(UrlError::Path);
            }
            return Ok(Self::Unix(path.into()));
        }
        if let Some(rest) = text.strip_prefix("ssh://") {
            return ssh(rest.strip_suffix('/').unwrap_or(rest)).ok_or(UrlError::Host);
        }
        if let Some(rest) = text.strip_prefix("kube://") {
            return kube(rest).ok_or(UrlError::Kube);
        }
        Err(UrlError::Scheme)
    }
}

/// Reads `[context]/[namespace]`; a context may have slashes of its own.
fn kube(text: &str) -> Option<Url> {
    let (context, namespace) = text.rsplit_once('/').unwrap_or((text, ""));
    let label = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !namespace.bytes().all(label) || context.contains(char::is_control) {
        return None;
    }
    let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Some(Url::Kube(Namespace { context: part(context), namespace: part(namespace) }))
}

/// Reads `[user@]host[:port]`; nothing in it may look like an option or a shell's word.
fn ssh(text: &str) -> Option<Url> {
    let plain = |word: &str| {
        !word.is_empty()
            && !word.starts_with('-')
            && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let (user, place) = match text.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, text),
    };
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, rest.strip_prefix(':').or(rest.is_empty().then_some("")))
        }
        None => {
            let (host, port) = place.split_once(':').unwrap_or((place, ""));
            if !plain(host) {
                return None;
            }
            (host, Some(port))
        }
    };
    let port = match port? {
        "" => None,
        digits => Some(digits.parse::<u16>().ok().filter(|port| *port > 0)?),
    };
    let destination = match user {
        Some(user) if plain(user) => format!("{user}@{host}"),
        Some(_) => return None,
        None => host.into(),
    };
    Some(Url::Ssh { destination, port })
}

impl Url {
    /// The system's daemon, or the user's own where that is the one that may be used.
    pub(crate) fn default_here() -> Self {
        let own = std::env::var_os("XDG_RUNTIME_DIR")
            .filter(|dir| !dir.is_empty())
            .map(|dir| Path::new(&dir).join("vand/vand.sock"));
        choose(Path::new(SYSTEM_SOCKET), own.as_deref(), geteuid().is_root())
    }
}

fn choose(system: &Path, own: Option<&Path>, root: bool) -> Url {
    let usable = access(system, AccessFlags::R_OK | AccessFlags::W_OK).is_ok();
    match own {
        Some(own) if !root && !usable && own.exists() => Url::Unix(own.into()),
        _ => Url::Unix(system.into()),
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Ssh { destination, port: None } => write!(f, "ssh://{destination}"),
            Self::Ssh { destination, port: Some(port) } => write!(f, "ssh://{destination}:{port}"),
            Self::Kube(namespace) => write!(f, "{namespace}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(destination: &str, port: Option<u16>) -> Result<Url, UrlError> {
        Ok(Url::Ssh { destination: destination.into(), port })
    }

    #[test]
    fn good_urls() {
        assert_eq!("unix:///run/x.sock".parse(), Ok(Url::Unix("/run/x.sock".into())));
        assert_eq!("unix:/run/x.sock".parse(), Ok(Url::Unix("/run/x.sock".into())));
        assert_eq!("ssh://db".parse(), host("db", None));
        assert_eq!("ssh://anna@db.example.com/".parse(), host("anna@db.example.com", None));
        assert_eq!("ssh://anna@db:2222".parse(), host("anna@db", Some(2222)));
        assert_eq!("ssh://[2001:db8::1]:22".parse(), host("2001:db8::1", Some(22)));
        let kube = |context: Option<&str>, namespace: Option<&str>| {
            let part = |text: Option<&str>| text.map(ToOwned::to_owned);
            Ok(Url::Kube(Namespace { context: part(context), namespace: part(namespace) }))
        };
        assert_eq!("kube://prod/shop".parse(), kube(Some("prod"), Some("shop")));
        assert_eq!("kube:///shop".parse(), kube(None, Some("shop")));
        assert_eq!("kube://prod/".parse(), kube(Some("prod"), None));
        assert_eq!("kube://".parse(), kube(None, None));
        let eks = "arn:aws:eks:eu-west-1:1:cluster/prod";
        assert_eq!(format!("kube://{eks}/shop").parse(), kube(Some(eks), Some("shop")));
    }

    #[test]
    fn bad_urls() {
        for (text, error) in [
            ("", UrlError::Scheme),
            ("/run/vand/vand.sock", UrlError::Scheme),
            ("http://x", UrlError::Scheme),
            ("unix:", UrlError::Path),
            ("unix://run/x", UrlError::Path),
            ("ssh://", UrlError::Host),
            ("ssh://-oProxyCommand=id", UrlError::Host),
            ("ssh://-l@db", UrlError::Host),
            ("ssh://a b", UrlError::Host),
            ("ssh://db;id", UrlError::Host),
            ("ssh://db:0", UrlError::Host),
            ("ssh://db:x", UrlError::Host),
            ("ssh://[::1", UrlError::Host),
            ("ssh://@db", UrlError::Host),
            ("kube://prod/Shop", UrlError::Kube),
        ] {
            assert_eq!(text.parse::<Url>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn the_users_own_daemon_is_the_second_choice() {
        let dir = tempfile::tempdir().unwrap();
        let (system, own) = (dir.path().join("system"), dir.path().join("own"));
        std::fs::write(&own, "").unwrap();
        assert_eq!(choose(&system, Some(&own), false), Url::Unix(own.clone()));
        assert_eq!(choose(&system, Some(&own), true), Url::Unix(system.clone()));
        assert_eq!(choose(&system, None, false), Url::Unix(system.clone()));
        std::fs::write(&system, "").unwrap();
        assert_eq!(choose(&system, Some(&own), false), Url::Unix(system));
    }
}
