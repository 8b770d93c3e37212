//! The data plane's threads, each with a runtime of its own.
//!
//! A connection and all its flows live on one worker: no locks and no hand-over on a byte's way.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Context;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;

use crate::tasks::Tasks;

/// Polls of tasks between two looks at the sockets. Those that move much ask for another turn by
/// [`after_sockets`], so that a small message waits for one of them at most.
const EVENT_INTERVAL: u32 = 16;

/// More threads than this gain nothing that was measured.
const MAX_WORKERS: usize = 16;

/// Asks for another turn of the task that is polled, after the runtime has looked at all sockets.
pub fn after_sockets(cx: &mut Context<'_>) {
    // It is never ready the first time, and then wakes whoever asked.
    let _ = pin!(tokio::task::yield_now()).poll(cx);
}

/// The data plane's threads.
#[derive(Debug)]
pub struct Workers {
    tasks: Vec<Tasks>,
    threads: Vec<JoinHandle<()>>,
    stop: CancellationToken,
    next: AtomicUsize,
}

impl Workers {
    /// Starts one worker for each processor, or `count` of them.
    pub fn start(count: Option<usize>) -> io::Result<Self> {
        let cores = || std::thread::available_parallelism().map_or(2, usize::from);
        let count = count.unwrap_or_else(cores).clamp(1, MAX_WORKERS);
        let stop = CancellationToken::new();
        let (mut tasks, mut threads) = (Vec::new(), Vec::new());
        for index in 0..count {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .event_interval(EVENT_INTERVAL)
                .build()?;
            tasks.push(Tasks::new(runtime.handle().clone(), stop.child_token()));
            let stop = stop.clone();
            let body = move || runtime.block_on(stop.cancelled());
            threads.push(std::thread::Builder::new().name(format!("data-{index}")).spawn(body)?);
        }
        Ok(Self { tasks, threads, stop, next: AtomicUsize::new(0) })
    }

    /// How many there are, at least 1.
    pub fn count(&self) -> usize {
        self.tasks.len()
    }

    /// The worker of this number; numbers wrap around.
    pub fn get(&self, index: usize) -> &Tasks {
        &self.tasks[index % self.tasks.len()]
    }

    /// The workers in turn.
    pub fn next(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed) % self.tasks.len()
    }

    /// Whether every worker turns to a new task within `patience`; the error is a sentence on the
    /// first that does not.
    pub async fn pulse(&self, patience: Duration) -> Result<(), String> {
        let ask = |tasks: &Tasks| {
            let (answer, answered) = oneshot::channel();
            tasks.spawn("pulse", async move {
                // Who asked may have given up.
                let _ = answer.send(());
            });
            answered
        };
        let asked: Vec<_> = self.tasks.iter().map(ask).collect();
        let deadline = tokio::time::Instant::now() + patience;
        for (index, answered) in asked.into_iter().enumerate() {
            if !matches!(timeout_at(deadline, answered).await, Ok(Ok(()))) {
                let seconds = patience.as_secs_f32();
                return Err(format!("worker {index} of the data plane is stuck for {seconds} s"));
            }
        }
        Ok(())
    }

    /// Ends all tasks and threads; returns when they have ended.
    pub fn stop(mut self) {
        self.stop.cancel();
        for thread in self.threads.drain(..) {
            // A worker that panicked has been reported by its task.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_that_is_stuck_is_found() {
        let workers = Workers::start(Some(2)).unwrap();
        workers.pulse(Duration::from_secs(10)).await.unwrap();
        let (free, stuck) = std::sync::mpsc::channel::<()>();
        workers.get(1).spawn("stuck", async move {
            let _ = stuck.recv();
        });
        let told = workers.pulse(Duration::from_millis(50)).await.unwrap_err();
        assert!(told.contains("worker 1"), "{told}");
        free.send(()).unwrap();
        workers.pulse(Duration::from_secs(10)).await.unwrap();
        workers.stop();
    }
}
