//! Circuits that come over a link: to this site, or onwards to the next.
//!
//! A circuit onwards is two streams joined by a [`Pipe`]: each session moves its bytes as it moves
//! any flow's, so that credit is given back as the next hop takes them. Nothing here looks at one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tracing::debug;
use van_model::Mode;
use van_mux::{HOP_LIMIT, Open, ResetCode};

use crate::establish::{Greeting, Handshake};
use crate::flow::{Connected, NewFlow, Retry};
use crate::link::Link;
use crate::links::{Links, Place};
use crate::pipe::Pipe;
use crate::remote::carrier;
use crate::socket::Socket;
use crate::transport::Transport;

/// Tries the other next hops of a circuit that one refused.
#[derive(Debug)]
struct NextHop {
    /// Links of equal cost that have not been tried.
    left: parking_lot::Mutex<Vec<Arc<Link>>>,
}

impl Retry for NextHop {
    fn retry(&self, flow: NewFlow, why: ResetCode) {
        let Some(link) = self.left.lock().pop() else {
            debug!(%why, "circuit finds no next hop");
            return flow.socket.abort();
        };
        flow.meter.open.add(1);
        if let Err(flow) = link.open(Box::new(flow), None) {
            flow.send_back(ResetCode::Unreachable);
        }
    }
}

impl Links {
    /// Takes a circuit that came over `from` to a connection of `worker`.
    pub(crate) fn take_circuit(
        self: &Arc<Self>,
        mut open: Open,
        from: &Arc<Link>,
        worker: usize,
    ) -> Result<Connected, ResetCode> {
        let to = open.destination().ok_or(ResetCode::Protocol)?;
        if from.is_circuit() {
            // A circuit within a circuit would hide from the sites between who talks to whom.
            return Err(ResetCode::Policy);
        }
        let (near, far) = Pipe::pair();
        let local = self.local();
        let mut meter = &self.circuits_meter;
        if to == (local.id, 0) {
            let handshake = self.circuit_handshakes.clone().try_acquire_owned();
            self.accept_circuit(far, worker, handshake.map_err(|_| ResetCode::Overload)?);
        } else {
            meter = &self.transit_meter;
            if local.mode == Mode::Edge {
                return Err(ResetCode::Policy);
            }
            let hops = open.hop_limit.min(HOP_LIMIT);
            open.hop_limit = hops.checked_sub(1).ok_or(ResetCode::Unreachable)?;
            let back = |link: &Arc<Link>| link.peer.id == from.peer.id;
            let mut hops = self.paths.next_hops(to);
            hops.retain(|link| !back(link));
            hops.reverse();
            let next = NextHop { left: parking_lot::Mutex::new(hops) };
            let first = next.left.lock().pop().ok_or(ResetCode::Unreachable)?;
            let flow = carrier(far, open, Arc::new(next), &self.transit_meter);
            if let Err(flow) = first.open(Box::new(flow), None) {
                flow.send_back(ResetCode::Unreachable);
            }
        }
        Ok(Connected {
            socket: Socket::Pipe(near),
            target: String::new(),
            preface: Vec::new(),
            took: Duration::ZERO,
            meter: meter.clone(),
        })
    }

    /// Takes the end-to-end session of a circuit whose destination is this site.
    pub(crate) fn accept_circuit(
        self: &Arc<Self>,
        pipe: Pipe,
        worker: usize,
        shaking: OwnedSemaphorePermit,
    ) {
        let links = self.clone();
        self.workers.get(worker).clone().spawn("incoming circuit", async move {
            let config = links.members_config.clone();
            let accepted = match Greeting::read(Transport::Circuit(pipe)).await {
                Ok(greeting) => Handshake::accept(greeting, config, "van/1").await,
                Err(error) => Err(error),
            };
            let handshake = match accepted {
                Ok(handshake) => handshake,
                Err(error) => return debug!(%error, "incoming circuit's handshake failed"),
            };
            drop(shaking);
            let place = Place::Circuit { replica: None, up: None };
            let outcome = links.run(worker, handshake, None, place).await;
            debug!(?outcome, "incoming circuit ended");
        });
    }
}
