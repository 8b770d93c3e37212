//! Whether this site's certificates hold.

use jiff::{SignedDuration, Timestamp};
use van_model::api::CheckLine;

use crate::clock;
use crate::site::Site;

/// A renewal that is due for so long fails for some reason.
const LATE: SignedDuration = SignedDuration::from_mins(10);

/// An authority that ends within this is told of.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

fn leaf(now: Timestamp, renew_at: Timestamp, not_after: Timestamp) -> CheckLine {
    let left = not_after.duration_since(now);
    if left <= SignedDuration::ZERO {
        return CheckLine::failed("identity/leaf", format!("it expired at {not_after}"))
            .hint("is the clock right? the journal says why it can't be renewed");
    }
    let text = format!("it is valid for {} h more", left.as_hours());
    if now.duration_since(renew_at) > LATE {
        return CheckLine::warning("identity/leaf", format!("{text}, but its renewal is late"))
            .hint("the journal says why it can't be renewed");
    }
    CheckLine::passed("identity/leaf", text)
}

fn authority(now: Timestamp, not_after: Timestamp) -> CheckLine {
    let left = not_after.duration_since(now);
    let what = "identity/authority";
    if left <= SignedDuration::ZERO {
        return CheckLine::failed(what, format!("it expired at {not_after}"))
            .hint("replace the files of [identity], or make the site anew");
    }
    let text = format!("it is valid for {} days more", left.as_hours() / 24);
    if left < SOON {
        return CheckLine::warning(what, text).hint("replace the files of [identity] in time");
    }
    CheckLine::passed(what, text)
}

impl Site {
    pub(super) fn check_identity(&self) -> Vec<CheckLine> {
        let (now, identity) = (clock::now(), &self.own.identity);
        vec![
            leaf(now, identity.renew_at(), identity.leaf_not_after()),
            authority(now, self.own.authority.not_after()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use van_model::api::CheckOutcome::{Failed, Passed, Warning};

    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hours * 3600).unwrap()
    }

    #[test]
    fn leaves_expire_and_renewals_are_late() {
        let found = leaf(at(0), at(5), at(17));
        assert_eq!((found.outcome, &*found.detail), (Passed, "it is valid for 17 h more"));
        assert_eq!(leaf(at(6), at(5), at(17)).outcome, Warning);
        assert_eq!(leaf(at(17), at(5), at(17)).outcome, Failed);
    }

    #[test]
    fn authorities_are_told_of_a_month_before() {
        assert_eq!(authority(at(0), at(24 * 365)).outcome, Passed);
        let soon = authority(at(0), at(24 * 29));
        assert_eq!((soon.outcome, &*soon.detail), (Warning, "it is valid for 29 days more"));
        assert_eq!(authority(at(1), at(0)).outcome, Failed);
    }
}
