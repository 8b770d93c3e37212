//! One TLS connection between two sites: a task that owns the socket, the session and its flows.
//!
//! The task is polled when the link's socket, a flow's socket, a command or time calls for it. Each
//! poll reads what came and writes it straight to the flows' sockets, then reads from the flows
//! whose turn it is straight into TLS records: no byte changes tasks, and none waits here that the
//! link can't take.

mod command;
mod incoming;
mod outgoing;

use std::collections::BTreeSet;
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::time::Sleep;
use van_model::api::FlowEnd;
use van_mux::{Deframer, GoAwayReason, Hello, ProtocolError, ResetCode, Session, StreamId};

use crate::buffer::Buffer;
use crate::establish::Established;
use crate::flow::{Connected, Flow, NewFlow};
use crate::links::Registered;
use crate::meter::Count;
use crate::signal::ReadyList;
use crate::tasks::Tasks;
use crate::tls::Tls;
use crate::transport::Transport;
use crate::workers::after_sockets;

pub(crate) use command::FlowMap;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum EndReason {
    /// The peer closed it in order.
    #[error("the peer closed the connection")]
    Closed,
    /// The peer asked to end, and no flow was left.
    #[error("the peer ended the link: {0}")]
    PeerWentAway(GoAwayReason),
    /// This side asked to end.
    #[error("ended: {0}")]
    WentAway(GoAwayReason),
    /// The socket failed.
    #[error("the connection broke: {0}")]
    Io(#[from] std::io::Error),
    /// TLS failed.
    #[error("TLS failed: {0}")]
    Tls(#[from] rustls::Error),
    /// The peer broke the protocol or fell silent.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// HELLO did not come in time.
    #[error("the peer did not say HELLO within {} s", HELLO_TIMEOUT.as_secs())]
    NoHello,
    /// The peer is not who it must be.
    #[error("{0}")]
    Refused(String),
}

/// What others ask of a connection.
#[derive(Debug)]
pub(crate) enum Command {
    /// Carry a client's flow.
    Open(Box<NewFlow>),
    /// The workload of a stream answered.
    Connected(StreamId, Result<Box<Connected>, ResetCode>),
    /// Send a link-state message.
    Route(Arc<[u8]>),
    /// Measure a round trip.
    Ping(oneshot::Sender<Duration>),
}

/// Commands that may wait: a burst of new flows between two polls of a busy worker.
const COMMANDS: usize = 4096;

/// Time for the peer's HELLO once TLS is up.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// How often flows that wait for credit are looked at.
const PARKED_LOOK: Duration = Duration::from_secs(1);

/// What others see of a connection.
#[derive(Debug, Default)]
pub(crate) struct Load {
    /// Bytes sealed that the kernel has not taken.
    pub(crate) queued: Count,
    /// Flows open.
    pub(crate) flows: Count,
}

/// The way to a connection's task.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) load: Arc<Load>,
    pub(crate) ready: Arc<ReadyList>,
}

/// One connection and everything on it.
pub(crate) struct Connection {
    link: Wire,
    core: Core,
    commands: mpsc::Receiver<Command>,
    timer: Pin<Box<Sleep>>,
    started: Instant,
    /// When parked flows were last looked at.
    looked: Instant,
}

/// What the connection's bytes go over, and TLS.
struct Wire {
    transport: Transport,
    tls: Tls,
    input: Buffer,
    output: Buffer,
    deframer: Deframer,
    /// Plain bytes that came with the handshake.
    early: Vec<u8>,
    closed: bool,
    /// Bytes sealed before a write, as the link takes them.
    batch: usize,
}

/// The session, its flows and what they need.
pub(crate) struct Core {
    session: Session,
    flows: FlowMap,
    ready: Arc<ReadyList>,
    handle: Handle,
    tasks: Tasks,
    register: Option<Register>,
    registered: Option<Registered>,
    pings: Vec<oneshot::Sender<Duration>>,
    /// Flows that wait for credit: nobody reads their sockets, so that nobody hears these fail.
    parked: BTreeSet<StreamId>,
    /// When and why the connection ends even if flows are left.
    leaving: Option<(Instant, EndReason)>,
}

/// Asks the links' table whether this peer may stay; called once, with the peer's HELLO.
pub(crate) type Register =
    Box<dyn FnOnce(&Hello, &Handle) -> Result<Registered, GoAwayReason> + Send>;

impl Connection {
    /// Puts a connection together whose TLS handshake is done; `socket` belongs to the worker that
    /// runs the future.
    pub(crate) fn new(
        established: Established,
        session: Session,
        register: Register,
        tasks: Tasks,
    ) -> std::io::Result<Self> {
        let (sender, commands) = mpsc::channel(COMMANDS);
        let ready: Arc<ReadyList> = Arc::default();
        let now = Instant::now();
        let Established { transport, tls, input, output, early } = established;
        Ok(Self {
            link: Wire {
                transport: transport.attach()?,
                tls,
                input,
                output,
                deframer: Deframer::default(),
                early,
                closed: false,
                batch: *outgoing::BATCH.start(),
            },
            core: Core {
                session,
                flows: FlowMap::default(),
                handle: Handle { commands: sender, load: Arc::default(), ready: ready.clone() },
                ready,
                tasks,
                register: Some(register),
                registered: None,
                pings: Vec::new(),
                parked: BTreeSet::new(),
                leaving: None,
            },
            commands,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            started: now,
            looked: now,
        })
    }

    /// Runs until the connection ends; flows that can be tried elsewhere are.
    pub(crate) async fn run(mut self) -> EndReason {
        // The task yields by itself; tokio's own budget would end readiness calls early.
        let reason = tokio::task::unconstrained(poll_fn(|cx| self.poll(cx))).await;
        self.end(&reason);
        reason
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<EndReason> {
        self.core.ready.register(cx.waker());
        match self.round(cx) {
            Ok(true) => {
                // A small message waits for one round at most.
                after_sockets(cx);
                Poll::Pending
            }
            Ok(false) => self.rest(cx),
            Err(reason) => Poll::Ready(reason),
        }
    }

    /// One look at everything. Returns whether there may be more to do now.
    fn round(&mut self, cx: &mut Context<'_>) -> Result<bool, EndReason> {
        let now = Instant::now();
        self.core.poll_commands(cx, now, &mut self.commands);
        self.core.poll_flows(now);
        let more_input = self.core.poll_input(cx, now, &mut self.link)?;
        // After the input, so that a late look blames nobody; before the output, which a PING needs.
        self.core.session.handle_timeout(Instant::now())?;
        if !self.core.parked.is_empty() && now >= self.looked + PARKED_LOOK {
            self.looked = now;
            self.core.look_at_parked();
        }
        let more_output = self.core.poll_output(cx, now, &mut self.link)?;
        self.check_end(now)?;
        Ok(more_input || more_output || self.core.has_ready())
    }

    fn check_end(&mut self, now: Instant) -> Result<(), EndReason> {
        let idle = self.core.flows.is_empty() && self.link.output.is_empty();
        if let Some((deadline, _)) = &self.core.leaving
            && (now >= *deadline || (idle && !self.core.session.has_output()))
        {
            return Err(self.core.leaving.take().map_or(EndReason::Closed, |(_, reason)| reason));
        }
        if self.link.closed {
            return Err(EndReason::Closed);
        }
        if self.core.registered.is_none() && now - self.started >= HELLO_TIMEOUT {
            return Err(EndReason::NoHello);
        }
        Ok(())
    }

    /// Nothing to do now: sets the timer and gives back what nobody needs.
    fn rest(&mut self, cx: &mut Context<'_>) -> Poll<EndReason> {
        let mut due = self.core.session.next_timeout();
        if let Some((deadline, _)) = &self.core.leaving {
            due = due.min(*deadline);
        }
        if !self.core.parked.is_empty() {
            due = due.min(self.looked + PARKED_LOOK);
        }
        if self.core.registered.is_none() {
            due = due.min(self.started + HELLO_TIMEOUT);
        }
        self.timer.as_mut().reset(due.into());
        if self.timer.as_mut().poll(cx).is_ready() {
            // A quiet second: an idle connection keeps no buffers.
            self.link.input.release();
            self.link.output.release();
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Ends all flows: those that no workload saw go back to be tried elsewhere.
    fn end(mut self, reason: &EndReason) {
        tracing::debug!(%reason, "connection ended");
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Open(flow) => flow.send_back(ResetCode::Gone),
                // The workload sees a reset, not an empty request.
                Command::Connected(_, Ok(connected)) => connected.socket.abort(),
                _ => {}
            }
        }
        if !matches!(reason, EndReason::Io(_)) {
            self.link.tls.close(&mut self.link.input, &mut self.link.output);
            // Best effort: the peer also sees the end of the connection itself.
            let _ = self.link.output.write_to(&self.link.transport);
        }
        if matches!(reason, EndReason::Closed | EndReason::WentAway(_) | EndReason::PeerWentAway(_))
        {
            self.link.transport.end_in_order();
        }
        // Counted as ended on this link; tried again only once the link no longer takes flows.
        let flows = self.core.take_flows();
        if let Some(registered) = self.core.registered.take() {
            registered.ended(reason);
        }
        let end = match reason {
            EndReason::WentAway(_) | EndReason::PeerWentAway(_) => FlowEnd::Stopped,
            _ => FlowEnd::LinkLost,
        };
        for flow in flows {
            flow.back_or_abort(false, ResetCode::Gone, end);
        }
    }
}

impl Core {
    fn flow_ended(&self, flow: &Flow) {
        self.handle.load.flows.sub(1);
        if let Some(meter) = &flow.meter {
            meter.open.sub(1);
        }
        if let Some(registered) = &self.registered {
            registered.meter().open.sub(1);
        }
    }
}
