//! Clients while the egress dies and comes back.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use super::{SMALL, connect, exchange};

/// A new client comes so often, whatever became of those before: the resolution of the figure.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until an open flow ends; tells how long that took.
///
/// # Errors
/// Where it stays open for 10 s.
pub async fn end_of(flow: &mut TcpStream) -> Result<Duration> {
    let start = Instant::now();
    let mut byte = [0];
    let ended = timeout(Duration::from_secs(10), flow.read(&mut byte)).await;
    // End or reset: either way the client knows.
    let _ = ended.context("the open flow hangs")?;
    Ok(start.elapsed())
}

/// Sends new clients until one gets its echo; tells how long that took.
///
/// # Errors
/// Never; the caller's limit ends it.
pub async fn next_echo(address: SocketAddr) -> Result<Duration> {
    let (start, mut clients) = (Instant::now(), JoinSet::new());
    let mut tick = interval(PAUSE);
    loop {
        tokio::select! {
            _ = tick.tick() => {
                clients.spawn(async move {
                    exchange(&mut connect(address).await?, &[2; SMALL]).await
                });
            }
            Some(Ok(Ok(()))) = clients.join_next(), if !clients.is_empty() => {
                return Ok(start.elapsed());
            }
        }
    }
}
