//! Random networks in random weather, compared with the true graph; the seed of a failure is
//! printed, and `VAN_SEED=… cargo test -p van-routing --test simulation` replays it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use van_testkit::{Memory, VirtualNetwork, Weather};

/// Seeds of a run.
const SEEDS: u64 = 256;

#[test]
fn random_networks_converge_to_the_least_costs() {
    if let Ok(seed) = std::env::var("VAN_SEED") {
        run(seed.parse().expect("VAN_SEED is a number"));
        return;
    }
    for seed in 0..SEEDS {
        let outcome = catch_unwind(AssertUnwindSafe(|| run(seed)));
        if let Err(cause) = outcome {
            let text = cause.downcast_ref::<String>().map(String::as_str);
            let cause = text.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("?");
            panic!("seed {seed}: {cause}\nreplay it with VAN_SEED={seed}");
        }
    }
}

fn run(seed: u64) {
    let mut network = VirtualNetwork::new(seed, 10);
    let interior = 3 + network.below(5);
    for number in 0..interior {
        network.site(&format!("i{number}"));
    }
    let edges = network.below(3);
    for number in 0..edges {
        network.edge(&format!("e{number}"));
    }
    let mut wires = Vec::new();
    for site in 1..interior + edges {
        let other = network.below(site.min(interior));
        let costs = [1, 1].map(|least| least + u16::try_from(network.below(5)).unwrap());
        wires.push(network.link_at(site, other, costs));
    }
    for _ in 0..network.below(interior + 2) {
        let (a, b) = (network.below(interior + edges), network.below(interior));
        if a != b {
            let cost = 1 + u16::try_from(network.below(5)).unwrap();
            wires.push(network.link(a, b, cost));
        }
    }
    for site in 0..interior + edges {
        network.offer(site, &format!("service-{}", network_share(site)), 1);
    }
    let weather = network.below(3);
    network.weather = if weather == 0 { Weather::FAIR } else { Weather::FOUL };
    for _ in 0..12 {
        fault(&mut network, interior + edges, &wires);
        let pause = u64::try_from(network.below(1500)).unwrap();
        network.run(Duration::from_millis(pause));
        let (from, to) = (network.below(interior + edges), network.below(interior + edges));
        assert!(network.walk(from, to).is_none_or(|hops| hops <= 16));
    }
    // Silent links are given up, and what was lost is sent again.
    network.run(Duration::from_secs(4));
    network.settle(Duration::from_secs(90));
    network.check().unwrap();
    // What can't be reached is forgotten.
    network.run(Duration::from_secs(400));
    network.check().unwrap();
    for site in (0..interior + edges).filter(|site| network.runs(*site)).collect::<Vec<_>>() {
        let reached = network.least_costs(site).len();
        assert_eq!(network.router(site).held().records, reached, "records held by {site}");
    }
}

/// Some addresses are offered by several sites.
fn network_share(site: usize) -> usize {
    site % 5
}

fn fault(network: &mut VirtualNetwork, sites: usize, wires: &[usize]) {
    let wire = wires[network.below(wires.len())];
    let site = network.below(sites);
    match network.below(10) {
        0 | 1 => network.cut(wire),
        2 | 3 => network.mend(wire),
        4 => {
            let side = network.below(2);
            network.silence(wire, side);
        }
        5 => {
            let costs = [1, 1].map(|least| least + u16::try_from(network.below(9)).unwrap());
            network.cost(wire, costs);
        }
        6 => network.crash(site),
        7 => {
            let memory = if network.below(2) == 0 { Memory::Kept } else { Memory::Restored };
            network.restart(site, memory);
        }
        8 => network.reconnect(wire),
        _ => {
            let speed = 900 + u32::try_from(network.below(201)).unwrap();
            network.skew(site, speed);
        }
    }
}
