//! A small authoritative name server: names of services under one domain, and their addresses.
//!
//! [`Zone`] is a snapshot of what is known and answers questions from it; [`DnsServer`] serves the
//! newest snapshot over UDP and TCP at one address.
//!
//! Invariants: it answers for its own domain and the reverse names of its own network, and refuses
//! the rest; it never asks anybody.

mod server;
mod zone;

pub use server::{DnsError, DnsServer};
pub use zone::{Answer, Entry, Zone};
