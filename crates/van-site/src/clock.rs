//! The wall clock: for certificates, tokens and what people read. Timers use the monotonic one.

use jiff::Timestamp;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

/// The system's clock.
#[derive(Debug)]
pub(crate) struct SystemClock;

impl TimeProvider for SystemClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::now())
    }
}

/// Now.
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
