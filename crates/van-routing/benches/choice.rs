//! What choosing a target for a flow costs, by the number of candidates.
//!
//! `cargo bench -p van-routing --bench choice` prints a table of nanoseconds a choice, the least of
//! several rounds: `pick` where all cost the same, where each costs another, and where only the last
//! can be used (each one is looked at, the worst); `pick_weighted` on both levels.

#![allow(clippy::print_stdout, reason = "a benchmark prints")]

use std::hint::black_box;
use std::time::Instant;

use van_routing::{Choice, pick, pick_weighted};

const COUNTS: [usize; 3] = [10, 100, 1000];
const TURNS: u64 = 20_000;
const ROUNDS: usize = 15;

fn main() {
    println!(
        "| candidates | equal cost, ns | each another cost, ns | only one usable, ns | weighted, ns |"
    );
    println!("|--:|--:|--:|--:|--:|");
    for count in COUNTS {
        let choices: Vec<Choice> = (0u32..).take(count).map(choice).collect();
        let mut ends: Vec<u64> = Vec::with_capacity(count);
        for choice in &choices {
            ends.push(ends.last().unwrap_or(&0) + u64::from(choice.targets));
        }
        let (choices, ends) = (black_box(choices), black_box(ends));
        let equal = least(|turn| {
            let look = |at: usize| Some(Choice { cost: 1, ..choices[at] });
            black_box(pick(count, count, turn, look));
        });
        let unequal = least(|turn| {
            black_box(pick(count, 1, turn, |at| Some(choices[at])));
        });
        let one = least(|turn| {
            let look = |at: usize| (at + 1 == count).then_some(choices[at]);
            black_box(pick(count, count, turn, look));
        });
        let weighted = least(|turn| {
            black_box(pick_weighted(&ends, turn, false));
            black_box(pick_weighted(&ends, turn, true));
        });
        println!("| {count} | {equal:.0} | {unequal:.0} | {one:.0} | {weighted:.0} |");
    }
}

/// A site at a cost of its own, with a few flows and targets.
fn choice(number: u32) -> Choice {
    Choice {
        cost: 1 + number,
        outstanding: u64::from(number * 7 % 13),
        targets: 1 + number % 3,
        penalty: 0,
    }
}

/// Nanoseconds a turn, of the quickest round.
fn least(turn: impl Fn(u64)) -> f64 {
    let round = |round: usize| {
        let first = round as u64 * TURNS;
        let begin = Instant::now();
        (first..first + TURNS).for_each(&turn);
        begin.elapsed().as_secs_f64() * 1e9 / TURNS as f64
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}
