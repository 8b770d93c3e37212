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
    /// The most of `size` and what is under way or waiting: credit that was given can't be taken
    /// back, so that a window that shrank holds more than its size until the peer has used it.
    held: u32,
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
    /// What is left of what this session's windows may have beyond `initial` in all.
    session_left: u64,
    /// The most that windows which shrank may hold beyond their size in all.
    lent_max: u64,
    /// What they hold so.
    lent: u64,
    /// What all windows of the process may hold beyond `initial`.
    process: Arc<Budget>,
    /// What this session's windows have taken of that.
    taken: u64,
    /// Whether a window could not grow for want of the session's budget.
    short: bool,
    /// When quiet windows were last made to shrink.
    reclaimed: Option<Instant>,
}

impl WindowLimits {
    /// Limits of a new session, whose windows may have `session` bytes beyond `initial` in all.
    pub(crate) fn new(initial: u32, max: u32, session: u64, process: Arc<Budget>) -> Self {
        Self {
            initial,
            max,
            session_left: session,
            lent_max: session,
            lent: 0,
            process,
            taken: 0,
            short: false,
            reclaimed: None,
        }
    }

    /// Whether all windows are to be asked now to shrink if they are quiet; `true` marks that.
    pub(crate) fn reclaims(&mut self, now: Instant) -> bool {
        let due = self.short
            && self.reclaimed.is_none_or(|at| now.saturating_duration_since(at) >= RECLAIM_EVERY);
        if due {
            (self.short, self.reclaimed) = (false, Some(now));
        }
        due
    }
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

/// A window that was not used for this long gives way to those that need more.
const QUIET: Duration = Duration::from_secs(2);

/// Time between two looks for quiet windows, each of which costs a look at every stream.
const RECLAIM_EVERY: Duration = Duration::from_millis(500);

impl ReceiveWindow {
    pub(crate) fn new(now: Instant, limits: &WindowLimits) -> Self {
        let size = limits.initial;
        Self { size, held: size, outstanding: size, waiting: 0, measured: 0, since: now }
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
        let mut due = self.size.saturating_sub(self.outstanding + self.waiting);
        if due < (self.size / 4).max(1) {
            due = 0;
        }
        self.outstanding += due;
        if self.held > self.size {
            self.resize(self.size, limits);
        }
        due
    }

    /// Goes back to what is waiting here, at least to the first size, if it was not used for long:
    /// what it had beyond that is there for others.
    pub(crate) fn shrink_if_quiet(&mut self, now: Instant, limits: &mut WindowLimits) {
        if now.saturating_duration_since(self.since) >= QUIET {
            let least = self.waiting.max(limits.initial).min(self.size);
            self.lend(least, limits);
        }
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
        if more > 0 {
            self.resize(self.size + more, limits);
        }
    }

    fn shrink(&mut self, limits: &mut WindowLimits) {
        let less = (self.size / 2).min(self.size - limits.initial.min(self.size));
        self.lend(self.size - less, limits);
    }

    /// Takes a smaller size, if the session has not lent too much in that way.
    fn lend(&mut self, size: u32, limits: &mut WindowLimits) {
        let still = u64::from((self.outstanding + self.waiting).saturating_sub(size));
        let other = limits.lent - u64::from(self.held - self.size);
        if other + still <= limits.lent_max {
            self.resize(size, limits);
        }
    }

    /// Takes another size, if the budgets have what that needs.
    fn resize(&mut self, size: u32, limits: &mut WindowLimits) {
        let held = size.max(self.outstanding + self.waiting);
        let more = u64::from(size.saturating_sub(self.size));
        if limits.session_left < more {
            limits.short = true;
            return;
        }
        if held > self.held && !limits.process.take((held - self.held).into()) {
            return;
        }
        if held < self.held {
            limits.process.give_back((self.held - held).into());
        }
        limits.taken = limits.taken + u64::from(held) - u64::from(self.held);
        limits.session_left = limits.session_left + u64::from(self.size) - u64::from(size);
        limits.lent = limits.lent + u64::from(held - size) - u64::from(self.held - self.size);
        (self.size, self.held) = (size, held);
    }

    /// Returns what the window took from the budgets; to be called when the stream ends.
    pub(crate) fn release(&mut self, limits: &mut WindowLimits) {
        (self.outstanding, self.waiting) = (0, 0);
        self.resize(limits.initial.min(self.size), limits);
    }

