//! Why a strategy chooses a candidate, in words. Which one, `van_proxy::Dispatcher` says.

use van_model::{Address, Strategy};

/// A site that offers one of the addresses, as it stands now.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    /// Which of the listener's addresses, in their order.
    pub(super) index: usize,
    pub(super) address: Address,
    /// The address's share under `weighted`.
    pub(super) address_weight: u64,
    /// The site's name.
    pub(super) label: String,
    pub(super) local: bool,
    pub(super) targets: u32,
    /// Empty: all of priority 0 and weight 1.
    pub(super) groups: Vec<Group>,
    pub(super) cost: u32,
    /// Flows from here that are open there.
    pub(super) flows: u64,
    /// Added to the cost after failures, decaying; strategies that don't go by cost take a site
    /// without one first.
    pub(super) penalty: u32,
    pub(super) usable: bool,
}

/// Targets of one priority.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub(super) priority: u16,
    pub(super) weight: u64,
    pub(super) targets: u32,
}

/// Which one is chosen, and why.
#[derive(Debug, PartialEq)]
pub(super) struct Verdict {
    pub(super) chosen: Option<usize>,
    pub(super) why: String,
    /// The share of new flows of each under `weighted`; they sum up to 1, or 0 where none is.
    pub(super) shares: Vec<f64>,
}

impl Standing {
    /// The priority of its best targets.
    pub(super) fn priority(&self) -> u16 {
        let groups = self.groups.iter().filter(|group| group.targets > 0);
        groups.map(|group| group.priority).min().unwrap_or(0)
    }

    fn failed(&self) -> bool {
        self.penalty > 0
    }

    fn weight(&self) -> u64 {
        if self.groups.is_empty() {
            return self.targets.into();
        }
        self.groups.iter().filter(|group| group.targets > 0).map(|group| group.weight).sum()
    }
}

/// Says in words why a strategy chose one of the candidates; which one that is, the dispatcher says.
pub(super) fn judge(strategy: Strategy, all: &[Standing], chosen: Option<usize>) -> Verdict {
    let shares = shares(all);
    let usable: Vec<usize> = (0..all.len()).filter(|at| all[*at].usable).collect();
    let why = match chosen {
        None if all.is_empty() => "no site has a healthy target".to_owned(),
        None => "no site with a healthy target can be reached now".to_owned(),
        Some(only) if usable[..] == [only] => {
            format!("{} is the only site with a target", all[only].label)
        }
        Some(best) => match strategy {
            Strategy::Balanced => balanced(all, &usable, best),
            Strategy::LocalFirst => local_first(all, &usable, best),
            Strategy::Failover => failover(all, &usable, best),
            Strategy::Weighted => weighted(all, best, &shares),
        },
    };
    Verdict { chosen, why, shares }
}

fn balanced(all: &[Standing], usable: &[usize], best: usize) -> String {
    let (label, score) = (&all[best].label, all[best].score());
    let others = || usable.iter().map(|at| &all[*at]).filter(|s| !std::ptr::eq(*s, &all[best]));
    let sum = "sum of cost and flows per target";
    let equal: Vec<&str> =
        others().filter(|s| s.score() == score).map(|s| s.label.as_str()).collect();
    let Some(next) = others().min_by_key(|s| s.score()) else {
        return format!("{label} has the only targets");
    };
    if next.score() < score {
        // Of many a sample is looked at.
        return format!("{label} has the lowest {sum} of those that were looked at");
    }
    if !equal.is_empty() {
        return format!("{label} has the lowest {sum}, and takes turns with {}", equal.join(", "));
    }
    format!(
        "{label} has the lowest {sum}, {:.3}; next is {} with {:.3}{}",
        score as f64 / 1e3,
        next.label,
        next.score() as f64 / 1e3,
        if next.failed() { ", after a failure" } else { "" }
    )
}

fn local_first(all: &[Standing], usable: &[usize], best: usize) -> String {
    let why = || balanced(all, usable, best);
    match usable.iter().find(|at| all[**at].local) {
        Some(here) if *here == best && !all[best].failed() => {
            "this site has a target of its own, and it goes first".into()
        }
        Some(_) => format!("this site's own targets failed lately; of all, {}", why()),
        None => format!("this site has no target of its own; of the others, {}", why()),
    }
}

fn failover(all: &[Standing], usable: &[usize], best: usize) -> String {
    let key = |at: usize| (all[at].index, all[at].failed(), all[at].priority());
    let (index, failed, priority) = key(best);
    let equal: Vec<usize> = usable.iter().copied().filter(|at| key(*at) == key(best)).collect();
    let first = if usable.iter().any(|at| all[*at].index != index) {
        format!("{} is the first address with a target; ", all[best].address)
    } else {
        String::new()
    };
    let passed = |at: &usize| all[*at].index == index && all[*at].failed() && !failed;
    let lately = if usable.iter().any(passed) { " of sites without a late failure" } else { "" };
    if equal.len() > 1 {
        let why = balanced(all, &equal, best);
        return format!("{first}of the sites with targets of priority {priority}, {why}");
    }
    let label = &all[best].label;
    format!("{first}{label} has the targets of the lowest priority{lately}, {priority}")
}

fn weighted(all: &[Standing], best: usize, shares: &[f64]) -> String {
    let (label, percent) = (&all[best].label, shares[best] * 100.0);
    format!(
        "sites take new flows in proportion to their weights; the next is for {label}, \
         which gets {percent:.0} %"
    )
}

