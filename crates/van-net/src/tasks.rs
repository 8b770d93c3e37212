//! The one place where tasks are spawned: named, tied to shutdown, their end reported.

use std::future::Future;

use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug, error};

/// Spawns tasks onto one runtime and knows when all have ended.
///
/// Cloning is cheap; clones share the tracker and the cancellation.
#[derive(Debug, Clone)]
pub struct Tasks {
    runtime: Handle,
    tracker: TaskTracker,
    cancel: CancellationToken,
}

impl Tasks {
    /// Spawns onto `runtime` until `cancel` is cancelled.
    pub fn new(runtime: Handle, cancel: CancellationToken) -> Self {
        Self { runtime, tracker: TaskTracker::new(), cancel }
    }

    /// The same tracker and runtime under a cancellation of its own, which ends with this one's.
    pub fn child(&self) -> Self {
        Self { cancel: self.cancel.child_token(), ..self.clone() }
    }

    /// The same tracker and cancellation on the runtime that is running.
    ///
    /// # Panics
    /// Where none is.
    pub fn here(&self) -> Self {
        Self { runtime: Handle::current(), ..self.clone() }
    }

    /// Runs `task` until it ends or is cancelled.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let cancel = self.cancel.clone();
        let whole = async move {
            tokio::select! {
                biased;
                () = cancel.cancelled() => debug!("cancelled"),
                () = task => debug!("ended"),
            }
        };
        self.watch(name, whole);
    }

    /// Runs `task` until it ends by itself; it is expected to watch [`Tasks::cancelled`].
    pub fn spawn_to_end(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.watch(name, task);
    }

    fn watch(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let span = tracing::debug_span!("task", name);
        let guard = PanicReport(name);
        let whole = async move {
            let _guard = guard;
            task.await;
        };
        self.tracker.spawn_on(whole.instrument(span), &self.runtime);
    }

    /// Ends all tasks of this cancellation when the guard is dropped.
    pub fn guard(&self) -> DropGuard {
        self.cancel.clone().drop_guard()
    }

    /// Ends all tasks of this cancellation.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Waits for the cancellation.
    pub async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    /// Whether the cancellation has come.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// The runtime that the tasks run on.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Waits until all tasks have ended; call [`Tasks::cancel`] before.
    pub async fn wait(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// Tells of a task that ends by a panic, whose report goes to the panic hook as well.
struct PanicReport(&'static str);

impl Drop for PanicReport {
    fn drop(&mut self) {
        if std::thread::panicking() {
            error!(task = self.0, "a task panicked; what it served is closed");
        }
    }
}
