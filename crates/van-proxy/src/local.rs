//! A flow whose client and workload are both at this site.

use std::io;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tracing::debug;
use van_model::api::FlowEnd;
use van_mux::ResetCode;
use van_net::{Connected, Counted, Meter, NewFlow, Socket, Tasks};

use crate::exchange::exchange;
use crate::pipe::{Pipe, copy};
use crate::stream::Stream;

/// Carries a flow on `worker` once its workload is reached; where it is not, the flow goes back.
///
/// Nothing is read from the client before the workload is reached, so going back repeats nothing.
pub(crate) fn spawn(
    worker: &Tasks,
    connecting: BoxFuture<'static, Result<Connected, ResetCode>>,
    flow: NewFlow,
) {
    let open = Open(flow.meter.clone());
    let waiting = Waiting(Some(flow));
    worker.spawn("local flow", async move {
        let result = connecting.await;
        let Some(flow) = waiting.over() else { return };
        match result {
            Ok(connected) if matches!(flow.socket, Socket::Datagrams(_)) => {
                exchange(flow, connected, open).await;
            }
            Ok(connected) => carry(flow, connected).await,
            Err(why) => {
                drop(open);
                flow.retry.clone().retry(flow, why);
            }
        }
    });
}

/// A flow whose workload is not reached yet; its client sees a reset where the task is cancelled.
struct Waiting(Option<NewFlow>);

impl Waiting {
    fn over(mut self) -> Option<NewFlow> {
        self.0.take()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(flow) = self.0.take() {
            flow.socket.abort();
        }
    }
}

/// The two sockets of a flow, which see a reset unless both directions ended in order: also where
/// the task is cancelled.
struct Ends {
    client: Stream,
    workload: Stream,
    in_order: bool,
}

impl Ends {
    fn register(client: Socket, workload: Socket) -> io::Result<Self> {
        let (client, workload) = (Stream::register(client)?, Stream::register(workload)?);
        Ok(Self { client, workload, in_order: false })
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        if !self.in_order {
            self.client.abort_on_close();
            self.workload.abort_on_close();
        }
    }
}

/// Takes the flow off its candidate's open ones, also where its task is cancelled.
pub(crate) struct Open(Arc<Meter>);

impl Open {
    /// Counts one more.
    pub(crate) fn new(meter: Arc<Meter>) -> Self {
        meter.open.add(1);
        Self(meter)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.sub(1);
    }
}

async fn carry(flow: NewFlow, connected: Connected) {
    let NewFlow { socket, read, ended, meter, counted, .. } = flow;
    let Connected { socket: workload, mut preface, took, meter: target, target: name } = connected;
    meter.connect.record(took);
    target.connect.record(took);
    let mut at_target = Counted::default();
    at_target.add(target.clone());
    let mut ends = match Ends::register(socket, workload) {
        Ok(ends) => ends,
        Err(error) => return debug!(%error, "flow's socket failed"),
    };
    preface.extend_from_slice(&read);
    let (mut there, mut back) =
        (vec![&meter.sent, &target.received], vec![&target.sent, &meter.received]);
    if let Some(log) = counted.log() {
        let (sent, received) = log.counts();
        log.reached(&name, took);
        there.push(sent);
        back.push(received);
    }
    let inward = Pipe::new(preface, ended, there);
    let outward = Pipe::new(Vec::new(), false, back);
    match copy(&ends.client, &ends.workload, inward, outward).await {
        Ok(()) => ends.in_order = true,
        Err(error) => {
            debug!(%error, "local flow was reset");
            counted.ends(FlowEnd::Broken);
            meter.errors.add(1);
            target.errors.add(1);
        }
    }
}
