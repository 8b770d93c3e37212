//! Whether each link is up, and whether the clocks of its two ends agree.

use jiff::{SignedDuration, Timestamp};
use van_model::api::{CheckLine, LinkResource};
use van_model::status::LinkState;

use crate::site::Site;

/// A leaf is issued for so long, and renewed when half of it is over.
const LEAF: SignedDuration = SignedDuration::from_hours(24);

/// Clocks that differ by less are told of by nobody.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

fn link(link: &LinkResource) -> CheckLine {
    let (what, status) = (format!("link/{}", link.name), &link.status);
    let peer = status.peer.as_ref().map_or("another site", |peer| &peer.name);
    let hint = |line: CheckLine| match &status.hint {
        Some(hint) => line.hint(hint),
        None => line,
    };
    match (status.state, &status.reason) {
        (LinkState::Connected, _) => {
            CheckLine::passed(what, format!("connected to {peer}, cost {}", status.cost))
        }
        (LinkState::Connecting, _) => {
            hint(CheckLine::warning(what, format!("not up yet: {peer} is being dialled")))
        }
        (LinkState::Failed, Some(why)) => hint(CheckLine::failed(what, why)),
        (LinkState::Failed, None) => hint(CheckLine::failed(what, "it is not up")),
    }
}

/// Judges the peer's clock by this one, from when its certificate was shown and until when it holds.
///
/// The link protocol tells no time, and a certificate may be issued up to half its life before it
/// is shown, so that a clock which is behind is seen only where it is so by more than that.
fn clock(peer: &str, shown: Timestamp, not_after: Timestamp) -> CheckLine {
    let (what, left) = (format!("clock/{peer}"), not_after.duration_since(shown));
    let hint = "set the clocks of both sites by NTP: timedatectl set-ntp true";
    let off = |by: SignedDuration, how: &str| {
        let text = format!("its clock is at least {} min {how} this one's", by.as_mins());
        CheckLine::warning(&what, text).hint(hint)
    };
    if left > LEAF + TOLERANCE {
        return off(left - LEAF, "ahead of");
    }
    if left < LEAF / 2 - TOLERANCE {
        return off(LEAF / 2 - left, "behind");
    }
    CheckLine::passed(what, "its certificate's times agree with the clock here")
}

/// Whether the loss of one link would cut this site off. That may be meant, and is no mistake.
fn redundancy(links: &[LinkResource]) -> CheckLine {
    let up = links.iter().filter(|link| link.status.state == LinkState::Connected);
    let peers: std::collections::BTreeSet<_> =
        up.filter_map(|link| link.status.peer.as_ref()).map(|peer| peer.id).collect();
    let text = match peers.len() {
        0 => "no link is up: this site is alone".to_owned(),
        1 => "one neighbour: without it this site is alone".to_owned(),
        count => format!("{count} neighbours: the loss of one leaves a way"),
    };
    CheckLine::passed("links/redundancy", text)
}

/// Both ends should see one cost, else flows there and back take different ways.
fn costs(link: &LinkResource) -> Option<CheckLine> {
    let (here, there) = (link.status.cost, link.status.peer_cost?);
    if here == there {
        return None;
    }
    let what = format!("links/cost-{}", link.name);
    let text = format!("it costs {here} as seen from here and {there} from the other end");
    Some(CheckLine::warning(what, text).hint("give both ends the same cost, if that is not meant"))
}

impl Site {
    pub(super) fn check_links(&self) -> Vec<CheckLine> {
        let links = self.link_resources();
        let mut lines: Vec<_> = links.iter().map(link).collect();
        lines.push(redundancy(&links));
        lines.extend(links.iter().filter_map(costs));
        lines
    }

    pub(super) fn check_peer_clocks(&self) -> Vec<CheckLine> {
        let mut lines = Vec::new();
        for up in self.links.all() {
            let latest = up.connections().iter().map(|connection| connection.since).max();
            if let (Some(shown), Some(not_after)) = (latest, up.certificate_expires()) {
                lines.push(clock(&up.peer.name, shown, not_after));
            }
        }
        lines.dedup();
        lines
    }
}

#[cfg(test)]
mod tests {
    use van_model::api::CheckOutcome::{Passed, Warning};

    use super::*;

    #[test]
    fn clocks_that_differ_are_told() {
        let shown = Timestamp::from_second(1_800_000_000).unwrap();
        let judged = |hours: i64, minutes: i64| {
            let left = SignedDuration::from_mins(hours * 60 + minutes);
            clock("b", shown, shown + left)
        };
        for (hours, minutes) in [(24, 0), (24, 4), (18, 0), (12, 0), (11, 56)] {
            assert_eq!(judged(hours, minutes).outcome, Passed, "{hours}:{minutes}");
        }
        let ahead = judged(25, 30);
        assert_eq!(ahead.outcome, Warning);
        assert_eq!(ahead.detail, "its clock is at least 90 min ahead of this one's");
        assert_eq!(judged(11, 0).detail, "its clock is at least 60 min behind this one's");
    }
}
