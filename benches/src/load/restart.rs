//! Clients while the egress dies and comes back.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::{SMALL, connect, exchange};

/// How long one client waits before the next tries.
const TRY: Duration = Duration::from_millis(500);

/// The pause between two clients: the resolution of the figure.
const PAUSE: Duration = Duration::from_millis(5);

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

/// Tries new clients until one gets its echo; tells how long that took.
pub async fn next_echo(address: SocketAddr) -> Result<Duration> {
    let start = Instant::now();
    loop {
        let client = async { exchange(&mut connect(address).await?, &[2; SMALL]).await };
        if let Ok(Ok(())) = timeout(TRY, client).await {
            return Ok(start.elapsed());
        }
        sleep(PAUSE).await;
    }
}
