//! What happened: a bounded ring that `vanctl events` reads.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::Mutex;
use van_model::api::{Event, Severity};
use van_model::message_id;

use crate::clock;

/// The target of events in the log: their fields have the names that the journal is to have.
pub const EVENT_TARGET: &str = "van_event";

/// Events kept; older ones are in the journal.
const KEPT: usize = 1000;

/// The last events of this run of the daemon.
#[derive(Debug, Default)]
pub(crate) struct EventLog(Mutex<Ring>);

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Event>,
    last: u64,
    /// How many of each reason there were since the start.
    counts: BTreeMap<String, u64>,
}

/// Writes an event to the log under [`EVENT_TARGET`], with the journal's own names of fields.
fn log(severity: Severity, reason: &str, subject: &str, message: &str) {
    let about = |kind: &str| subject.strip_prefix(kind)?.strip_prefix('/');
    let (link, service, site) = (about("link"), about("service"), about("site"));
    let id = message_id(reason);
    macro_rules! event {
        ($level:ident) => {
            tracing::$level!(
                target: EVENT_TARGET,
                MESSAGE_ID = id,
                VAN_REASON = reason,
                VAN_SUBJECT = subject,
                VAN_LINK = link,
                VAN_SERVICE = service,
                VAN_SITE = site,
                "{message}"
            )
        };
    }
    match severity {
        Severity::Info => event!(info),
        Severity::Warning => event!(warn),
        Severity::Error => event!(error),
    }
}

impl EventLog {
    /// Adds one; it also goes to the journal. The same event again within the ring's newest is
    /// not repeated more than once a second.
    pub(crate) fn add(&self, severity: Severity, reason: &str, subject: String, message: String) {
        let now = clock::now();
        let mut ring = self.0.lock();
        let repeated = ring.events.back().is_some_and(|last| {
            last.reason == reason
                && last.subject == subject
                && last.message == message
                && now.duration_since(last.time).as_secs() < 1
        });
        if repeated {
            return;
        }
        log(severity, reason, &subject, &message);
        *ring.counts.entry(reason.to_owned()).or_default() += 1;
        ring.last += 1;
        let sequence = ring.last;
        let reason = reason.to_owned();
        ring.events.push_back(Event { sequence, time: now, severity, reason, subject, message });
        if ring.events.len() > KEPT {
            ring.events.pop_front();
        }
    }

    /// How many there were of each reason.
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.0.lock().counts.clone()
    }

    /// Those after a sequence number, oldest first.
    pub(crate) fn after(&self, sequence: u64) -> Vec<Event> {
        self.0.lock().events.iter().filter(|e| e.sequence > sequence).cloned().collect()
    }
}
