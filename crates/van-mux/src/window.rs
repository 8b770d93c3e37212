//! Credit: how much may be under way on a stream, growing with need and bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What all windows of a process may have beyond their initial credit, in bytes.
///
/// Shared by all sessions; a session's own share is bounded beside it.
#[derive(Debug)]
pub struct Budget {
    left: AtomicU64,
}

impl Budget {
    /// Makes a budget of so many bytes.
    pub fn new(bytes: u64) -> Arc<Self> {
        Arc::new(Self { left: AtomicU64::new(bytes) })
    }

    /// Takes `bytes` if that much is left.
    fn take(&self, bytes: u64) -> bool {
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes))
            .is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes left.
    pub fn left(&self) -> u64 {
        self.left.load(Ordering::Relaxed)
    }
}

/// The receiving half of a stream's credit.
#[derive(Debug)]
pub(crate) struct ReceiveWindow {
    /// Bytes that may be under way or waiting here.
    size: u32,
    /// Bytes that the peer may still send.
    outstanding: u32,
    /// Bytes received that have not left yet.
    waiting: u32,
    /// Bytes that left since `since`.
    measured: u32,
    /// Start of the present measurement.
    since: Instant,
}

/// What windows of one session share.
#[derive(Debug)]
pub(crate) struct WindowLimits {
    /// The size that every window starts with.
    pub(crate) initial: u32,
    /// The largest size of one window.
    pub(crate) max: u32,
    /// What this session's windows may have beyond `initial` in all, and what is left of it.
    pub(crate) session_left: u64,
    /// The same for the whole process.
    pub(crate) process: Arc<Budget>,
    /// What this session's windows have taken of both.
    pub(crate) taken: u64,
}

impl Drop for WindowLimits {
    /// A session that ends with its connection has streams open: what they took goes back too.
    fn drop(&mut self) {
        self.process.give_back(self.taken);
    }
}

/// Below this a measurement says more of the scheduler than of the network: on a busy machine both
/// ends wait for a processor about so long.
const MIN_ROUND: Duration = Duration::from_millis(4);

/// A window that was not used for this long shrinks.
const IDLE: Duration = Duration::from_secs(1);

impl ReceiveWindow {
    pub(crate) fn new(now: Instant, limits: &WindowLimits) -> Self {
        let size = limits.initial;
        Self { size, outstanding: size, waiting: 0, measured: 0, since: now }
    }

    /// Bytes that the peer may still send.
    pub(crate) fn outstanding(&self) -> u32 {
        self.outstanding
    }

    /// Counts bytes that came; the caller has checked them against [`Self::outstanding`].
    pub(crate) fn received(&mut self, bytes: u32) {
        self.outstanding -= bytes;
        self.waiting += bytes;
    }

    /// Counts bytes that left, and says how much to grant (0: not yet).
    pub(crate) fn delivered(
        &mut self,
        now: Instant,
        bytes: u32,
        round_trip: Duration,
        limits: &mut WindowLimits,
    ) -> u32 {
        self.waiting = self.waiting.saturating_sub(bytes);
        self.measure(now, bytes, round_trip, limits);
        let due = self.size.saturating_sub(self.outstanding + self.waiting);
        if due < (self.size / 4).max(1) {
            return 0;
        }
        self.outstanding += due;
        due
    }

    fn measure(
        &mut self,
        now: Instant,
        bytes: u32,
        round_trip: Duration,
        limits: &mut WindowLimits,
    ) {
        let passed = now.saturating_duration_since(self.since);
        // The first delivery after a round trip starts a new measurement: one as old as this says
        // that nothing left for most of that time, whatever left at its start.
        if passed >= IDLE + round_trip * 4 {
            self.shrink(limits);
        }
        self.measured = self.measured.saturating_add(bytes);
        let round = round_trip.max(MIN_ROUND);
        let rounds = (passed.as_nanos() / round.as_nanos()).max(1);
        // Half of the window within one round trip is the whole within two. It is acted on as soon
        // as it is seen: a window that waited for the round to end would lag behind TCP's own.
        let needs_more = u128::from(self.measured) / rounds >= u128::from(self.size / 2);
        if needs_more && passed < round * 2 + IDLE {
            self.grow(limits);
        }
        if needs_more || passed >= round {
            self.measured = 0;
            self.since = now;
        }
    }

    fn grow(&mut self, limits: &mut WindowLimits) {
        let more = self.size.min(limits.max - self.size.min(limits.max));
        if more == 0 || limits.session_left < u64::from(more) || !limits.process.take(more.into()) {
            return;
        }
        limits.session_left -= u64::from(more);
        limits.taken += u64::from(more);
        self.size += more;
    }

