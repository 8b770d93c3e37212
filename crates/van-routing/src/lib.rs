//! What sites tell each other, the way to each of them, and the choice of a target.
//!
//! A [`Record`] is what a router says of itself: who it is, its links, and the addresses that it
//! offers. It is signed by its site's authority ([`SignedRecord`]), so that no other site can say
//! it. A [`Router`] floods records over its links, keeps those of all members, and publishes
//! [`Routes`]: a snapshot that is never changed, with the least-cost paths and the index of
//! services. [`pick`] chooses among the targets that became known.
//!
//! | room | what is in it |
//! |---|---|
//! | `router`, `router/*` | the state machine's inputs and outputs, by event |
//! | `message`, `record`, `signed`, `version` | what is sent, and which of two is the newer |
//! | `adjacency`, `flood` | what each neighbour lacks, until it acknowledges |
//! | `origin` | what this router says of itself, and when |
//! | `database` | the records held, and how many may be |
//! | `admission`, `members`, `membership`, `revocations` | whose records count |
//! | `spf`, `spf/*`, `services`, `routes`, `routes/*` | what is made of them |
//!
//! Invariants:
//! - Pure: no runtime, socket, file or clock. Time is an argument, and nothing depends on the order
//!   of a hash map: the same inputs give the same outputs, except for signatures' bytes.
//! - A record is passed on as its origin signed it, only when it is newer than what was known, and
//!   only when its site is a member: a chain of vouchers leads to it from a site that this one pins.
//! - A record that is not newer costs no signature check, and one that is refused changes nothing.
//! - A link carries traffic only where both of its ends claim it; an edge router is never passed
//!   through, and passes on no record but its own.
//! - Whatever is kept for others has a limit: routers, bytes, waiting records, vouchers,
//!   revocations, events. What its router no longer refreshes is forgotten.
//! - No record has the epoch [`u32::MAX`], so none can lock its router out for ever. A router that
//!   meets a record of its own from [`MAX_EPOCH`] goes on with that epoch's counter.

mod about;
mod adjacency;
mod admission;
mod database;
mod error;
mod event;
mod event_queue;
mod flood;
mod members;
mod membership;
mod message;
mod origin;
mod pick;
mod rate;
mod record;
mod revocations;
mod router;
mod router_id;
mod routes;
mod services;
mod signatures;
mod signed;
mod spf;
mod version;

pub use about::{About, Accepts, Trust};
pub use admission::{Admission, Statement};
pub use database::Limits;
pub use error::RouteError;
pub use event::RouterEvent;
pub use message::MAX_MESSAGE;
pub use pick::{Choice, pick, pick_weighted};
pub use record::{MAX_OFFERS, Neighbour, OfferGroup, OfferRecord, Record, RecordError};
pub use router::{Held, Router, RouterConfig};
pub use router_id::{LinkId, RouterId};
pub use routes::{Node, Path, Routers, Routes};
pub use services::{RouterOffer, ServiceMap, ServiceOffers};
pub use signatures::{RealSignatures, Signatures};
pub use signed::SignedRecord;
pub use version::MAX_EPOCH;
