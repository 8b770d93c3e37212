//! Containers and pods of this host: where they are, how they are, and what their labels offer.
//!
//! A [`Watcher`] follows one podman over its API socket: it lists the containers that somebody
//! cares about, listens to podman's events, and lists again when one tells of a change. What it knows
//! is a [`Snapshot`], read without waiting. [`locate`] says where a workload is by the snapshots of
//! all podmans, and [`offers`] which connectors their labels make.
//!
//! Invariants: containers go on while podman's service is away, so what was known stays until it is
//! heard of again; only [`client`](self) and the watcher touch a socket, the rest is pure; answers of
//! podman have a limit where they are decoded.

mod client;
mod container;
mod labels;
mod locate;
mod snapshot;
mod watcher;
mod wire;

pub use client::PodmanError;
pub use container::{Container, Published, State};
pub use labels::{LabelError, Offers, Refused, offers};
pub use locate::{Unlocated, locate};
pub use snapshot::{Engine, Snapshot};
pub use watcher::{Interest, Watcher};
