//! TLS at the edges: a client's or a workload's connection under TLS, joined with a flow.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional_with_sizes};
use tokio::task::spawn_blocking;
use tokio::time::{interval, sleep};
use tracing::{debug, warn};
use van_model::Protocol;
use van_net::Pipe;
use van_tls::Standing;

/// Bytes on their way in each direction: one record of TLS.
const BUFFER: usize = 16 * 1024;

/// Time between two looks at files, and whether a flow was reset while its bytes can't be written.
const LOOK: Duration = Duration::from_secs(5);

/// What is offered by ALPN to the clients of a listener, the best first.
pub(crate) fn offered_to_clients(protocol: Protocol) -> &'static [&'static str] {
    match protocol {
        Protocol::Http | Protocol::Http2 => &["h2", "http/1.1"],
        Protocol::Tcp | Protocol::Udp => &[],
    }
}

/// What is offered by ALPN to a connector's workload.
pub(crate) fn offered_to_workload(protocol: Protocol) -> &'static [&'static str] {
    match protocol {
        Protocol::Http => &["http/1.1"],
        Protocol::Http2 => &["h2"],
        Protocol::Tcp | Protocol::Udp => &[],
    }
}

/// Reads TLS files anew when they change, as long as it is polled: every 5 s `look` looks at them, where
/// it may block, and tells how they stand if that is new.
pub(crate) async fn tend(
    who: &str,
    look: impl Fn() -> Option<Standing> + Clone + Send + 'static,
    changed: impl Fn(),
) {
    let mut looks = interval(LOOK);
    loop {
        looks.tick().await;
        // It ends only with the process, or by a panic that is told already.
        let Ok(Some(standing)) = spawn_blocking(look.clone()).await else { continue };
        match standing.problem {
            Some(problem) => warn!(who, problem, "the new TLS files can't be used"),
            None => debug!(who, "TLS files were read again"),
        }
        changed();
    }
}

/// Moves bytes between a connection under TLS and the end of a flow until both directions have ended
/// in order; where either breaks, so does the other.
pub(crate) async fn join<T: AsyncRead + AsyncWrite + Unpin>(mut tls: T, pipe: Pipe) {
    let mut end = &pipe;
    let reset = async {
        loop {
            sleep(LOOK).await;
            if let Some(error) = pipe.failure() {
                return error;
            }
        }
    };
    let result: io::Result<(u64, u64)> = tokio::select! {
        result = copy_bidirectional_with_sizes(&mut tls, &mut end, BUFFER, BUFFER) => result,
        error = reset => Err(error),
    };
    if let Err(error) = result {
        debug!(%error, "connection under TLS was reset");
        pipe.abort();
    }
}
