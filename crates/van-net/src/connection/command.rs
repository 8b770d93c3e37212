//! What others ask of a connection, and the flows that it holds.

use std::collections::BTreeMap;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::sync::mpsc;
use tracing::debug;
use van_model::api::FlowEnd;
use van_mux::{Accept, GoAwayReason, Open, OpenError, ResetCode, StreamId};

use super::{Command, Core, EndReason};
use crate::flow::{Connected, Flow, NewFlow};

/// The flows of a connection by stream. A B-tree: a few levels for 100,000 flows, memory in
/// proportion to them, no hash to attack.
#[derive(Debug, Default)]
pub(crate) struct FlowMap(BTreeMap<StreamId, Box<Flow>>);

impl FlowMap {
    pub(crate) fn get_mut(&mut self, stream: StreamId) -> Option<&mut Flow> {
        self.0.get_mut(&stream).map(|flow| &mut **flow)
    }

    pub(crate) fn insert(&mut self, stream: StreamId, flow: Flow) {
        self.0.insert(stream, Box::new(flow));
    }

    pub(crate) fn remove(&mut self, stream: StreamId) -> Option<Flow> {
        self.0.remove(&stream).map(|flow| *flow)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take_all(&mut self) -> Vec<Flow> {
        std::mem::take(&mut self.0).into_values().map(|flow| *flow).collect()
    }
}

/// A workload on its way to its flow; where the flow is gone meanwhile, the workload sees a reset, not an
/// empty request.
struct Reached(Option<Box<Connected>>);

impl Drop for Reached {
    fn drop(&mut self) {
        if let Some(connected) = self.0.take() {
            connected.socket.abort();
        }
    }
}

impl Core {
    pub(super) fn poll_commands(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        commands: &mut mpsc::Receiver<Command>,
    ) {
        while let Poll::Ready(Some(command)) = commands.poll_recv(cx) {
            match command {
                Command::Open(flow) => self.open(now, *flow),
                Command::Connected(stream, Ok(connected)) => {
                    self.connected(now, stream, *connected);
                }
                Command::Connected(stream, Err(code)) => self.reset(stream, code),
                Command::Route(message) => self.session.send_route(&message),
                Command::Ping(answer) => {
                    self.pings.push(answer);
                    self.session.ping(now);
                }
            }
        }
        if let Some((reason, grace)) = self.ready.take_leave() {
            self.session.go_away(reason);
            self.leave_by(now + grace, EndReason::WentAway(reason));
        }
    }

    /// Opens a stream for a client's flow; where that can't be, the flow is tried elsewhere.
    fn open(&mut self, now: Instant, flow: NewFlow) {
        let stream = match self.session.open(now, &flow.open) {
            Ok(stream) => stream,
            Err(error) => {
                debug!(%error, "flow not opened here");
                let why = match error {
                    OpenError::TooMany(_) => ResetCode::Overload,
                    OpenError::NoDatagrams => ResetCode::Unreachable,
                    // Another link to the same site may take it.
                    OpenError::GoingAway | OpenError::NotReady => ResetCode::Gone,
                };
                return flow.send_back(why);
            }
        };
        let meter = flow.meter.clone();
        match Flow::ingress(flow, stream, &self.ready) {
            Ok(flow) => {
                self.insert(stream, flow);
                self.session.wants_send(now, stream);
            }
            Err(error) => {
                debug!(%error, "client's socket failed");
                meter.open.sub(1);
                self.session.reset(stream, ResetCode::Gone);
            }
        }
    }

    /// A workload was reached for a stream that the peer opened.
    fn connected(&mut self, now: Instant, stream: StreamId, connected: Connected) {
        let Some(flow) = self.flows.get_mut(stream) else {
            // The ingress gave up meanwhile; the workload sees a reset, not an empty request.
            connected.socket.abort();
            return;
        };
        let accept = Accept {
            connect_us: u32::try_from(connected.took.as_micros()).unwrap_or(u32::MAX),
            target: connected.target.clone(),
        };
        connected.meter.connect.record(connected.took);
        if let Some(log) = flow.log() {
            log.reached(&connected.target, connected.took);
        }
        if let Err(error) = flow.connected(connected) {
            debug!(%error, "workload's socket failed");
            let datagrams = flow.carries_datagrams();
            return match datagrams {
                true => self.refused(stream),
                false => self.reset(stream, ResetCode::Internal),
            };
        }
        if let Some(meter) = &flow.meter {
            meter.open.add(1);
            meter.total.add(1);
        }
        self.session.accept(stream, &accept);
        self.flush(now, stream);
        self.session.wants_send(now, stream);
    }

