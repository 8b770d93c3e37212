//! The state directory of a site.
//!
//! A [`Store`] keeps small documents by name: `identity` is the file `identity.json`. Every write
//! is atomic and synced: a reader, and a daemon after a crash, finds the old document or the new
//! one. A file that is torn nevertheless is set aside under another name and told
//! ([`Store::set_aside`]), so that a bad disk never becomes a crash loop. What must not be lost
//! has a second copy ([`Store::write_precious`]).
//!
//! Invariants: one process holds a directory at a time (a lock that the kernel frees with the
//! process); files are 0600 in a directory of 0700; no name from outside becomes a path; symbolic
//! links are not followed; a failed write leaves the old document as it was.

mod directory;
mod error;
mod key;
mod lock;
mod set_aside;
mod store;

pub use error::StoreError;
pub use set_aside::SetAside;
pub use store::Store;
