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

/// Up to as many candidates are all looked at; of more, a sample is.
const ALL: usize = 16;

/// Candidates of a sample: half of them among the cheapest. Two would do for an even load (the power
/// of two choices); more make up for those that can't be used.
const SAMPLE: usize = 12;

impl Choice {
    /// Cost, penalty and flows per target as one number: the lower is the better.
    pub fn score(&self) -> u64 {
        let base = u64::from(self.cost) + u64::from(self.penalty);
        base * SCALE + self.outstanding * SCALE / u64::from(self.targets.max(1))
    }
}

/// Returns the candidate with the lowest cost + penalty + flows per target, and its score.
///
/// `count` candidates are in the order of their cost, the first `cheapest` of which cost the same;
/// `look` tells how one stands, `None` where it can't be used. Equal ones take turns, in proportion to
/// their targets: `turn` is a number that rises with each call. Of more than 16 a sample is looked at first, so that the work
/// does not grow with their number.
pub fn pick(
    count: usize,
    cheapest: usize,
    turn: u64,
    look: impl Fn(usize) -> Option<Choice>,
) -> Option<(usize, u64)> {
    if count > ALL {
        let sampled = (0..SAMPLE).map(|n| {
            let range = if n % 2 == 0 { cheapest.clamp(1, count) } else { count };
            spread(turn.wrapping_mul(SAMPLE as u64).wrapping_add(n as u64), range)
        });
        if let Some(found) = lowest(sampled, &look) {
            return Some(found);
        }
    }
    let first = spread(turn, count);
    if count > ALL {
        return lowest((first..count).chain(0..first), &look);
    }
    let mut equal = Equal::default();
    for i in (first..count).chain(0..first) {
        if let Some(choice) = look(i).filter(|choice| choice.targets > 0) {
            equal.add(i, choice);
        }
    }
    equal.in_turn(turn)
}

/// The candidates with the lowest score so far.
#[derive(Default)]
struct Equal {
    score: u64,
    count: usize,
    places: [usize; ALL],
    /// The sum of the targets up to and with each.
    ends: [u64; ALL],
}

impl Equal {
    fn add(&mut self, place: usize, choice: Choice) {
        let score = choice.score();
        if self.count > 0 && score > self.score {
            return;
        }
        if score < self.score {
            self.count = 0;
        }
        let before = self.count.checked_sub(1).map_or(0, |last| self.ends[last]);
        self.score = score;
        self.places[self.count] = place;
        self.ends[self.count] = before + u64::from(choice.targets);
        self.count += 1;
    }

    /// The one whose turn it is; of those with as many targets each the first that was added.
    fn in_turn(&self, turn: u64) -> Option<(usize, u64)> {
        let ends = &self.ends[..self.count];
        let each = *ends.first()?;
        let alike = ends.iter().zip(1..).all(|(end, n)| *end == each * n);
        let place = if alike { 0 } else { pick_weighted(ends, turn, false)? };
        Some((self.places[place], self.score))
    }
}

fn lowest(
    order: impl Iterator<Item = usize>,
    look: impl Fn(usize) -> Option<Choice>,
) -> Option<(usize, u64)> {
    let usable = order.filter_map(|i| look(i).filter(|c| c.targets > 0).map(|c| (i, c.score())));
    usable.min_by_key(|(_, score)| *score)
}

/// What a turn goes on by on each of two levels: the fractions of the plastic number, by which the
/// points of both levels together lie as evenly as they can, however few they are.
const STEPS: [u64; 2] = [0xc13f_a9a9_02a6_328f, 0x91e1_0da5_c79e_7b1d];

/// Returns the candidate in whose share a point falls that `turn` stands for; `ends[i]` is the sum
/// of the weights up to and with candidate `i`. Turns that follow one another keep to the shares.
///
/// A choice within the chosen is `inner`: the same turn stands for another point there.
pub fn pick_weighted(ends: &[u64], turn: u64, inner: bool) -> Option<usize> {
    let total = *ends.last().filter(|total| **total > 0)?;
    let fraction = turn.wrapping_mul(STEPS[usize::from(inner)]);
    // Below the total, since the fraction is below one.
    let point = (u128::from(fraction) * u128::from(total)) >> 64;
    Some(ends.partition_point(|end| u128::from(*end) <= point))
}

/// The numbers of a range in turn, neighbours far apart.
fn spread(turn: u64, range: usize) -> usize {
    let range = range.max(1) as u64;
    // Turns of a small range follow one another exactly, so that equal ones share evenly.
    let place = if range <= ALL as u64 { turn % range } else { scatter(turn) % range };
    usize::try_from(place).unwrap_or(0)
}

