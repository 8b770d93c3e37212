//! Daemons that are killed under load: what comes through is right, and what breaks is told.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use van_testkit::{DEADLINE, FlowEnd, PatternServer, Sites, Vand, pattern_flow, wait_until};

/// Clients that open one checked flow after the other.
struct Load {
    stop: Arc<AtomicBool>,
    seen: Arc<Seen>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Seen {
    flows: AtomicU64,
    complete: AtomicUsize,
    short: AtomicUsize,
    wrong: AtomicUsize,
    stalled: AtomicUsize,
}

impl Load {
    fn start(port: u16, clients: usize) -> Self {
        let (stop, seen) = (Arc::<AtomicBool>::default(), Arc::<Seen>::default());
        let threads = (0..clients).map(|_| {
            let (stop, seen) = (stop.clone(), seen.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    seen.flow(port);
                }
            })
        });
        Self { threads: threads.collect(), stop, seen }
    }

    fn complete(&self) -> usize {
        self.seen.complete.load(Ordering::Relaxed)
    }

    fn end(self) -> Arc<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        self.seen
    }
}

impl Seen {
    fn flow(&self, port: u16) {
        let number = self.flows.fetch_add(1, Ordering::Relaxed);
        // Small, middling and large ones in turn, and different each way.
        let size =
            |salt: u64| (number * 7919 + salt) % [512, 60_000, 1_500_000][number as usize % 3];
        let counter = match pattern_flow(port, number, size(11), size(5)) {
            FlowEnd::Complete => &self.complete,
            FlowEnd::Short => &self.short,
            FlowEnd::Corrupt => &self.wrong,
            FlowEnd::Stalled => &self.stalled,
            FlowEnd::Broken(_) => {
                // Nobody is there for a moment: not a reason to turn in circles.
                std::thread::sleep(Duration::from_millis(5));
                return;
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// How often each daemon is killed: `VAN_KILLS`, by default 5.
fn kills() -> usize {
    match std::env::var("VAN_KILLS") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("VAN_KILLS={text} is no number")),
        Err(_) => 5,
    }
}

/// Kills one of the daemons under load, again and again.
fn kill_under_load(
    which: impl for<'a> Fn(&'a mut Sites, &'a mut Vand) -> &'a mut Vand,
) -> Arc<Seen> {
    let server = PatternServer::start();
    let mut sites = Sites::start("");
    let (mut laptop, port) = sites.service(server.port());
    let load = Load::start(port, 4);
    for round in 0..kills() {
        let before = load.complete();
        wait_until(DEADLINE, "flows completed", || load.complete() >= before + 10);
        // At another moment of the work each time.
        std::thread::sleep(Duration::from_millis(round as u64 * 7 % 50));
        let vand = which(&mut sites, &mut laptop);
        vand.kill();
        vand.start_again();
    }
    let before = load.complete();
    wait_until(DEADLINE, "flows completed after the last kill", || load.complete() >= before + 10);
    let seen = load.end();
    assert_eq!(server.corrupt(), 0, "bytes towards the workload were wrong");
    assert_eq!(seen.wrong.load(Ordering::Relaxed), 0, "bytes towards the client were wrong");
    assert_eq!(seen.stalled.load(Ordering::Relaxed), 0, "flows stalled: {seen:?}");
    seen
}

#[test]
fn the_egress_is_killed_under_load() {
    let seen = kill_under_load(|_, laptop| laptop);
    // The ingress lives, so it must not pass a broken flow off as a finished one.
    assert_eq!(seen.short.load(Ordering::Relaxed), 0, "{seen:?}");
}

#[test]
fn the_ingress_is_killed_under_load() {
    kill_under_load(|sites, _| &mut sites.public);
}
