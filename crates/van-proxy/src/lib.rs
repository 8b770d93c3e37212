//! Listeners, connectors, the choice of a target, and flows that stay at this site.
//!
//! A [`Listener`] accepts clients and hands them to the [`Dispatcher`], which picks a site from the
//! [`ServiceTable`] and gives the flow to a link or, where the target is at this site, to a task of
//! its own. Where the protocol is HTTP, the dispatcher is asked for each request instead, and `van-http`
//! carries it over flows that are kept. [`Connectors`] reach workloads, for both, and watch whether they are well.
//!
//! Invariants: choosing takes no lock and never waits; a flow is tried elsewhere only while no
//! workload can have seen a byte of it; a listener whose service has no target keeps its place and
//! refuses.

mod check;
mod connect;
mod connector;
mod connectors;
mod dispatch;
mod edge;
mod exchange;
mod gate;
mod health;
mod listener;
mod listener_error;
mod local;
mod metered;
mod penalty;
mod pipe;
mod plan;
mod proxy_header;
mod requests;
mod resolve;
mod services;
mod sessions;
mod stream;
mod unix_place;
mod watch;
mod wish;
mod workloads;

pub use connectors::{ConnectorState, Connectors, Offer};
pub use dispatch::Dispatcher;
pub use listener::{Listener, ListenerState};
pub use listener_error::ListenerError;
pub use services::{Candidate, Service, ServiceTable, TargetGroup, Via};
pub use workloads::Workloads;