    fn shrink(&mut self, limits: &mut WindowLimits) {
        let less = (self.size / 2).min(self.size - limits.initial.min(self.size));
        self.give_back(less, limits);
    }

    fn give_back(&mut self, bytes: u32, limits: &mut WindowLimits) {
        self.size -= bytes;
        limits.session_left += u64::from(bytes);
        limits.taken -= u64::from(bytes);
        limits.process.give_back(bytes.into());
    }

    /// Returns what the window took from the budgets; to be called when the stream ends.
    pub(crate) fn release(&mut self, limits: &mut WindowLimits) {
        self.give_back(self.size - limits.initial.min(self.size), limits);
    }

    #[cfg(test)]
    pub(crate) fn size(&self) -> u32 {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(max: u32, session: u64, process: u64) -> WindowLimits {
        let process = Budget::new(process);
        WindowLimits { initial: 1000, max, session_left: session, process, taken: 0 }
    }

    /// A sender that always uses up its credit at once, one round trip of 10 ms at a time.
    fn run(rounds: u32, limits: &mut WindowLimits) -> ReceiveWindow {
        let start = Instant::now();
        let rtt = Duration::from_millis(10);
        let mut window = ReceiveWindow::new(start, limits);
        for round in 1..=rounds {
            let bytes = window.outstanding();
            window.received(bytes);
            let granted = window.delivered(start + rtt * round, bytes, rtt, limits);
            assert_eq!(window.outstanding(), granted);
        }
        window
    }

    #[test]
    fn grows_while_the_reader_keeps_up_and_stops_at_each_limit() {
        assert_eq!(run(20, &mut limits(64_000, 1 << 40, 1 << 40)).size(), 64_000);
        assert_eq!(run(20, &mut limits(1 << 30, 3_000, 1 << 40)).size(), 4_000);
        assert_eq!(run(20, &mut limits(1 << 30, 1 << 40, 7_000)).size(), 8_000);
    }

    #[test]
    fn budgets_get_everything_back() {
        let mut limits = limits(64_000, 100_000, 100_000);
        let mut window = run(20, &mut limits);
        assert_eq!(limits.session_left, 37_000);
        window.release(&mut limits);
        assert_eq!((limits.session_left, limits.process.left()), (100_000, 100_000));
    }

    #[test]
    fn a_session_that_is_dropped_gives_back_to_the_process() {
        let mut limits = limits(64_000, 100_000, 100_000);
        let process = limits.process.clone();
        run(20, &mut limits);
        drop(limits);
        assert_eq!(process.left(), 100_000);
    }

    #[test]
    fn a_slow_reader_keeps_its_first_window() {
        let mut limits = limits(64_000, 1 << 40, 1 << 40);
        let (start, rtt) = (Instant::now(), Duration::from_millis(10));
        let mut window = ReceiveWindow::new(start, &limits);
        window.received(1000);
        for step in 1..=1000 {
            let granted = window.delivered(start + rtt * 10 * step, 1, rtt, &mut limits);
            window.received(granted);
        }
        assert_eq!(window.size(), 1000);
    }

    #[test]
    fn shrinks_after_rest_without_going_below_what_it_granted() {
        let mut limits = limits(64_000, 1 << 40, 1 << 40);
        let mut window = run(20, &mut limits);
        let (rtt, mut now) = (Duration::from_millis(10), Instant::now() + Duration::from_secs(60));
        let before = window.size();
        for _ in 0..3 {
            now += Duration::from_secs(5);
            window.received(10);
            window.delivered(now, 10, rtt, &mut limits);
            now += rtt;
            window.received(10);
            window.delivered(now, 10, rtt, &mut limits);
        }
        assert!(window.size() < before, "{} < {before}", window.size());
        assert!(window.size() >= 1000);
    }

    #[test]
    fn shrinks_after_a_burst_in_pieces() {
        let mut limits = limits(64_000, 1 << 40, 1 << 40);
        let mut window = run(20, &mut limits);
        let (rtt, now) = (Duration::from_millis(10), Instant::now() + Duration::from_secs(60));
        let before = window.size();
        for after in [0, 1, 2, 5000] {
            window.received(10);
            window.delivered(now + Duration::from_millis(after), 10, rtt, &mut limits);
        }
        assert!(window.size() <= before / 4, "two rests: {} of {before}", window.size());
    }
}
