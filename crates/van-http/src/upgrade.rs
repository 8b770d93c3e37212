//! What follows a switch of protocols: bytes both ways.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tracing::debug;

/// Joins both connections once they have left HTTP, until both directions have ended or one fails.
pub(crate) async fn join(client: OnUpgrade, target: OnUpgrade) {
    let (client, target) = match tokio::try_join!(client, target) {
        Ok(both) => both,
        Err(error) => return debug!(%error, "protocol not switched"),
    };
    let (mut client, mut target) = (TokioIo::new(client), TokioIo::new(target));
    // Where one fails, both are dropped, which the other end sees as a reset.
    if let Err(error) = copy_bidirectional(&mut client, &mut target).await {
        debug!(%error, "switched connection was reset");
    }
}
