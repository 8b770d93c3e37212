//! A listener that passes its clients' TLS on as it is, to the address of the server name they ask for.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::debug;
use van_model::api::FlowEnd;
use van_net::{Counted, Socket};

use super::Shared;
use super::refused::Refused;
use crate::stream::Stream;

/// Greetings of one listener that are read at once, of 16 KiB at most; further clients wait their turn.
const AT_ONCE: usize = 1024;

/// Time for a client's turn to come; its greeting then has 5 s.
const PATIENCE: Duration = Duration::from_secs(5);

/// A fatal alert, `unrecognized_name` (RFC 8446, section 6.2; RFC 6066, section 3).
const UNKNOWN: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// Greetings that are being read, and clients that were refused.
#[derive(Debug)]
pub(super) struct Greetings {
    turns: Semaphore,
    refused: Refused,
}

impl Default for Greetings {
    fn default() -> Self {
        Self { turns: Semaphore::new(AT_ONCE), refused: Refused::default() }
    }
}

impl Greetings {
    /// Reads a client's greeting: the name that it asks for, and all bytes that were read.
    async fn read(&self, stream: &mut Stream) -> io::Result<(Option<String>, Vec<u8>)> {
        let turn = timeout(PATIENCE, self.turns.acquire()).await;
        let _turn = turn.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
        van_tls::greeting(stream).await
    }
}

impl Shared {
    /// Reads a client's greeting on a worker and hands it on, whole, by the route of its name.
    pub(super) fn serve_by_name(
        self: &Arc<Self>,
        socket: Socket,
        client: Option<SocketAddr>,
        counted: Counted,
    ) {
        let shared = self.clone();
        self.dispatcher.worker().1.spawn("tls greeting", async move {
            let mut stream = match Stream::register(socket) {
                Ok(stream) => stream,
                Err(error) => return debug!(%error, "client's socket failed"),
            };
            match shared.greetings.read(&mut stream).await {
                Ok((name, read)) => {
                    shared.pass_on(stream, name.as_deref(), read, client, counted);
                }
                Err(error) => {
                    stream.abort_on_close();
                    counted.ends(FlowEnd::Broken);
                    // Who looks whether the port is open says nothing.
                    if error.kind() != io::ErrorKind::UnexpectedEof {
                        shared.meter.errors.add(1);
                        shared.greetings.refused.tell(&shared.spec.name, &error);
                    }
                }
            }
        });
    }

    fn pass_on(
        &self,
        stream: Stream,
        name: Option<&str>,
        read: Vec<u8>,
        client: Option<SocketAddr>,
        counted: Counted,
    ) {
        let leads = self.leads.load();
        let place = name.and_then(|name| leads.names.of_host(name));
        if place.is_none() && leads.spec.only_routes {
            let asked = name.unwrap_or("no name");
            self.meter.errors.add(1);
            let why = format!("no route by TLS server name: {asked} was asked for");
            self.greetings.refused.tell(&self.spec.name, &why);
            // A client that does not take seven bytes does without.
            let _ = stream.write(&UNKNOWN);
            stream.end_write();
            return counted.ends(FlowEnd::NoTarget);
        }
        match stream.unregister() {
            Ok(socket) => self.dispatch(&leads, place, socket, read, client, counted),
            Err(error) => debug!(%error, "client's socket failed"),
        }
    }
}
