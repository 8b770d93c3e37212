//! New flows: connect, a small message both ways, close; as fast as it goes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::task::JoinSet;

use super::samples::Samples;
use super::{SMALL, connect, exchange};

/// Clients at once.
const WORKERS: usize = 32;

/// What the load found.
#[derive(Debug)]
pub struct Flows {
    /// Whole flows a second.
    pub rate: f64,
    /// From connecting to the whole answer.
    pub times: Samples,
}

/// Opens flows for `length`.
///
/// # Errors
/// Where no flow succeeds or more than one in a hundred fails, with the last reason.
pub async fn run(address: SocketAddr, length: Duration) -> Result<Flows> {
    let start = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        workers.spawn(work(address, start + length));
    }
    let (mut times, mut failed, mut reason) = (Samples::default(), 0, None);
    while let Some(worker) = workers.join_next().await {
        let (own, errors, last) = worker.context("a worker of the load ended")?;
        times.merge(own);
        failed += errors;
        reason = last.or(reason);
    }
    if times.count() == 0 {
        return Err(reason.context("no flow was tried")?);
    }
    if failed > times.count() / 100 {
        let reason = reason.map(|reason| format!("{reason:#}")).unwrap_or_default();
        bail!("{failed} of {} flows failed: {reason}", failed + times.count());
    }
    Ok(Flows { rate: times.count() as f64 / start.elapsed().as_secs_f64(), times })
}

async fn work(address: SocketAddr, end: Instant) -> (Samples, usize, Option<anyhow::Error>) {
    let (mut times, mut failed, mut reason) = (Samples::default(), 0, None);
    while Instant::now() < end {
        let start = Instant::now();
        match one(address).await {
            Ok(()) => times.push(start.elapsed()),
            Err(error) => {
                failed += 1;
                reason = Some(error);
                // A service that refuses must not turn the load into a busy loop.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
    (times, failed, reason)
}

async fn one(address: SocketAddr) -> Result<()> {
    exchange(&mut connect(address).await?, &[0x5a; SMALL]).await
}
