//! Choosing among targets.

/// A place where an address is offered, as the ingress sees it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Cost of the path; 0 for this site.
    pub cost: u32,
    /// Flows from this ingress that are open there.
    pub outstanding: u64,
    /// Healthy targets there; 0 is never chosen.
    pub targets: u32,
    /// Added after failures, decaying.
    pub penalty: u32,
}

/// Flows per target, in thousandths, so that a target more counts before a whole flow does.
const SCALE: u64 = 1000;

impl Choice {
    fn weight(&self) -> u64 {
        let base = u64::from(self.cost) + u64::from(self.penalty);
        base * SCALE + self.outstanding * SCALE / u64::from(self.targets.max(1))
    }
}

/// Returns the key of the choice with the lowest cost + penalty + flows per target.
///
/// Equal ones take turns: `turn` is a number that rises with each call.
pub fn pick<K>(choices: impl IntoIterator<Item = (K, Choice)>, turn: u64) -> Option<K> {
    let mut best: Option<(u64, Vec<K>)> = None;
    for (key, choice) in choices.into_iter().filter(|(_, c)| c.targets > 0) {
        let weight = choice.weight();
        match &mut best {
            Some((lowest, keys)) if weight == *lowest => keys.push(key),
            Some((lowest, _)) if weight > *lowest => {}
            _ => best = Some((weight, vec![key])),
        }
    }
    let (_, mut keys) = best?;
    let index = usize::try_from(turn % keys.len() as u64).unwrap_or(0);
    Some(keys.swap_remove(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: Choice = Choice { cost: 1, outstanding: 0, targets: 1, penalty: 0 };

    #[test]
    fn spreads_by_targets() {
        // 80 flows over 3 + 1 targets at equal cost.
        let mut open = [0u64; 2];
        for turn in 0..80 {
            let choices = [
                (0, Choice { outstanding: open[0], targets: 3, ..FREE }),
                (1, Choice { outstanding: open[1], ..FREE }),
            ];
            open[pick(choices, turn).unwrap()] += 1;
        }
        assert!((57..=63).contains(&open[0]), "{open:?}");
    }

    #[test]
    fn cost_penalty_and_absence() {
        assert_eq!(pick([(1, FREE), (2, Choice { cost: 2, ..FREE })], 0), Some(1));
        assert_eq!(
            pick([(1, Choice { penalty: 9, ..FREE }), (2, Choice { cost: 2, ..FREE })], 0),
            Some(2)
        );
        assert_eq!(pick([(1, Choice { targets: 0, ..FREE })], 0), None);
        assert_eq!(pick(Vec::<(u8, Choice)>::new(), 0), None);
    }

    #[test]
    fn equal_ones_take_turns() {
        let seen: Vec<_> = (0..4).map(|turn| pick([(1, FREE), (2, FREE)], turn).unwrap()).collect();
        assert_eq!(seen, [1, 2, 1, 2]);
    }
}
