//! Many flows of every kind, from seeds.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use van_mux::{ResetCode, Side};

use super::flow::{Half, Reader, Spec, Supply};
use super::pipe::Network;
use super::rng::Rng;
use super::world::{BUDGET, INITIAL, World};

/// Seeds of an everyday run.
const SEEDS: u64 = 64;

const CODES: [ResetCode; 4] =
    [ResetCode::Refused, ResetCode::Unreachable, ResetCode::Timeout, ResetCode::Policy];

#[test]
fn every_flow_arrives_or_ends_as_it_should() {
    let replay = std::env::var("VAN_SEED").ok();
    let seeds = match replay.map(|seed| seed.parse().expect("VAN_SEED is a number")) {
        Some(seed) => seed..seed + 1,
        None => 0..SEEDS,
    };
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(seed))) {
            let test = "every_flow_arrives_or_ends_as_it_should";
            let message = format!(
                "seed {seed} failed; replay: VAN_SEED={seed} cargo test -p van-mux --test simulation {test}\n"
            );
            // The harness shows what a failed test wrote to standard error.
            let _ = std::io::Write::write_all(&mut std::io::stderr(), message.as_bytes());
            resume_unwind(panic);
        }
    }
}

fn ms(rng: &mut Rng, low: u64, high: u64) -> Duration {
    Duration::from_micros(rng.within(low * 1000, high * 1000))
}

fn half(rng: &mut Rng) -> Half {
    let bytes = rng.size(19);
    let supply = match rng.within(0, 2) {
        0 => Supply::Steps { period: ms(rng, 1, 20), bytes: 1 + bytes / rng.within(1, 30) },
        _ => Supply::AtOnce,
    };
    let reader = match rng.within(0, 3) {
        0 => Reader::Slow { period: ms(rng, 1, 20), bytes: 1 + bytes / rng.within(1, 30) },
        _ => Reader::Fast,
    };
    Half { bytes, supply, reader }
}

fn run(seed: u64) {
    let mut rng = Rng::new(seed);
    let mut network = Network::new(rng.within(0, 100), 1_000_000 << rng.within(0, 8));
    network.chunk = 1 << rng.within(5, 17);
    network.unsent = 1 << rng.within(0, 18);
    let mut world = World::new(network, seed);
    world.batch = 1 << rng.within(0, 18);
    let flows = rng.within(1, 60);
    let mut meant_to_finish = Vec::new();
    let mut stalled = Vec::new();
    for _ in 0..flows {
        let side = if rng.once_in(2) { Side::Dialler } else { Side::Acceptor };
        let mut spec = Spec::new(half(&mut rng), half(&mut rng));
        spec.answer.0 = ms(&mut rng, 0, 50);
        let after = ms(&mut rng, 0, 500);
        let fate = rng.within(0, 9);
        if fate == 0 {
            spec.answer.1 = Err(CODES[rng.within(0, 3) as usize]);
        }
        if fate == 1 {
            spec.there = spec.there.read_by(Reader::Stalled);
        }
        let flow = world.flow(after, side, spec);
        match fate {
            0 => {}
            1 => {
                stalled.push((flow, side));
                // The end that never reads gives up; for the other all may be over by then.
                world.reset(Duration::from_secs(20), other(side), flow);
            }
            2 | 3 => {
                let resetter = if fate == 2 { side } else { other(side) };
                world.reset(after + ms(&mut rng, 0, 500), resetter, flow);
            }
            _ => meant_to_finish.push(flow),
        }
    }
    if rng.once_in(4) {
        // The connection is cut: what is open ends with it, and so does all that it held.
        let at = ms(&mut rng, 0, 1000);
        world.pass(at);
        assert_gives_all_back(world);
        return;
    }
    let over = world.run(Duration::from_secs(600), World::is_over);
    assert!(over, "flows that never end: {:#?}", world.ends.each_ref().map(|end| &end.flows));
    for flow in meant_to_finish {
        assert!(world.finished(flow), "flow {flow}: {:?}", world.closed(Side::Dialler, flow));
    }
    for (flow, side) in stalled {
        let came = world.received(other(side), flow);
        assert!(came <= u64::from(INITIAL), "a stalled reader was sent {came}");
    }
    for end in &world.ends {
        assert_eq!(end.session.streams(), 0, "a session keeps streams that are over");
    }
    assert!(world.budgets.iter().all(|budget| budget.left() == BUDGET), "a budget is short");
}

fn other(side: Side) -> Side {
    match side {
        Side::Dialler => Side::Acceptor,
        Side::Acceptor => Side::Dialler,
    }
}

fn assert_gives_all_back(world: World) {
    let World { ends, budgets, .. } = world;
    drop(ends);
    assert!(budgets.iter().all(|budget| budget.left() == BUDGET), "a cut keeps budget");
}
