//! Whether the process may open as many descriptors as flows are allowed.

use nix::sys::resource::{Resource, getrlimit};
use van_model::api::CheckLine;

use crate::site::Site;

/// Descriptors that the daemon needs beside flows: links, listeners, workers, files.
const OWN: u64 = 256;

/// A flow that stays at this site takes two: its client's and its workload's.
fn judge(descriptors: u64, flows: u32) -> CheckLine {
    let (what, needed) = ("limits", u64::from(flows) + OWN);
    if descriptors >= needed {
        let text = format!("{descriptors} files may be open, enough for {flows} flows");
        return CheckLine::passed(what, text);
    }
    let fit = descriptors.saturating_sub(OWN);
    let text = format!("{descriptors} files may be open: about {fit} flows, not {flows}");
    CheckLine::warning(what, text)
        .hint(format!("set LimitNOFILE={needed} or more in the unit, or lower limits.flows"))
}

impl Site {
    pub(super) fn check_limits(&self) -> Option<CheckLine> {
        let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
        Some(judge(soft, self.dispatcher.max_flows()))
    }
}

#[cfg(test)]
mod tests {
    use van_model::api::CheckOutcome::{Passed, Warning};

    use super::*;

    #[test]
    fn too_few_descriptors_are_told() {
        assert_eq!(judge(1256, 1000).outcome, Passed);
        let few = judge(1024, 1000);
        assert_eq!(few.outcome, Warning);
        assert_eq!(few.detail, "1024 files may be open: about 768 flows, not 1000");
        assert!(few.hint.unwrap().contains("LimitNOFILE=1256"));
        assert!(judge(10, 1000).detail.contains("about 0 flows"));
    }
}
