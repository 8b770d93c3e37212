//! Listeners, connectors and local flows over real sockets of one process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod flows;
mod health;
mod listeners;
mod names;
mod site;
mod unix;
