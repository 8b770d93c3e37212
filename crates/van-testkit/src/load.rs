//! Clients that never rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::pattern::{FlowEnd, pattern_flow};

/// Clients that open one checked flow after the other to a loopback port, behind which a
/// [`crate::PatternServer`] stands.
#[derive(Debug)]
pub struct Load {
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

/// How the flows of a [`Load`] ended; those that broke are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadEnd {
    /// Every byte came both ways, and then the end.
    pub complete: usize,
    /// The end came in order, but too early.
    pub short: usize,
    /// A byte was wrong.
    pub wrong: usize,
    /// Nothing came for far too long.
    pub stalled: usize,
}

impl Load {
    /// Starts so many clients.
    pub fn start(port: u16, clients: usize) -> Self {
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

    /// Flows of which every byte came, so far.
    pub fn complete(&self) -> usize {
        self.seen.complete.load(Ordering::Relaxed)
    }

    /// Ends the clients, each after its flow.
    ///
    /// # Panics
    /// When one of them has.
    #[track_caller]
    pub fn end(self) -> LoadEnd {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a client comes to its end");
        }
        let Seen { complete, short, wrong, stalled, .. } = &*self.seen;
        let [complete, short, wrong, stalled] =
            [complete, short, wrong, stalled].map(|counter| counter.load(Ordering::Relaxed));
        LoadEnd { complete, short, wrong, stalled }
    }
}

impl Seen {
    fn flow(&self, port: u16) {
        let number = self.flows.fetch_add(1, Ordering::Relaxed);
        // Small, middling and large ones in turn, and different each way.
        let limit = [512, 60_000, 1_500_000][number as usize % 3];
        let size = |salt: u64| (number * 7919 + salt) % limit;
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
