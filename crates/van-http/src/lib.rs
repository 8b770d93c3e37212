//! HTTP by request: a client's connection is read here, and each of its requests goes to a target of
//! its own, over flows that are kept for the next ones.
//!
//! A [`Front`] serves the clients of one listener: HTTP/1.1 and 1.0, and HTTP/2 by prior knowledge. For
//! each request it finds the one of the listener's [`Routes`], asks [`Ways`] for a site, takes a flow to one of that site's targets out of its pool
//! or has one opened, and passes messages both ways as they come. What the site at the other end sees
//! are bytes.
//!
//! Invariants: nothing reaches a target that [`van_framing::Framing`] has not followed to its end, so that all read
//! the same messages in the same bytes; an answer that was cut short is never made to look whole; a
//! request that a target may have begun to act on is sent again only where it can do no harm.

mod answer;
mod body;
mod exchange;
mod fault;
mod front;
mod guard;
mod message;
mod pool;
mod routes;
mod sender;
mod tapped;
mod upgrade;
mod ways;

pub use front::{Client, Front, Routing, Version};
pub use routes::Routes;
pub use ways::{Io, Opened, Way, Ways};
