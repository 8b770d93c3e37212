//! Real clusters of Kubernetes: API server, controllers and one node with a container runtime each.
//!
//! `scripts/test-kube.sh` brings two of them up; a test takes a namespace of its own in one, as a
//! [`Cluster`], and works there by `kubectl`. The nodes of both reach each other.
//!
//! Everything here fails by panicking, with a message that says what was waited for and what the
//! cluster said meanwhile: a test has nobody to hand an error to.
//!
//! Invariants: it runs inside the capsule (`capsule.sh`), so that nothing is left of it; every wait
//! has a deadline; what a test makes in its namespace goes with it.

#![allow(clippy::panic, reason = "a test fails by panicking")]

mod cluster;

pub use cluster::Cluster;
