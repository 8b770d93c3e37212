//! What a router keeps of a link: what its neighbour lacks, and what it asked for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::rate::Rate;
use crate::router_id::RouterId;
use crate::version::Version;

/// The first wait for an acknowledgement.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait for an acknowledgement.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long a neighbour has to send by itself what its digest shows, before it is asked.
const BEFORE_ASKING: Duration = Duration::from_millis(500);
/// Records that a neighbour is known to have and that are not here yet, at most: as many as a
/// database holds.
const MAX_WANTS: usize = 2000;
/// Records of unknown sites that are looked at in one go, and one each of the next.
const STRANGERS: (u32, Duration) = (2048, Duration::from_millis(10));
/// Digests that are answered in one go, and one each of the next.
const DIGESTS: (u32, Duration) = (10, Duration::from_millis(100));

/// When something is sent, and how often it was.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Due {
    pub(crate) at: Instant,
    pub(crate) tries: u8,
}

impl Due {
    pub(crate) fn at(at: Instant) -> Self {
        Self { at, tries: 0 }
    }

    /// Notes that it was sent: the next time comes after 1 s, 2 s, 4 s, then every 5 s.
    pub(crate) fn sent(&mut self, now: Instant) {
        self.at = now + (FIRST_WAIT * (1 << self.tries.min(3))).min(LONGEST_WAIT);
        self.tries = self.tries.saturating_add(1);
    }
}

/// A record that the neighbour asked for, or was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Want {
    pub(crate) version: Version,
    pub(crate) due: Due,
}

/// A link that is up.
#[derive(Debug)]
pub(crate) struct Adjacency {
    pub(crate) peer: RouterId,
    pub(crate) cost: u16,
    /// Records that the neighbour may lack.
    pub(crate) pending: BTreeMap<RouterId, Due>,
    /// Records that the neighbour has and this router lacks.
    pub(crate) wants: BTreeMap<RouterId, Want>,
    pub(crate) acks: Vec<(RouterId, Version)>,
    pub(crate) digest_acks: Vec<u64>,
    pub(crate) digest: Option<Due>,
    /// The number of the last digest that was sent; the acknowledgement names it.
    pub(crate) digest_number: u64,
    pub(crate) voucher: Option<Due>,
    /// Whether the neighbour's digest was seen since the link came up.
    pub(crate) met: bool,
    pub(crate) strangers: Rate,
    pub(crate) digests: Rate,
    /// Until when no more records are sent without an acknowledgement, because so many are on
    /// their way.
    pub(crate) full_until: Option<Instant>,
    /// When something may be sent again: what comes meanwhile goes together.
    pub(crate) next_pass: Instant,
}

impl Adjacency {
    pub(crate) fn new(now: Instant, peer: RouterId, cost: u16) -> Self {
        Self {
            peer,
            cost,
            pending: BTreeMap::new(),
            wants: BTreeMap::new(),
            acks: Vec::new(),
            digest_acks: Vec::new(),
            digest: Some(Due::at(now)),
            digest_number: 0,
            voucher: Some(Due::at(now + FIRST_WAIT)),
            met: false,
            strangers: Rate::new(now, STRANGERS.0, STRANGERS.1),
            digests: Rate::new(now, DIGESTS.0, DIGESTS.1),
            full_until: None,
            next_pass: now,
        }
    }

    /// Notes that the neighbour lacks this router's record as it now is.
    pub(crate) fn pend(&mut self, now: Instant, router: RouterId) {
        self.pending.insert(router, Due::at(now));
    }

    /// Like [`Adjacency::pend`], where it is not on its way already.
    pub(crate) fn pend_once(&mut self, now: Instant, router: RouterId) {
        self.pending.entry(router).or_insert(Due::at(now));
    }

    pub(crate) fn want(&mut self, now: Instant, router: RouterId, version: Version) {
        if self.wants.len() >= MAX_WANTS && !self.wants.contains_key(&router) {
            // The next digest tells of it again.
            return;
        }
        let due = Due::at(now + BEFORE_ASKING);
        let want = self.wants.entry(router).or_insert(Want { version, due });
        want.version = want.version.max(version);
    }

    /// Takes everything for lost that was sent and not acknowledged.
    pub(crate) fn resend(&mut self, now: Instant) {
        for due in self.pending.values_mut() {
            *due = Due::at(now);
        }
        for want in self.wants.values_mut() {
            want.due.at = want.due.at.min(now + BEFORE_ASKING);
        }
        self.digest = Some(Due::at(now));
        if let Some(voucher) = &mut self.voucher {
            *voucher = Due::at(now + FIRST_WAIT);
        }
    }

    /// What was sent, or will be, and waits for an answer.
    pub(crate) fn unanswered(&self) -> usize {
        let single = [self.digest, self.voucher].into_iter().flatten().count();
        self.pending.len() + self.wants.len() + single
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let pending = self.pending.values().map(|due| due.at).min();
        let pending = self.full_until.or(pending).into_iter();
        let wants = self.wants.values().map(|want| want.due.at);
        let single = [self.digest, self.voucher].into_iter().flatten().map(|due| due.at);
        let answers = !self.acks.is_empty() || !self.digest_acks.is_empty();
        let answers = answers.then_some(self.next_pass);
        let due = pending.chain(wants).chain(single).chain(answers).min();
        due.map(|due| due.max(self.next_pass))
    }
}
