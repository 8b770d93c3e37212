//! Reaching one of several endpoints: all tried in parallel with a head start (RFC 8305), directly
//! or through an HTTP CONNECT proxy.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;
use std::{fmt, io};

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::FuturesUnordered;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use van_model::HostPort;

use crate::proxy::{Proxy, ProxyError};

/// Head start of each attempt before the next (RFC 8305 §5 recommends 250 ms).
const HEAD_START: Duration = Duration::from_millis(250);

/// Time for one attempt, name resolution apart.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for a name's resolution.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of a segment that pass every path of IPv6, whose packets are at least 1,280 bytes
/// (RFC 8200 §5): IPv4's are less, but hardly any path is as narrow.
const SHORT_SEGMENT: u32 = 1220;

/// Addresses tried at most, over all endpoints.
const MAX_ADDRESSES: usize = 32;

/// Why an endpoint could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// The name is not known.
    #[error("its name can't be resolved: {0}")]
    Resolve(io::Error),
    /// The name service does not answer.
    #[error("its name is not resolved within {} s", RESOLVE_TIMEOUT.as_secs())]
    ResolveTimeout,
    /// The connection was refused or failed.
    #[error("{0}")]
    Connect(io::Error),
    /// Nothing answered.
    #[error("no answer within {} s", CONNECT_TIMEOUT.as_secs())]
    Timeout,
    /// The proxy said no.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
}

/// Why no endpoint could be reached.
#[derive(Debug)]
pub struct ConnectError(Vec<(String, AttemptError)>);

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (place, error)) in self.0.iter().enumerate() {
            write!(f, "{}{place}: {error}", if i > 0 { "; " } else { "" })?;
        }
        if self.0.is_empty() { f.write_str("there is no endpoint to try") } else { Ok(()) }
    }
}

impl std::error::Error for ConnectError {}

/// How long the segments of a connection may be, both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Segments {
    /// As the path lets them.
    Any,
    /// So short that they come through where routers swallow long ones without a word.
    Short,
}

/// Connects to the first endpoint that answers. Returns which one it was.
pub(crate) async fn connect(
    endpoints: &[HostPort],
    proxy: Option<&Proxy>,
    segments: Segments,
) -> Result<(TcpStream, HostPort), ConnectError> {
    let mut errors = Vec::new();
    let mut waiting: VecDeque<Attempt> = VecDeque::new();
    for endpoint in endpoints {
        match proxy.filter(|proxy| proxy.serves(endpoint.host())) {
            Some(proxy) => waiting.push_back(Attempt::Proxy(endpoint.clone(), proxy.clone())),
            None => match resolve(endpoint).await {
                Ok(addresses) => {
                    waiting.extend(
                        addresses.into_iter().map(|a| Attempt::Direct(endpoint.clone(), a)),
                    );
                }
                Err(error) => errors.push((endpoint.to_string(), error)),
            },
        }
    }
    waiting.truncate(MAX_ADDRESSES);
    let mut running: FuturesUnordered<BoxFuture<'static, Outcome>> = FuturesUnordered::new();
    loop {
        match waiting.pop_front() {
            Some(attempt) => running.push(attempt.run(segments).boxed()),
            None if running.is_empty() => return Err(ConnectError(errors)),
            None => {}
        }
        let head_start = async {
            if waiting.is_empty() { std::future::pending().await } else { sleep(HEAD_START).await }
        };
        tokio::select! {
            Some((place, result)) = running.next() => match result {
                Ok(done) => return Ok(done),
                Err(error) => errors.push((place, error)),
            },
            () = head_start => {}
        }
    }
}

type Outcome = (String, Result<(TcpStream, HostPort), AttemptError>);

enum Attempt {
    Direct(HostPort, SocketAddr),
    Proxy(HostPort, Proxy),
}

impl Attempt {
    async fn run(self, segments: Segments) -> Outcome {
        match self {
            Self::Direct(endpoint, address) => {
                let place = if endpoint.socket_addr().is_some() {
                    endpoint.to_string()
                } else {
                    format!("{endpoint} ({})", address.ip())
                };
                let result = match timeout(CONNECT_TIMEOUT, direct(address, segments)).await {
                    Ok(Ok(socket)) => Ok((socket, endpoint)),
                    Ok(Err(error)) => Err(AttemptError::Connect(error)),
                    Err(_) => Err(AttemptError::Timeout),
                };
                (place, result)
            }
            Self::Proxy(endpoint, proxy) => {
                let place = format!("{endpoint} through {proxy}");
                let result = proxy.connect(&endpoint).await.map(|socket| (socket, endpoint));
                (place, result.map_err(Into::into))
            }
        }
    }
}

async fn direct(address: SocketAddr, segments: Segments) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if segments == Segments::Short {
        socket2::SockRef::from(&socket).set_tcp_mss(SHORT_SEGMENT)?;
    }
    socket.connect(address).await
}

/// A name's addresses, the two families in turn.
async fn resolve(endpoint: &HostPort) -> Result<Vec<SocketAddr>, AttemptError> {
    if let Some(address) = endpoint.socket_addr() {
        return Ok(vec![address]);
    }
    let lookup = tokio::net::lookup_host((endpoint.host(), endpoint.port()));
    let found = timeout(RESOLVE_TIMEOUT, lookup)
        .await
        .map_err(|_| AttemptError::ResolveTimeout)?
        .map_err(AttemptError::Resolve)?;
    let (v6, v4): (Vec<_>, Vec<_>) = found.partition(SocketAddr::is_ipv6);
    let mut mixed = Vec::new();
    for i in 0..v6.len().max(v4.len()) {
        mixed.extend(v6.get(i).into_iter().chain(v4.get(i)).copied());
    }
    Ok(mixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dead_endpoint_does_not_hold_up_a_live_one() {
        let live = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let live: HostPort = live.local_addr().map(HostPort::from).unwrap();
        // A port that was free a moment ago refuses.
        let dead = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dead: HostPort = dead.local_addr().map(HostPort::from).unwrap();
        let (_socket, endpoint) = connect(&[dead, live.clone()], None, Segments::Any)
            .await
            .unwrap_or_else(|e| panic!("{e}"));
        assert!(endpoint == live || endpoint.host() == "127.0.0.1");
    }

    #[tokio::test]
    async fn every_failure_is_told() {
        let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = dead.local_addr().unwrap();
        drop(dead);
        let error =
            connect(&[address.into()], None, Segments::Short).await.unwrap_err().to_string();
        assert!(error.contains(&address.to_string()) && error.contains("refused"), "{error}");
        assert!(
            connect(&[], None, Segments::Any)
                .await
                .unwrap_err()
                .to_string()
                .contains("no endpoint")
        );
    }
}
