//! The socket API's server: HTTP/1.1 and JSON on a Unix socket.
//!
//! [`ApiSocket`] binds the socket, [`Server`] answers on it, and [`SiteApi`] is what it asks: the
//! running site. Who may do what follows from the peer's [`Credentials`].
//!
//! A request goes through `server` (connections and their limits), `route` (method and path to a
//! [`Route`]), [`Credentials::access`] (rights), `handler` (the site is asked) and `answer` (JSON).
//! `watch` streams documents for `?watch=1`.
//!
//! Invariants: nothing here knows how a site works; every length and time of a request has a
//! limit; bad input is answered with an error document and never ends the server.

mod answer;
mod connection;
mod credentials;
#[cfg(feature = "fake")]
pub mod fake;
mod handler;
mod metrics;
mod request;
mod route;
mod server;
mod site;
mod socket;
mod watch;

pub use credentials::{Access, Credentials, Policy};
pub use metrics::{MetricsServer, Ready};
pub use route::{Kind, Route};
pub use server::Server;
pub use site::{Reply, SiteApi, TapLines};
pub use socket::{ApiSocket, SocketError};
