//! Whether the process may open as many descriptors as flows are allowed.

use nix::sys::resource::{Resource, getrlimit};
use van_model::api::CheckLine;

use crate::site::{BUDGET_SHARE, Site, memory_limit};

/// Descriptors that the daemon needs beside flows: links, listeners, workers, files.
const OWN: u64 = 256;

/// MiB under way below which fast flows over long ways slow each other down.
const LITTLE_BUDGET: u64 = 64;

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

/// How near the flows are to their limit.
fn flows(open: u64, most: u32) -> CheckLine {
    let what = "limits/flows";
    let text = format!("{open} of at most {most} flows are open");
    if open * 10 >= u64::from(most) * 9 {
        return CheckLine::warning(what, text).hint("raise limits.flows, or spread the clients");
    }
    CheckLine::passed(what, text)
}

/// What flows may hold at once: a quarter of the memory that the process may use.
fn windows(limit: u64) -> CheckLine {
    let (what, budget) = ("limits/memory", (limit / BUDGET_SHARE) >> 20);
    let text = format!("flows may hold {budget} MiB under way");
    if budget < LITTLE_BUDGET {
        return CheckLine::warning(what, text).hint("give the service more memory: MemoryMax=");
    }
    CheckLine::passed(what, text)
}

impl Site {
    pub(super) fn check_limits(&self) -> Vec<CheckLine> {
        let most = self.dispatcher.max_flows();
        let mut lines = vec![flows(self.dispatcher.flows_open(), most)];
        if let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NOFILE) {
            lines.push(judge(soft, most));
        }
        lines.push(windows(memory_limit()));
        lines
    }
}

#[cfg(test)]
mod tests {
    use van_model::api::CheckOutcome::{Passed, Warning};

    use super::*;

    #[test]
    fn flows_and_memory_near_their_limits_are_told() {
        assert_eq!((flows(89, 100).outcome, flows(90, 100).outcome), (Passed, Warning));
        assert_eq!((windows(1 << 30).outcome, windows(128 << 20).outcome), (Passed, Warning));
    }

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
