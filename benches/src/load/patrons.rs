//! Idle HTTP clients: each asks once and keeps its connection.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{PATIENCE, connect};

/// Opens `count` connections one after the other, asks for the small file over each, and keeps them.
///
/// # Errors
/// Where one is not answered whole, with how many were.
pub async fn open(address: SocketAddr, count: usize) -> Result<Vec<TcpStream>> {
    let mut all = Vec::with_capacity(count);
    for at in 0..count {
        let one = timeout(PATIENCE, ask(address)).await.context("the answer hangs")?;
        all.push(one.with_context(|| format!("client {at} of {count} failed"))?);
    }
    Ok(all)
}

async fn ask(address: SocketAddr) -> Result<TcpStream> {
    let mut stream = connect(address).await?;
    stream.write_all(b"GET /page HTTP/1.1\r\nhost: web\r\n\r\n").await?;
    let mut answer = Vec::with_capacity(2048);
    loop {
        ensure!(stream.read_buf(&mut answer).await? > 0, "the answer ends early");
        if let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n")
            && answer.len() >= end + 4 + crate::backend::PAGE
        {
            ensure!(answer.starts_with(b"HTTP/1.1 200"), "the answer is no 200");
            return Ok(stream);
        }
    }
}
