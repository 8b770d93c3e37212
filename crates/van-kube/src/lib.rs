//! A namespace of Kubernetes: what its objects want of the site, and what the site makes in it.
//!
//! [`Watches`] follow the objects of one namespace and keep what counts of them in an [`Index`].
//! [`plan`] says what follows from an index: specs for the site, Services and other objects to make, and
//! what is wrong with which object. [`Controller`] brings a plan about, again whenever something changes,
//! and writes down in the objects' status what came of it.
//!
//! Invariants: [`plan`] is pure and never fails: what can't be used of one object is said in that object's
//! condition and changes nothing else. What was known stays while the API server can't be reached. No
//! object is written that differs from another manager's will: Services that are not vand's own are left
//! alone. Nothing polls; only what failed is tried again.

mod controller;
mod index;
mod leading;
mod neighbours;
mod object;
mod outbox;
mod plan;
mod ports;
mod secrets;
mod state;
mod status;
mod watches;

pub use controller::{Controller, ControllerConfig, Host, Issued, Replicas};
pub use index::{Any, Index, Key, Kind};
pub use kube::Client;
pub use leading::{Candidate, Leading, number};
pub use neighbours::Neighbour;
pub use object::{Endpoint, Meta, Object, Pod, PodPort, Service, ServicePort, Slice, Workload};
pub use plan::{
    Context, Made, Offered, Owner, Plan, SiteSettings, Verdict, WantedGrant, WantedHeadless,
    WantedPort, WantedService, WantedSlice, plan,
};
pub use state::{Documents, StateSecret};
pub use status::Running;
