//! Times as certificates, TLS and the rest of vand write them.

use std::time::Duration;

use jiff::Timestamp;
use rustls::pki_types::UnixTime;

use crate::PkiError;

/// The last second that certificates may hold here (the start of the year 9900).
const LAST_SECOND: i64 = 250_246_713_600;

/// Moves a time by a number of seconds, staying inside of what a time can be.
pub(crate) fn shift(time: Timestamp, seconds: i64) -> Timestamp {
    let second = time.as_second().saturating_add(seconds);
    Timestamp::from_second(second).unwrap_or(if seconds < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

/// Refuses a time that leaves no room for a certificate's life before or after it.
pub(crate) fn check(now: Timestamp) -> Result<(), PkiError> {
    if (86_400..LAST_SECOND - 86_400 * 366 * 30).contains(&now.as_second()) {
        Ok(())
    } else {
        Err(PkiError::Clock(now))
    }
}

/// The seconds since 1970 as rustls writes them; times before count as 1970.
pub(crate) fn unix(time: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(time.as_second()).unwrap_or(0)))
}

/// The time that rustls means.
pub(crate) fn from_unix(time: UnixTime) -> Timestamp {
    i64::try_from(time.as_secs())
        .ok()
        .and_then(|second| Timestamp::from_second(second).ok())
        .unwrap_or(Timestamp::MAX)
}

/// Sets a certificate's life, which must lie within 1970..9900.
pub(crate) fn set_validity(
    params: &mut rcgen::CertificateParams,
    not_before: Timestamp,
    not_after: Timestamp,
) {
    let moment = |time: Timestamp| {
        let seconds = u64::try_from(time.as_second()).unwrap_or(0).min(LAST_SECOND.cast_unsigned());
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)
    };
    params.not_before = moment(not_before);
    params.not_after = moment(not_after);
}
