//! A listener that ends its clients' TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tracing::debug;
use van_model::api::FlowEnd;
use van_model::{ListenerSpec, Name};
use van_net::{Counted, Meter, Pipe, Socket, Tasks};
use van_tls::{OfClient, ServerSide, Standing};

use super::Shared;
use super::refused::Refused;
use crate::edge;
use crate::metered::{End, Metered};
use crate::stream::Stream;

/// What ends TLS for one listener, and tells of what fails.
#[derive(Debug)]
pub(super) struct Tls {
    side: ServerSide,
    name: Name,
    meter: Arc<Meter>,
    refused: Refused,
}

impl Tls {
    pub(super) fn of(spec: &ListenerSpec, meter: &Arc<Meter>) -> Option<Arc<Self>> {
        let side = ServerSide::new(spec.tls.as_ref()?, edge::offered_to_clients(spec.protocol));
        let (name, meter, refused) = (spec.name.clone(), meter.clone(), Refused::default());
        Some(Arc::new(Self { side, name, meter, refused }))
    }

    pub(super) fn standing(&self) -> Standing {
        self.side.standing()
    }

    /// Does the handshake with a client; a failure is counted and told.
    pub(super) async fn accept<T>(&self, io: T) -> Result<OfClient<T>, ()>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        match self.side.accept(io).await {
            Ok(tls) => Ok(tls),
            Err(error) => {
                self.meter.errors.add(1);
                self.refused.tell(&self.name, &error);
                Err(())
            }
        }
    }

    /// Reads files anew when they change, as long as it is polled.
    pub(super) async fn tend(self: Arc<Self>, changed: Arc<dyn Fn() + Send + Sync>) {
        let name = self.name.clone();
        let look = move || self.side.look().then(|| self.side.standing());
        edge::tend(name.as_str(), look, &*changed).await;
    }
}

impl Shared {
    /// Ends a client's TLS on a worker and hands its bytes on as a flow.
    pub(super) fn serve_tls(
        self: &Arc<Self>,
        tls: &Arc<Tls>,
        socket: Socket,
        client: Option<SocketAddr>,
        counted: Counted,
    ) {
        let (shared, tls) = (self.clone(), tls.clone());
        let (_, tasks): (usize, &Tasks) = self.dispatcher.worker();
        tasks.spawn("tls client", async move {
            let stream = match Stream::register(socket) {
                Ok(stream) => stream,
                Err(error) => return debug!(%error, "client's socket failed"),
            };
            let Ok(io) = Box::pin(tls.accept(Metered::new(stream, End::Edge))).await else {
                return counted.ends(FlowEnd::Broken);
            };
            drop(tls);
            let (near, far) = Pipe::pair();
            let leads = shared.leads.load_full();
            shared.dispatch(&leads, None, Socket::Pipe(far), Vec::new(), client, counted);
            drop(leads);
            drop(shared);
            edge::join(io, near).await;
        });
    }
}
