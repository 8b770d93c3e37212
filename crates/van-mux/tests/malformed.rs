//! What a peer must not send, each with its exact error, and what is passed over.

#[path = "malformed/peer.rs"]
mod peer;

#[path = "malformed/passed_over.rs"]
mod passed_over;
#[path = "malformed/refused.rs"]
mod refused;
#[path = "malformed/too_much.rs"]
mod too_much;
