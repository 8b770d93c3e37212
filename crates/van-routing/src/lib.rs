//! What sites tell each other, and the choice of a target.
//!
//! A [`Record`] is what a router says of itself: who it is, its links, and the addresses that it
//! offers. It is signed by its site's authority ([`SignedRecord`]), so that no other site can say
//! it. Neighbours exchange theirs; [`pick`] chooses among the targets that became known.
//!
//! Invariant: pure. No runtime, socket, file or clock.

mod pick;
mod record;
mod signed;

pub use pick::{Choice, pick};
pub use record::{MAX_OFFERS, Neighbour, OfferRecord, Record, RecordError};
pub use signed::SignedRecord;
