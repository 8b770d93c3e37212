//! A stalled reader: a client of an endless source that never reads.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{PATIENCE, connect};

/// Connects and waits until the first bytes are there, without taking any.
///
/// # Errors
/// Where nothing arrives.
pub async fn open(address: SocketAddr) -> Result<TcpStream> {
    let stream = connect(address).await?;
    timeout(PATIENCE, stream.readable()).await.context("the source sends nothing")??;
    Ok(stream)
}
