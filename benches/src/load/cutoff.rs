//! Server-first bulk flows that the client cuts off at random places.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rand::Rng;
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{PATIENCE, connect};
use crate::backend::{BULK, bulk_piece};

/// Flows at once.
const AT_ONCE: usize = 16;

/// One flow in so many is read to its very end.
const WHOLE: u32 = 8;

/// What the load found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cutoffs {
    /// Flows that stopped before the client did.
    pub stalled: usize,
    /// Flows that brought wrong bytes, too few, or broke.
    pub broken: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Good,
    Stalled,
    Broken,
}

/// Runs `count` flows.
///
/// # Errors
/// Where a client itself fails; stalls and breaks are counted instead.
pub async fn run(address: SocketAddr, count: usize) -> Result<Cutoffs> {
    let piece: Arc<[u8]> = bulk_piece().into();
    let (mut flows, mut started, mut found) = (JoinSet::new(), 0, Cutoffs::default());
    loop {
        while flows.len() < AT_ONCE && started < count {
            let whole = rand::rng().random_ratio(1, WHOLE);
            let cut = if whole { BULK } else { rand::rng().random_range(0..BULK) };
            flows.spawn(read_until(address, cut, Arc::clone(&piece), PATIENCE));
            started += 1;
        }
        let Some(ended) = flows.join_next().await else { return Ok(found) };
        match ended.context("a client ended")? {
            Outcome::Good => {}
            Outcome::Stalled => found.stalled += 1,
            Outcome::Broken => found.broken += 1,
        }
        if found.stalled + found.broken > AT_ONCE * 4 {
            bail!(
                "given up after {started} flows: {} stalled, {} broke",
                found.stalled,
                found.broken
            );
        }
    }
}

/// Reads up to `cut` bytes, compares them, and closes; at the very end it wants the end too.
async fn read_until(
    address: SocketAddr,
    cut: usize,
    piece: Arc<[u8]>,
    patience: Duration,
) -> Outcome {
    let Ok(mut stream) = connect(address).await else { return Outcome::Broken };
    let (mut at, mut buffer) = (0, vec![0; 64 * 1024]);
    loop {
        if at >= cut && cut < BULK {
            return Outcome::Good;
        }
        let limit = buffer.len().min(cut - at).max(1);
        let Ok(read) = timeout(patience, stream.read(&mut buffer[..limit])).await else {
            return Outcome::Stalled;
        };
        match read {
            Ok(0) if at == BULK => return Outcome::Good,
            Ok(0) | Err(_) => return Outcome::Broken,
            Ok(read) => {
                if piece.get(at..at + read) != Some(&buffer[..read]) {
                    return Outcome::Broken;
                }
                at += read;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    async fn serve(bytes: Vec<u8>, hold: bool) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = JoinSet::new();
        server.spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(&bytes).await.unwrap();
            if hold {
                std::future::pending::<()>().await;
            }
        });
        server.detach_all();
        address
    }

    #[tokio::test]
    async fn outcomes_are_told_apart() {
        let piece: Arc<[u8]> = bulk_piece().into();
        let good = serve(piece.to_vec(), false).await;
        assert_eq!(read_until(good, BULK, Arc::clone(&piece), PATIENCE).await, Outcome::Good);
        let early = serve(piece[..BULK - 1].to_vec(), false).await;
        assert_eq!(read_until(early, BULK, Arc::clone(&piece), PATIENCE).await, Outcome::Broken);
        let mut wrong = piece.to_vec();
        wrong[5000] ^= 1;
        let wrong = serve(wrong, false).await;
        assert_eq!(read_until(wrong, 6000, Arc::clone(&piece), PATIENCE).await, Outcome::Broken);
        let cut = serve(piece.to_vec(), true).await;
        assert_eq!(read_until(cut, 300, Arc::clone(&piece), PATIENCE).await, Outcome::Good);
    }

    #[tokio::test]
    async fn a_silent_server_is_a_stall() {
        let piece: Arc<[u8]> = bulk_piece().into();
        let address = serve(Vec::new(), true).await;
        assert_eq!(
            read_until(address, BULK, piece, Duration::from_millis(50)).await,
            Outcome::Stalled
        );
    }
}