/// Shares of the addresses by their weights, and within each of its sites.
fn shares(all: &[Standing]) -> Vec<f64> {
    // Sites that failed lately wait until no other is left.
    let patient = all.iter().all(|standing| !standing.usable || standing.failed());
    let takes = |standing: &Standing| standing.usable && (patient || !standing.failed());
    let usable = || all.iter().filter(|standing| takes(standing));
    let sites =
        |index| -> u64 { usable().filter(|s| s.index == index).map(Standing::weight).sum() };
    let mut addresses: Vec<(usize, u64)> = usable().map(|s| (s.index, s.address_weight)).collect();
    addresses.dedup();
    let sum: u64 = addresses.iter().map(|(_, weight)| weight).sum();
    let share = |standing: &Standing| {
        if !takes(standing) || sum == 0 {
            return 0.0;
        }
        let of_address = standing.address_weight as f64 / sum as f64;
        of_address * standing.weight() as f64 / sites(standing.index).max(1) as f64
    };
    all.iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(label: &str, cost: u32, flows: u64) -> Standing {
        Standing {
            index: 0,
            address: "db".parse().unwrap(),
            address_weight: 1,
            label: label.into(),
            local: cost == 0,
            targets: 1,
            groups: Vec::new(),
            cost,
            flows,
            penalty: 0,
            usable: true,
        }
    }

    fn with(mut standing: Standing, priority: u16, weight: u64) -> Standing {
        standing.groups = vec![Group { priority, weight, targets: standing.targets }];
        standing
    }

    #[track_caller]
    fn is(strategy: Strategy, all: &[Standing], label: &str, why: &str) {
        let verdict = judge(strategy, all, all.iter().position(|s| s.label == label));
        assert_eq!(verdict.why, why);
    }

    #[test]
    fn nothing_and_one() {
        let none = judge(Strategy::Balanced, &[], None);
        assert_eq!((none.chosen, &*none.why), (None, "no site has a healthy target"));
        let mut closed = site("a", 1, 0);
        closed.usable = false;
        let none = judge(Strategy::Weighted, &[closed.clone()], None);
        assert_eq!(none.chosen, None);
        assert!(none.why.contains("can be reached now"));
        for strategy in
            [Strategy::Balanced, Strategy::LocalFirst, Strategy::Failover, Strategy::Weighted]
        {
            let all = [closed.clone(), site("b", 9, 9)];
            is(strategy, &all, "b", "b is the only site with a target");
            assert_eq!(judge(strategy, &all, Some(1)).shares, [0.0, 1.0]);
        }
    }

    #[test]
    fn balanced_takes_the_lowest_score() {
        let all = [site("a", 0, 3), site("b", 2, 0)];
        let why = "b has the lowest sum of cost and flows per target, 2.000; next is a with 3.000";
        is(Strategy::Balanced, &all, "b", why);
        let all = [site("a", 1, 1), site("b", 2, 0), site("c", 3, 0)];
        let why = "a has the lowest sum of cost and flows per target, and takes turns with b";
        is(Strategy::Balanced, &all, "a", why);
    }

    #[test]
    fn local_first_stays_here() {
        let all = [site("b", 1, 0), site("here", 0, 90)];
        let why = "this site has a target of its own, and it goes first";
        is(Strategy::LocalFirst, &all, "here", why);
        let verdict = judge(Strategy::LocalFirst, &[site("b", 1, 0), site("c", 2, 0)], Some(0));
        assert!(verdict.why.starts_with("this site has no target of its own; of the others, b"));
    }

    #[test]
    fn failover_goes_by_address_then_priority() {
        let all = [with(site("a", 1, 0), 5, 1), with(site("b", 9, 9), 0, 1)];
        is(Strategy::Failover, &all, "b", "b has the targets of the lowest priority, 0");
        let mut second = with(site("c", 0, 0), 0, 1);
        second.index = 1;
        let all = [second, with(site("a", 1, 0), 5, 1), with(site("b", 2, 0), 5, 1)];
        let verdict = judge(Strategy::Failover, &all, Some(1));
        let start =
            "db is the first address with a target; of the sites with targets of priority 5, a";
        assert!(verdict.why.starts_with(start), "{}", verdict.why);
    }

    #[test]
    fn a_site_that_failed_comes_after_the_others() {
        let failed = |standing: Standing| Standing { penalty: 100, ..standing };
        let all = [failed(site("here", 0, 0)), site("b", 7, 0)];
        let why = "b has the lowest sum of cost and flows per target, 7.000; next is here with \
                   100.000, after a failure";
        is(Strategy::Balanced, &all, "b", why);
        let why = format!("this site's own targets failed lately; of all, {why}");
        is(Strategy::LocalFirst, &all, "b", &why);
        let all = [failed(with(site("a", 1, 0), 0, 3)), with(site("b", 7, 0), 5, 1)];
        let why = "b has the targets of the lowest priority of sites without a late failure, 5";
        is(Strategy::Failover, &all, "b", why);
        assert_eq!(judge(Strategy::Weighted, &all, Some(0)).shares, [0.0, 1.0]);
        let all = all.map(failed);
        assert_eq!(judge(Strategy::Weighted, &all, Some(0)).shares, [0.75, 0.25]);
        let last = judge(Strategy::Failover, &all, Some(0)).why;
        assert_eq!(last, "a has the targets of the lowest priority, 0");
    }

    #[test]
    fn weighted_shares() {
        let mut other = with(site("c", 1, 0), 0, 7);
        (other.index, other.address_weight) = (1, 9);
        let all = [with(site("a", 1, 0), 0, 3), with(site("b", 50, 0), 0, 1), other];
        let verdict = judge(Strategy::Weighted, &all, Some(2));
        for (share, expected) in verdict.shares.iter().zip([0.075, 0.025, 0.9]) {
            assert!((share - expected).abs() < 1e-9, "{:?}", verdict.shares);
        }
        assert!(verdict.why.ends_with("the next is for c, which gets 90 %"), "{}", verdict.why);
    }
}
