//! Links between sites, and the task that moves a connection's bytes.
//!
//! [`Dialler`] and [`Acceptor`] bring TLS connections up on the control runtime; a connection then
//! moves to one of the [`Workers`], where one task owns its socket, its session and the sockets of
//! all its flows. [`Links`] knows which connections make up which [`Link`].
//!
//! Invariants: on the way of a byte there is no lock, no channel and no change of task; a
//! connection always reads; identity is checked after every handshake, resumed or not.

// The tests of whole sites are written as other crates see this one.
#[cfg(test)]
extern crate self as van_net;

mod accept;
mod backoff;
mod buffer;
mod connect;
mod connection;
mod datagrams;
mod dial;
mod establish;
mod flow;
mod flow_log;
mod handed;
mod join;
mod link;
mod links;
mod meter;
mod pipe;
mod proxy;
mod remote;
mod requests;
mod signal;
mod socket;
mod tap;
mod tasks;
mod tls;
mod transit;
mod transport;
mod workers;

pub use accept::{Acceptor, Decider};
pub use connect::{AttemptError, ConnectError};
pub use connection::EndReason;
pub use datagrams::{DatagramPort, DatagramSource, Datagrams};
pub use dial::{DialSpec, DialStatus, Dialler, Pin};
pub use establish::HandshakeError;
pub use flow::{Connected, NewFlow, Retry};
pub use flow_log::{FlowLog, Logged};
pub use handed::Handed;
pub use join::{Admission, JoinError, JoinRefusal, JoinRequest, Joined};
pub use link::{Link, Peer};
pub use links::{Egress, Links, LinksConfig, Local, Observer};
pub use meter::{Count, Counted, DatagramCounts, Histogram, Lost, Meter};
pub use pipe::Pipe;
pub use proxy::{Proxy, ProxyError};
pub use remote::{Paths, Remote, Router};
pub use requests::RequestCounts;
pub use socket::{Read, Socket};
pub use tap::Tap;
pub use tasks::Tasks;
pub use tls::TlsInfo;
pub use workers::{Workers, after_sockets};

#[cfg(test)]
#[allow(dead_code, reason = "the other tests of circuits use the rest of it")]
#[path = "../tests/circuits/chain.rs"]
mod chain;
#[cfg(test)]
mod hostile_transit;
