//! Why a neighbour's message was not taken.

use crate::router_id::LinkId;

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Not the form that is due.
    #[error("the route message can't be read: {0}")]
    Malformed(&'static str),
    /// Larger or longer than a message may be.
    #[error("the route message says more than one may: {0}")]
    TooMuch(&'static str),
    /// No such link is up.
    #[error("the route message came over link {} that is not up", .0.0)]
    NoLink(LinkId),
    /// The site at the link's other end was revoked.
    #[error("the route message came from a site that is revoked; close its links")]
    Revoked,
}
