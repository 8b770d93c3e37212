//! HTTP CONNECT proxies (RFC 9110 §9.3.6).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use van_model::HostPort;

/// Time for a proxy to connect onwards.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The most bytes of a proxy's answer.
const MAX_ANSWER: usize = 16 * 1024;

/// An HTTP CONNECT proxy and the hosts that it is not for.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    place: HostPort,
    /// `user:password`, as it goes into the request.
    credentials: Option<String>,
    exceptions: Vec<String>,
}

/// Why a proxy does not help.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// Not a proxy's URL.
    #[error("a proxy is written http://[user[:password]@]host:port")]
    Url,
    /// The proxy can't be reached.
    #[error("the proxy can't be reached: {0}")]
    Io(#[from] std::io::Error),
    /// The proxy does not answer.
    #[error("the proxy does not answer within {} s", TIMEOUT.as_secs())]
    Timeout,
    /// The proxy wants credentials.
    #[error("the proxy wants a user and password, or other ones")]
    Credentials,
    /// The proxy refused.
    #[error("the proxy refused: {0}")]
    Refused(String),
    /// The proxy's answer makes no sense.
    #[error("the proxy's answer is no HTTP answer to CONNECT")]
    Answer,
}

impl FromStr for Proxy {
    type Err = ProxyError;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let rest = url.strip_prefix("http://").ok_or(ProxyError::Url)?.trim_end_matches('/');
        let (credentials, place) = match rest.rsplit_once('@') {
            Some((credentials, place)) => (Some(percent_decoded(credentials)), place),
            None => (None, rest),
        };
        let place = place.parse().map_err(|_| ProxyError::Url)?;
        if credentials.as_deref().is_some_and(|c| c.chars().any(char::is_control)) {
            return Err(ProxyError::Url);
        }
        Ok(Self { place, credentials, exceptions: Vec::new() })
    }
}

fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "proxy {}", self.place)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Proxy {
    /// The proxy that the usual environment variables name: `https_proxy`, `all_proxy` and their
    /// upper-case forms, less the hosts of `no_proxy`.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let either = |name: &str| {
            variable(name).or_else(|| variable(&name.to_uppercase())).filter(|v| !v.is_empty())
        };
        let url = either("https_proxy").or_else(|| either("all_proxy"))?;
        let url = if url.contains("://") { url } else { format!("http://{url}") };
        let mut proxy: Self = url.parse().ok()?;
        let exceptions = either("no_proxy").unwrap_or_default();
        proxy.exceptions = exceptions.split(',').map(|e| e.trim().to_lowercase()).collect();
        Some(proxy)
    }

    /// Whether the proxy is to be used for this host; never for this machine itself.
    pub(crate) fn serves(&self, host: &str) -> bool {
        let host = host.to_lowercase();
        let local = host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let excepted = |e: &String| {
            let e = e.trim_start_matches('.');
            e == "*" || (!e.is_empty() && (host == e || host.ends_with(&format!(".{e}"))))
        };
        self.exceptions.is_empty() || !(local || self.exceptions.iter().any(excepted))
    }

    /// Connects to `endpoint` through the proxy.
    pub(crate) async fn connect(&self, endpoint: &HostPort) -> Result<TcpStream, ProxyError> {
        timeout(TIMEOUT, self.tunnel(endpoint)).await.map_err(|_| ProxyError::Timeout)?
    }

    async fn tunnel(&self, endpoint: &HostPort) -> Result<TcpStream, ProxyError> {
        let mut socket = TcpStream::connect((self.place.host(), self.place.port())).await?;
        let authorization = self.credentials.as_ref().map_or_else(String::new, |credentials| {
            format!("Proxy-Authorization: Basic {}\r\n", BASE64_STANDARD.encode(credentials))
        });
        let request =
            format!("CONNECT {endpoint} HTTP/1.1\r\nHost: {endpoint}\r\n{authorization}\r\n");
        socket.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        // Byte by byte: what follows the header belongs to TLS.
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() >= MAX_ANSWER {
                return Err(ProxyError::Answer);
            }
            answer.push(socket.read_u8().await?);
        }
        let line = answer.split(|b| *b == b'\r').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line).into_owned();
        let mut words = line.splitn(3, ' ');
        match (words.next().is_some_and(|v| v.starts_with("HTTP/1.")), words.next()) {
            (true, Some("200")) => Ok(socket),
            (true, Some("407")) => Err(ProxyError::Credentials),
            (true, Some(status)) => {
                Err(ProxyError::Refused(format!("{status} {}", words.next().unwrap_or_default())))
            }
            _ => Err(ProxyError::Answer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let proxy: Proxy = "http://anna:p%40ss@proxy.corp:3128/".parse().unwrap();
        assert_eq!(proxy.credentials.as_deref(), Some("anna:p@ss"));
        assert!(!format!("{proxy:?} {proxy}").contains("p@ss"));
        for bad in ["https://p:1", "p:1", "http://p", "http://a%0d%0ab@p:1"] {
            assert!(bad.parse::<Proxy>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_environment_and_its_exceptions() {
        let from = |pairs: &'static [(&str, &str)]| {
            Proxy::from_environment(|name| {
                pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
            })
        };
        assert!(from(&[]).is_none());
        let proxy = from(&[("HTTPS_PROXY", "p:1"), ("no_proxy", ".corp, 10.0.0.1")]).unwrap();
        assert!(proxy.serves("van.example.com") && proxy.serves("notcorp"));
        assert!(!proxy.serves("a.corp") && !proxy.serves("10.0.0.1") && !proxy.serves("127.0.0.1"));
    }
}
