//! Idle flows: opened, one byte each way, then left alone.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{connect, exchange};

/// Flows opened at once; more would measure the listening queue.
const AT_ONCE: usize = 32;

/// Opens `count` flows and keeps them.
///
/// # Errors
/// Where one can't be opened, with how many could.
pub async fn open(address: SocketAddr, count: usize) -> Result<Vec<TcpStream>> {
    let (mut flows, mut opening) = (Vec::with_capacity(count), JoinSet::new());
    while flows.len() < count {
        while opening.len() < AT_ONCE && flows.len() + opening.len() < count {
            opening.spawn(async move {
                let mut stream = connect(address).await?;
                exchange(&mut stream, &[1]).await?;
                Ok::<_, anyhow::Error>(stream)
            });
        }
        let opened = opening.join_next().await.context("nothing is being opened")?;
        let flow = opened.context("a client ended")?;
        flows.push(flow.with_context(|| format!("flow {} of {count} failed", flows.len() + 1))?);
    }
    Ok(flows)
}
