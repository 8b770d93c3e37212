//! What a router is made of, and how much it holds.

use std::sync::Arc;

use van_pki::Authority;

use crate::database::Limits;
use crate::router_id::RouterId;
use crate::signatures::{RealSignatures, Signatures};

/// What a router is made of.
pub struct RouterConfig {
    /// This router.
    pub me: RouterId,
    /// Its site's authority, with which its records are signed.
    pub authority: Arc<Authority>,
    /// The epoch of this start: higher than that of the last one, and stored.
    pub epoch: u32,
    /// How much it holds.
    pub limits: Limits,
    /// Who checks signatures.
    pub signatures: Arc<dyn Signatures>,
}

impl RouterConfig {
    /// A router of replica 0 with the usual limits.
    pub fn new(authority: Arc<Authority>, epoch: u32) -> Self {
        Self {
            me: authority.id().into(),
            authority,
            epoch,
            limits: Limits::default(),
            signatures: Arc::new(RealSignatures),
        }
    }
}

/// How much a router holds at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Records, its own among them.
    pub records: usize,
    /// Bytes of signed records.
    pub bytes: usize,
    /// Records, digests, requests and vouchers that wait for an answer, over all links.
    pub unacknowledged: usize,
}