    /// Takes a stream that the peer opened and asks for its workload.
    pub(super) fn offered(&mut self, stream: StreamId, open: Open) {
        let Some(registered) = &self.registered else { return };
        let (counted, kind) = (registered.log(&open), open.kind);
        let connect = registered.connect(open);
        // Dropped with the flow: a workload is not connected for an ingress that gave up.
        let scope = self.tasks.child();
        self.insert(stream, Flow::egress(stream, &self.ready, kind, scope.guard(), counted));
        let commands = self.handle.commands.clone();
        scope.spawn("connect", async move {
            let mut reached = connect.await.map(|connected| Reached(Some(Box::new(connected))));
            // A connection that is gone takes no workload any more.
            let Ok(room) = commands.reserve().await else { return };
            let answer = match &mut reached {
                Ok(Reached(connected)) => connected.take().ok_or(ResetCode::Internal),
                Err(code) => Err(*code),
            };
            room.send(Command::Connected(stream, answer));
        });
    }

    fn insert(&mut self, stream: StreamId, flow: Flow) {
        self.handle.load.flows.add(1);
        if let Some(registered) = &self.registered {
            registered.meter().open.add(1);
            registered.meter().total.add(1);
            registered.note_flow();
        }
        self.flows.insert(stream, flow);
    }

    /// Takes a flow out whose stream is over on both sides; dropping it closes its socket.
    pub(super) fn done(&mut self, stream: StreamId) {
        if let Some(flow) = self.flows.remove(stream) {
            self.flow_ended(&flow);
        }
    }

    /// Ends a flow from this side.
    pub(super) fn reset(&mut self, stream: StreamId, code: ResetCode) {
        self.session.reset(stream, code);
        if let Some(flow) = self.flows.remove(stream) {
            self.flow_ended(&flow);
            let found = code != ResetCode::Unreachable && code != ResetCode::Refused;
            flow.ends(if found { FlowEnd::Broken } else { FlowEnd::NoTarget });
            flow.abort();
        }
    }

    /// Nobody listens where a flow's datagrams go: the next one is for another target.
    pub(super) fn refused(&mut self, stream: StreamId) {
        if let Some(flow) = self.flows.get_mut(stream) {
            flow.was_refused();
        }
        self.reset(stream, ResetCode::Refused);
    }

    /// The peer ended a flow: it is tried elsewhere where the code asserts that this is safe.
    pub(super) fn was_reset(&mut self, stream: StreamId, code: ResetCode) {
        let Some(flow) = self.flows.remove(stream) else { return };
        self.flow_ended(&flow);
        if flow.is_unaccepted() && (code.may_try_elsewhere() || flow.carries_datagrams()) {
            // A flow that crossed a GOAWAY may take another link to the same site.
            let crossed = code == ResetCode::Unreachable && self.session.is_going_away();
            let code = if crossed { ResetCode::Gone } else { code };
            flow.back_or_abort(true, code, FlowEnd::Reset);
        } else {
            flow.ends(FlowEnd::Reset);
            flow.abort();
        }
    }

    pub(super) fn take_flows(&mut self) -> Vec<Flow> {
        let flows = self.flows.take_all();
        flows.iter().for_each(|flow| self.flow_ended(flow));
        flows
    }

    /// The peer asked to end: the open flows go on for as long as it lets them.
    pub(super) fn peer_goes_away(&mut self, now: Instant, reason: GoAwayReason) {
        /// A peer that says GOAWAY closes by itself; this is for one that does not.
        const PATIENCE: std::time::Duration = std::time::Duration::from_secs(3600);
        if let Some(registered) = &self.registered {
            registered.going_away(reason);
        }
        self.leave_by(now + PATIENCE, EndReason::PeerWentAway(reason));
    }

    /// Ends the connection at the latest at `deadline`; of several the soonest counts.
    fn leave_by(&mut self, deadline: Instant, reason: EndReason) {
        if self.leaving.as_ref().is_none_or(|(earlier, _)| deadline < *earlier) {
            self.leaving = Some((deadline, reason));
        }
    }
}
