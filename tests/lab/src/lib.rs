//! The laboratory: hosts that boot systemd from packages just built, in networks with routers and
//! firewalls between them, all on one machine.
//!
//! A [`Lab`] has network [`Segment`]s, [`Router`]s and [`Host`]s. A host is a Debian root shared by
//! all, with a layer of its own over it, booted by `systemd-nspawn` in its own network namespace.
//!
//! Everything here fails by panicking, with a message that says what was waited for and what the
//! host said meanwhile: a test has nobody to hand an error to.
//!
//! Invariants: it runs inside the capsule (`capsule.sh`), so that nothing is left of it; every wait
//! has a deadline; the shared root is never written.

#![allow(clippy::panic, reason = "a test fails by panicking")]

mod boot;
mod host;
mod lab;
mod network;
mod vand;

pub use host::Host;
pub use lab::Lab;
pub use network::{Router, Segment};
