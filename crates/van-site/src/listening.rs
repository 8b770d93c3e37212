//! Opening listeners and link ports; what can't be bound is told and tried again.

use std::net::SocketAddr;

use tracing::info;
use van_model::api::Severity;
use van_model::{Bind, ListenerSpec};
use van_net::{Acceptor, Tasks};
use van_proxy::Listener;

use crate::blocking::blocking;
use crate::reconcile::Running;
use crate::site::Site;

/// A link port that is open; dropping it closes the port.
pub(crate) struct AcceptRun {
    pub(crate) bound: SocketAddr,
    tasks: Tasks,
}

impl Drop for AcceptRun {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

impl Running {
    /// Where links are accepted.
    pub(crate) fn accepting(&self) -> Vec<SocketAddr> {
        self.accepts.values().flatten().map(|run| run.bound).collect()
    }
}

impl Site {
    pub(crate) fn start_listener(&self, spec: &ListenerSpec) -> Result<Listener, String> {
        let mailbox = self.mailbox.clone();
        let changed = std::sync::Arc::new(move || mailbox.ring());
        let worker = self.workers.get(self.workers.next());
        let place = match &spec.bind {
            Bind::Tcp(place) => place.socket_addr(),
            Bind::Unix(_) => None,
        };
        let (spec_now, dispatcher) = (spec.clone(), self.dispatcher.clone());
        // Sockets that are handed over are those of streams.
        let streams = spec.protocol != van_model::Protocol::Udp;
        let handed =
            if streams { self.environment.handed.take(spec.name.as_str(), place) } else { None };
        let started = match handed {
            Some(Ok(socket)) => Listener::start_on(socket, spec_now, dispatcher, worker, changed),
            // A bind's name may have to be resolved.
            _ => blocking(|| Listener::start(spec_now, dispatcher, worker, changed)),
        };
        started.map_err(|error| {
            let text = format!("listener {}: {error}", spec.name);
            self.event(Severity::Error, "BindFailed", format!("listener/{}", spec.name), text);
            error.to_string()
        })
    }

    pub(crate) fn start_accept(&self, address: SocketAddr) -> Result<AcceptRun, String> {
        let _runtime = self.tasks.runtime().enter();
        let listener = match self.environment.handed.take("", Some(address)) {
            Some(socket) => socket.and_then(Acceptor::adopt),
            None => Acceptor::bind(address),
        };
        let bound = listener.and_then(|l| Ok((l.local_addr()?, l)));
        match bound {
            Ok((bound, listener)) => {
                info!(%bound, "accepting links");
                let tasks = self.tasks.child();
                tasks.spawn("accept", self.acceptor.clone().run(listener, tasks.clone()));
                Ok(AcceptRun { bound, tasks })
            }
            Err(error) => {
                let text = format!(
                    "links can't be accepted at {address}: {error}; \
                     free the port or change accept.listen, it is tried again every second"
                );
                self.event(Severity::Error, "BindFailed", "accept".into(), text.clone());
                Err(text)
            }
        }
    }
}
