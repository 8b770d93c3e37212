//! How a flow's socket calls its connection's task without a task of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use van_mux::{GoAwayReason, StreamId};

/// Flows of one connection whose sockets became ready.
#[derive(Debug, Default)]
pub(crate) struct ReadyList {
    ready: Mutex<Vec<Arc<Signal>>>,
    /// Asks the connection to end; a slot of its own, so that no full queue can lose it.
    leave: Mutex<Option<(GoAwayReason, Duration)>>,
    task: AtomicWaker,
}

impl ReadyList {
    /// Makes later signals wake this task.
    pub(crate) fn register(&self, task: &Waker) {
        self.task.register(task);
    }

    /// Asks the connection to take no new flows and to end within `grace`; the shortest wins.
    pub(crate) fn leave(&self, reason: GoAwayReason, grace: Duration) {
        let mut leave = self.leave.lock();
        if leave.is_none_or(|(_, earlier)| grace <= earlier) {
            *leave = Some((reason, grace));
        }
        drop(leave);
        self.task.wake();
    }

    /// What [`Self::leave`] asked since the last look.
    pub(crate) fn take_leave(&self) -> Option<(GoAwayReason, Duration)> {
        self.leave.lock().take()
    }

    /// Whether no stream has signalled since the last look.
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.lock().is_empty()
    }

    /// Moves the streams that signalled into `out`; they may signal again from now on.
    pub(crate) fn take(&self, out: &mut Vec<StreamId>) {
        for signal in self.ready.lock().drain(..) {
            signal.listed.store(false, Ordering::Release);
            out.push(signal.stream);
        }
    }
}

/// Wakes the connection's task on behalf of one stream; at most once in its list at a time.
#[derive(Debug)]
pub(crate) struct Signal {
    stream: StreamId,
    listed: AtomicBool,
    list: Arc<ReadyList>,
}

impl Signal {
    pub(crate) fn new(stream: StreamId, list: &Arc<ReadyList>) -> Arc<Self> {
        Arc::new(Self { stream, listed: AtomicBool::new(false), list: list.clone() })
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        if !self.listed.swap(true, Ordering::AcqRel) {
            let list = self.list.clone();
            list.ready.lock().push(self);
            list.task.wake();
        }
    }
}
