//! The load generator: what clients do to a service.

pub mod call;
pub mod cutoff;
pub mod datagrams;
pub mod flows;
pub mod idle;
pub mod patrons;
pub mod restart;
pub mod samples;
pub mod small;
pub mod stall;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::stop;

/// How long a client waits for anything at all before it calls its flow hanging.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The size of a small message in bytes.
pub const SMALL: usize = 64;

/// Runs a load for at most `limit`.
///
/// # Errors
/// What the load fails with, `limit` passed, or the interruption.
pub fn drive<T>(
    runtime: &Runtime,
    limit: Duration,
    load: impl Future<Output = Result<T>>,
) -> Result<T> {
    runtime.block_on(async {
        tokio::select! {
            done = timeout(limit, load) => {
                done.with_context(|| format!("the load hangs: no end after {} s", limit.as_secs()))?
            }
            () = stop::requested() => bail!("interrupted"),
        }
    })
}

/// Connects a client, with small messages sent at once.
///
/// # Errors
/// Where nothing answers in time or the service refuses.
pub async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let connected = timeout(PATIENCE, TcpStream::connect(address)).await;
    let stream = connected.context("connecting hangs")?.context("connecting failed")?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends `message` and waits for as many bytes back.
///
/// # Errors
/// Where the flow breaks, hangs, or brings other bytes.
pub async fn exchange(stream: &mut TcpStream, message: &[u8]) -> Result<()> {
    let mut answer = [0; SMALL];
    let answer = answer.get_mut(..message.len()).context("the message is not small")?;
    let both = async {
        stream.write_all(message).await?;
        stream.read_exact(answer).await
    };
    timeout(PATIENCE, both).await.context("the answer hangs")?.context("the flow broke")?;
    if answer != message {
        bail!("the echo differs");
    }
    Ok(())
}
