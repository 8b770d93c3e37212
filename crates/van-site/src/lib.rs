//! One site: what is wanted, what runs, and what is told of both.
//!
//! [`Site`] merges what files and the API want, makes the difference to what runs and applies it
//! ([`Site::apply`]); it keeps the identity, the peers and the tokens in the state directory, tells
//! the neighbours what is offered, and answers the API.
//!
//! Invariants: the data plane never waits for this crate (it leaves notes in a mailbox); a change
//! that can't be kept on disk is not made; a configuration that can't be applied leaves the old one
//! running.

mod api;
mod blocking;
mod check;
mod clock;
mod debug;
mod dials;
mod echo;
mod environment;
mod error;
mod events;
mod foreign;
mod identity;
mod imports;
mod issuing;
mod join;
mod listening;
mod mailbox;
mod metrics;
mod naming;
mod network;
mod network_view;
mod paths;
mod peers;
mod podman;
mod reconcile;
mod replaced;
mod replicas;
mod resources;
mod services;
mod site;
mod spans;
mod status;
mod tap;
mod tokens;
mod trace;
mod upkeep;
mod views;

pub use environment::{Environment, Reload, SetLog, Start};
pub use error::SiteError;
pub use events::EVENT_TARGET;
pub use foreign::{ForeignSpecs, OfferedService};
pub use replicas::{Leader, make_identity};
pub use site::Site;