    #[cfg(test)]
    pub(crate) fn size(&self) -> u32 {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits(max: u32, session: u64, process: u64) -> WindowLimits {
        WindowLimits::new(1000, max, session, Budget::new(process))
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

    #[test]
    fn quiet_windows_give_way_to_one_that_grows() {
        let mut limits = limits(64_000, 252_000, 1 << 40);
        let (start, rtt) = (Instant::now(), Duration::from_millis(10));
        let mut quiet: Vec<_> = (0..4).map(|_| run(20, &mut limits)).collect();
        assert_eq!(limits.session_left, 0);
        let mut late = ReceiveWindow::new(start, &limits);
        let mut now = start + Duration::from_secs(10);
        for _ in 0..20 {
            let bytes = late.outstanding();
            late.received(bytes);
            now += rtt;
            late.delivered(now, bytes, rtt, &mut limits);
            if limits.reclaims(now) {
                quiet.iter_mut().for_each(|w| w.shrink_if_quiet(now, &mut limits));
                late.shrink_if_quiet(now, &mut limits);
            }
        }
        assert_eq!(late.size(), 64_000);
        assert!(quiet.iter().all(|w| w.size() == 1000));
        // What they may still be sent is held all the same, until it came and went.
        assert_eq!(limits.taken, 5 * 63_000);
        quiet[0].received(64_000);
        quiet[0].delivered(now, 64_000, rtt, &mut limits);
        assert!(limits.taken < 5 * 63_000, "{}", limits.taken);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Received(usize, u32),
        Delivered(usize, u32),
        Pass(u64),
        Reclaim,
        Replace(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let window = 0..4_usize;
        let share = prop_oneof![Just(100_u32), 1..100_u32];
        let step = prop_oneof![
            8 => (window.clone(), share.clone()).prop_map(|(w, s)| Step::Received(w, s)),
            8 => (window.clone(), share).prop_map(|(w, s)| Step::Delivered(w, s)),
            4 => (1..4000_u64).prop_map(Step::Pass),
            2 => Just(Step::Reclaim),
            1 => window.prop_map(Step::Replace),
        ];
        proptest::collection::vec(step, 1..300)
    }

    proptest! {
        /// Whatever comes and goes, the budgets are what the windows say, and bound them.
        #[test]
        fn budgets_are_what_the_windows_hold(
            steps in steps(),
            session in 0..200_000_u64,
            process in 0..300_000_u64,
        ) {
            let (mut now, rtt) = (Instant::now(), Duration::from_millis(5));
            let mut limits = limits(64_000, session, process);
            let mut windows: Vec<_> = (0..4).map(|_| ReceiveWindow::new(now, &limits)).collect();
            for step in steps {
                match step {
                    Step::Received(w, share) => {
                        let bytes = windows[w].outstanding() / 100 * share;
                        windows[w].received(bytes);
                    }
                    Step::Delivered(w, share) => {
                        let bytes = windows[w].waiting / 100 * share;
                        windows[w].delivered(now, bytes, rtt, &mut limits);
                    }
                    Step::Pass(millis) => now += Duration::from_millis(millis),
                    Step::Reclaim => {
                        windows.iter_mut().for_each(|w| w.shrink_if_quiet(now, &mut limits));
                    }
                    Step::Replace(w) => {
                        windows[w].release(&mut limits);
                        windows[w] = ReceiveWindow::new(now, &limits);
                    }
                }
                let sum = |of: fn(&ReceiveWindow) -> u32| -> u64 {
                    windows.iter().map(|w| u64::from(of(w))).sum()
                };
                prop_assert_eq!(limits.session_left + sum(|w| w.size - 1000), session);
                prop_assert_eq!(limits.process.left() + sum(|w| w.held - 1000), process);
                prop_assert_eq!(limits.lent, sum(|w| w.held - w.size));
                prop_assert!(limits.lent <= session);
                prop_assert!(windows.iter().all(|w| w.held >= w.outstanding + w.waiting));
            }
            windows.iter_mut().for_each(|w| w.release(&mut limits));
            prop_assert_eq!((limits.session_left, limits.process.left()), (session, process));
            prop_assert_eq!((limits.lent, limits.taken), (0, 0));
        }
    }
}
