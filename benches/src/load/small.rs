//! Small requests, one after the other on one flow.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::samples::Samples;
use super::{SMALL, connect, exchange};

/// Exchanges small messages for `length`.
///
/// # Errors
/// Where the flow breaks or hangs.
pub async fn run(address: SocketAddr, length: Duration) -> Result<Samples> {
    let mut stream = connect(address).await?;
    let mut times = Samples::default();
    let end = Instant::now() + length;
    while Instant::now() < end {
        let start = Instant::now();
        exchange(&mut stream, &[3; SMALL]).await?;
        times.push(start.elapsed());
    }
    Ok(times)
}