/// Makes of numbers that follow one another some that don't (SplitMix64's finalizer).
fn scatter(n: u64) -> u64 {
    let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: Choice = Choice { cost: 1, outstanding: 0, targets: 1, penalty: 0 };

    fn pick_of(choices: &[Choice], turn: u64) -> Option<usize> {
        pick(choices.len(), choices.len(), turn, |i| Some(choices[i])).map(|(i, _)| i)
    }

    #[test]
    fn spreads_by_targets() {
        // 80 flows over 3 + 1 targets at equal cost.
        let mut open = [0u64; 2];
        for turn in 0..80 {
            let choices = [
                Choice { outstanding: open[0], targets: 3, ..FREE },
                Choice { outstanding: open[1], ..FREE },
            ];
            open[pick_of(&choices, turn).unwrap()] += 1;
        }
        assert!((57..=63).contains(&open[0]), "{open:?}");
    }

    #[test]
    fn cost_penalty_and_absence() {
        assert_eq!(pick_of(&[FREE, Choice { cost: 2, ..FREE }], 0), Some(0));
        assert_eq!(
            pick_of(&[Choice { penalty: 9, ..FREE }, Choice { cost: 2, ..FREE }], 0),
            Some(1)
        );
        assert_eq!(pick_of(&[Choice { targets: 0, ..FREE }], 0), None);
        assert_eq!(pick_of(&[], 0), None);
        assert_eq!(pick(3, 3, 0, |i| (i == 2).then_some(FREE)), Some((2, 1000)));
    }

    #[test]
    fn equal_ones_take_turns() {
        let seen: Vec<_> = (0..4).map(|turn| pick_of(&[FREE, FREE], turn).unwrap()).collect();
        assert_eq!(seen, [0, 1, 0, 1]);
    }

    #[test]
    fn a_thousand_share_evenly_by_samples_and_cost_counts() {
        let mut open = vec![0u64; 1000];
        for turn in 0..20_000 {
            let look = |i: usize| {
                let cost = if i < 500 { 1 } else { 50 };
                Some(Choice { cost, outstanding: open[i], ..FREE })
            };
            let (chosen, _) = pick(1000, 500, turn, look).unwrap();
            open[chosen] += 1;
        }
        let (cheap, dear) = open.split_at(500);
        assert_eq!(
            dear.iter().sum::<u64>(),
            0,
            "no path that costs 49 more is worth 20 flows less"
        );
        let (least, most) = (cheap.iter().min().unwrap(), cheap.iter().max().unwrap());
        assert!((35..=40).contains(least) && (40..=45).contains(most), "{least} to {most}");
    }

    #[test]
    fn one_that_can_be_used_is_found_among_a_thousand() {
        for turn in 0..100 {
            let found = pick(1000, 10, turn, |i| (i == 777).then_some(FREE));
            assert_eq!(found, Some((777, 1000)));
        }
    }

    #[test]
    fn weights_give_shares() {
        let mut chosen = [0u32; 3];
        for turn in 0..10_000 {
            chosen[pick_weighted(&[90, 90, 100], turn, false).unwrap()] += 1;
        }
        assert!((8_800..=9_200).contains(&chosen[0]) && chosen[1] == 0, "{chosen:?}");
        assert_eq!(pick_weighted(&[0, 0], 1, false), None);
        assert_eq!(pick_weighted(&[], 1, false), None);
    }

    #[test]
    fn few_turns_keep_to_the_weights_on_both_levels() {
        let mut count = [[0; 2]; 2];
        for turn in 1000..1200 {
            let outer = pick_weighted(&[90, 100], turn, false).unwrap();
            let inner = pick_weighted(&[3, 4], turn, true).unwrap();
            count[outer][inner] += 1;
        }
        for (got, due) in count.as_flattened().iter().zip([135i32, 45, 15, 5]) {
            assert!((got - due).abs() <= 3, "{count:?}");
        }
        assert_eq!(pick_weighted(&[0, 0], 1, false), None);
        assert_eq!(pick_weighted(&[u64::MAX], u64::MAX, false), Some(0));
    }

    #[test]
    fn equal_ones_share_in_proportion_to_their_targets() {
        let targets = [3, 0, 1, 4];
        let mut count = [0; 4];
        for turn in 0..8000 {
            let look = |i: usize| {
                Some(Choice { cost: 1, outstanding: 0, targets: targets[i], penalty: 0 })
            };
            count[pick(4, 4, turn, look).unwrap().0] += 1;
        }
        for (count, targets) in count.iter().zip(targets) {
            assert!((i64::from(*count) - 1000 * i64::from(targets)).abs() <= 20, "{count:?}");
        }
    }
}
