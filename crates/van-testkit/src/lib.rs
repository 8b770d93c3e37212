//! What process-level tests are made of: real daemons ([`Vand`], [`Sites`], [`Exporter`]), the real client
//! ([`Vanctl`]), workloads ([`Echo`], [`PatternServer`], [`Silent`]) and waits ([`wait_until`]).
//!
//! Hosts with cables, firewalls and routers between them are network namespaces of a [`Lab`].
//!
//! Routing is tested without any of them, by a [`VirtualNetwork`] in virtual time.
//!
//! Everything here fails by panicking, with a message that says what was waited for and what the
//! process said meanwhile: a test has nobody to hand an error to.
//!
//! Invariants: every wait has a deadline; every process is ended by its own id; no process inherits
//! the environment of the one who runs the tests.

#![allow(clippy::panic, reason = "a test fails by panicking")]

mod binary;
mod cable;
mod client;
mod clock;
mod connect_proxy;
mod daemon;
mod echo;
mod exporter;
mod lab;
mod lab_site;
mod load;
mod namespace;
mod net;
mod pattern;
mod process;
mod silent;
mod sites;
mod talk;
mod virtual_network;
mod wait;
mod wire;
mod witness;

pub use binary::{vanctl_binary, vand_binary};
pub use cable::Cable;
pub use client::{Ran, Vanctl};
pub use clock::Clock;
pub use connect_proxy::ConnectProxy;
pub use daemon::{Limits, Vand};
pub use echo::{Echo, echo_lines, echoes};
pub use exporter::Exporter;
pub use lab::Lab;
pub use lab_site::LabSite;
pub use load::{Load, LoadEnd};
pub use namespace::{Host, program, wait_for_port};
pub use net::{free_port, is_refused};
pub use pattern::{FlowEnd, PatternServer, pattern_flow};
pub use process::{Process, run};
pub use silent::Silent;
pub use sites::Sites;
pub use talk::{Talk, TalkEnd};
pub use tempfile::TempDir;
pub use virtual_network::{Memory, RememberedSignatures, Seed, VirtualNetwork, Weather};
pub use wait::{DEADLINE, temp_dir, wait_until};
pub use wire::{Quality, Wire, tap};
pub use witness::Witness;
