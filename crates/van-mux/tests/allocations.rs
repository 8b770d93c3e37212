//! Upper bounds on what the core allocates; `benches/core.rs` shows the figures.

use std::time::{Duration, Instant};

use van_mux::{MAX_PAYLOAD, Taken};

#[path = "../benches/core/counting.rs"]
mod counting;
#[path = "../benches/core/pair.rs"]
mod pair;

use counting::{Counting, allocations, live};
use pair::Pair;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn per_flow() {
    const FLOWS: u64 = 1000;
    let mut pair = Pair::new(Instant::now());
    (0..100).for_each(|_| pair.flow());
    let before = allocations();
    (0..FLOWS).for_each(|_| pair.flow());
    let each = (allocations() - before) as f64 / FLOWS as f64;
    // The payloads of OPEN and ACCEPT, and the address as text here and there.
    assert!(each <= 6.0, "{each} allocations a flow, both ends together");
}

#[test]
fn per_mib_of_bulk() {
    for (streams, size, most) in [(1, MAX_PAYLOAD, 0.1), (8, MAX_PAYLOAD, 0.1), (1000, 64, 1.0)] {
        let mut pair = Pair::new(Instant::now());
        for _ in 0..streams {
            let stream = pair.open();
            pair.ends[0].wants_send(pair.now, stream);
        }
        let run = |pair: &mut Pair, bytes: u64| {
            let end = pair.bytes + bytes;
            while pair.bytes < end {
                pair.now += Duration::from_micros(100);
                pair.send(0, size, Taken::More);
                pair.exchange();
            }
        };
        run(&mut pair, 8 << 20);
        let (before, from) = (allocations(), pair.bytes);
        run(&mut pair, 32 << 20);
        let mib = (pair.bytes - from) as f64 / f64::from(1 << 20);
        let each = (allocations() - before) as f64 / mib;
        assert!(each <= most, "{each} a MiB with {streams} streams and {size}-byte frames");
    }
}

#[test]
fn bytes_of_an_idle_flow() {
    const FLOWS: i64 = 10_000;
    let mut pair = Pair::new(Instant::now());
    let before = live();
    for _ in 0..FLOWS {
        pair.open();
        pair.exchange();
    }
    let each = (live() - before) / FLOWS / 2;
    assert!(each <= 320, "{each} bytes for an idle flow at each end");
    assert_eq!(pair.ends[1].streams() as i64, FLOWS);
}
