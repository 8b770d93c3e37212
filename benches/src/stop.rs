//! The wish to stop early: Ctrl-C and its like set it, every wait looks at it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

static WANTED: AtomicBool = AtomicBool::new(false);

/// How often a wait looks at the wish: short against any measurement, long against a poll's cost.
const SLICE: Duration = Duration::from_millis(20);

/// Starts to listen for SIGINT, SIGTERM and SIGHUP.
///
/// # Errors
/// Where a handler can't be installed.
pub fn watch(runtime: &Runtime) -> Result<()> {
    let _context = runtime.enter();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let mut signals = signal(kind)?;
        runtime.spawn(async move {
            while signals.recv().await.is_some() {
                WANTED.store(true, Ordering::Relaxed);
            }
        });
    }
    Ok(())
}

/// Tells whether somebody wants to stop.
pub fn wanted() -> bool {
    WANTED.load(Ordering::Relaxed)
}

/// Fails if somebody wants to stop, so that everything started is cleaned up on the way out.
pub fn check() -> Result<()> {
    if wanted() {
        bail!("interrupted");
    }
    Ok(())
}

/// Waits for `duration`, or fails early when interrupted.
pub fn pause(duration: Duration) -> Result<()> {
    wait_until(duration, || Ok(false)).map(drop)
}

/// Asks `done` again and again for at most `limit`; tells whether it came true.
///
/// # Errors
/// What `done` fails with, and the interruption.
pub fn wait_until(limit: Duration, mut done: impl FnMut() -> Result<bool>) -> Result<bool> {
    let end = Instant::now() + limit;
    loop {
        check()?;
        if done()? {
            return Ok(true);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        std::thread::sleep(left.min(SLICE));
    }
}

/// Comes true once somebody wants to stop; for `select!` beside a load.
pub async fn requested() {
    while !wanted() {
        tokio::time::sleep(SLICE).await;
    }
}
