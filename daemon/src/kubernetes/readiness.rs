//! When a pod takes traffic: not before it can carry it, and until others can do without it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use van_site::Site;

/// Time after the start in which links and other pods are waited for, where another pod carries traffic meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);

/// Time in which Services hear that a pod takes no more traffic.
const HAND_OVER: Duration = Duration::from_secs(3);

/// Whether a pod is ready for traffic.
#[derive(Debug)]
pub(crate) struct Readiness {
    state: watch::Sender<State>,
    /// Other pods that are ready; `None`: they are not known yet.
    others: watch::Sender<Option<usize>>,
}

/// How a pod stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Starting,
    Ready,
    Ending,
}

impl Default for Readiness {
    fn default() -> Self {
        Self { state: watch::Sender::new(State::Starting), others: watch::Sender::new(None) }
    }
}

impl Readiness {
    /// Whether the pod is ready; the error says what it waits for.
    pub(crate) fn get(&self) -> Result<(), String> {
        match *self.state.borrow() {
            State::Ready => Ok(()),
            State::Starting => Err("links are dialled; other pods carry traffic".into()),
            State::Ending => Err("the pod is about to stop".into()),
        }
    }

    /// Notes how many other pods are ready.
    pub(super) fn note_others(&self, ready: usize) {
        self.others.send_replace(Some(ready));
    }

    /// Becomes ready once the site can carry traffic. Where no other pod does, that is at once.
    pub(super) async fn watch(self: Arc<Self>, site: Arc<Site>) {
        let started = Instant::now();
        let (mut changes, mut others) = (site.changes(), self.others.subscribe());
        loop {
            changes.mark_unchanged();
            let is_ready = match *others.borrow_and_update() {
                None => false,
                Some(0) => true,
                Some(others) => site.is_linked() && site.replicas_linked() >= others,
            };
            if is_ready || started.elapsed() >= PATIENCE {
                self.state.send_if_modified(|state| {
                    let starts = *state == State::Starting;
                    if starts {
                        *state = State::Ready;
                    }
                    starts
                });
                return;
            }
            tokio::select! {
                _ = changes.changed() => {}
                _ = others.changed() => {}
                () = tokio::time::sleep(PATIENCE.saturating_sub(started.elapsed())) => {}
            }
        }
    }

    /// Is not ready any more, and waits until Services have heard of it, where another pod is ready.
    pub(super) async fn end(&self, hurry: impl Future<Output = ()>) {
        self.state.send_replace(State::Ending);
        let others = *self.others.borrow();
        if others.is_some_and(|ready| ready > 0) {
            tokio::select! {
                () = tokio::time::sleep(HAND_OVER) => {}
                () = hurry => {}
            }
        }
    }
}
