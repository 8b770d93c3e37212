//! The core alone: encode, schedule and decode in memory, one thread.
//!
//! `cargo bench -p van-mux --bench core`; figures are for comparing one commit with another.

use std::io::Write;
use std::time::{Duration, Instant};

use van_mux::{MAX_PAYLOAD, Taken};

#[path = "core/counting.rs"]
mod counting;
#[path = "core/pair.rs"]
mod pair;

use counting::{Counting, allocations, live};
use pair::Pair;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How long each figure is measured.
const TIME: Duration = Duration::from_secs(1);

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "streams  frame B       MB/s   Mframe/s  alloc/MiB")?;
    for streams in [1, 8, 1000] {
        for size in [64, MAX_PAYLOAD] {
            writeln!(out, "{}", throughput(streams, size))?;
        }
    }
    writeln!(out, "{}", flows())?;
    writeln!(out, "{}", idle())
}

fn throughput(streams: usize, size: usize) -> String {
    let mut pair = Pair::new(Instant::now());
    for _ in 0..streams {
        let stream = pair.open();
        pair.ends[0].wants_send(pair.now, stream);
    }
    pair.exchange();
    // Buffers and windows reach their sizes first.
    run(&mut pair, size, TIME / 5);
    let (frames, bytes, before) = (pair.frames, pair.bytes, allocations());
    let start = Instant::now();
    run(&mut pair, size, TIME);
    let seconds = start.elapsed().as_secs_f64();
    let (frames, bytes) = ((pair.frames - frames) as f64, (pair.bytes - bytes) as f64);
    let per_mib = (allocations() - before) as f64 / (bytes / f64::from(1 << 20));
    let (rate, frames) = (bytes / seconds / 1e6, frames / seconds / 1e6);
    format!("{streams:7}  {size:7}  {rate:9.0}  {frames:9.2}  {per_mib:9.3}")
}

fn run(pair: &mut Pair, size: usize, time: Duration) {
    let start = Instant::now();
    while pair.now.saturating_duration_since(start) < time {
        pair.now = Instant::now();
        pair.send(0, size, Taken::More);
        pair.exchange();
    }
}

fn flows() -> String {
    let mut pair = Pair::new(Instant::now());
    let (mut flows, before, start) = (0u64, allocations(), Instant::now());
    while pair.now.saturating_duration_since(start) < TIME {
        pair.now = Instant::now();
        pair.flow();
        flows += 1;
    }
    let rate = flows as f64 / start.elapsed().as_secs_f64();
    let each = (allocations() - before) as f64 / flows as f64;
    format!(
        "flows (open, 64 bytes each way, close): {rate:.0} a second, {each:.1} allocations each"
    )
}

fn idle() -> String {
    const FLOWS: usize = 100_000;
    let mut pair = Pair::new(Instant::now());
    let before = live();
    for _ in 0..FLOWS {
        pair.open();
        pair.exchange();
    }
    let each = (live() - before) as f64 / FLOWS as f64 / 2.0;
    format!("idle flow: {each:.0} bytes at each end")
}
