//! A listener whose clients speak HTTP: each request is balanced, not each connection.

use std::net::SocketAddr;
use std::sync::Arc;

use tracing::debug;
use van_http::{Client, Front, Io, Routes, Routing, Version};
use van_model::api::FlowEnd;
use van_model::{ListenerSpec, Protocol};
use van_net::{Counted, Socket, Tasks};

use super::Shared;
use crate::dispatch::Route;
use crate::metered::{End, Metered};
use crate::requests::Requests;
use crate::stream::Stream;

/// What serves the clients of a listener, where its protocol is one of requests.
pub(super) fn front(
    spec: &ListenerSpec,
    route: &Arc<Route>,
    meter: &Arc<van_net::Meter>,
) -> Option<Arc<Front>> {
    let version = match spec.protocol {
        Protocol::Http => Version::Http1,
        Protocol::Http2 => Version::Http2,
        Protocol::Tcp | Protocol::Udp => return None,
    };
    let service = spec.address.to_string();
    let tracer = route.dispatcher.tracer().cloned();
    Some(Front::new(routing(spec, route), version, service, meter.clone(), tracer))
}

/// How the requests of a listener find their sites.
pub(super) fn routing(spec: &ListenerSpec, route: &Arc<Route>) -> Routing {
    let routes = Routes::new(&spec.routes, spec.only_routes);
    Routing { routes, ways: Arc::new(Requests(route.clone())) }
}

impl Shared {
    /// Serves a client on a worker of its own, until its connection ends or `leaving` is cancelled.
    pub(super) fn serve_requests(
        &self,
        front: &Arc<Front>,
        socket: Socket,
        address: Option<SocketAddr>,
        counted: Counted,
        leaving: &Tasks,
    ) {
        let (front, leaving) = (front.clone(), leaving.clone());
        let (worker, tasks) = self.dispatcher.worker();
        let (on_worker, tls) = (tasks.clone(), self.tls.clone());
        tasks.spawn("http client", async move {
            let counted = Arc::new(counted);
            let stream = match Stream::register(socket) {
                Ok(stream) => stream,
                Err(error) => return debug!(%error, "client's socket failed"),
            };
            let secure = tls.is_some();
            let plain = Metered::new(stream, End::Client(counted.clone()));
            let io: Box<dyn Io> = match tls {
                None => Box::new(plain),
                // In memory of its own, which it gives back once it is done.
                Some(tls) => match Box::pin(tls.accept(plain)).await {
                    Ok(io) => Box::new(io),
                    Err(()) => return counted.ends(FlowEnd::Broken),
                },
            };
            let client = Client { io, address, counted, worker, secure };
            front.serve(client, on_worker, leaving).await;
        });
    }
}
