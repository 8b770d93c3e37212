//! What the other tests of clusters build on, shown to work: run by `make test-kube`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod pods;
mod service;
