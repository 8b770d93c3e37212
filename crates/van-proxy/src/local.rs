//! A flow whose client and workload are both at this site.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tracing::debug;
use van_mux::ResetCode;
use van_net::{Connected, Counted, Meter, NewFlow, Tasks};

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
    worker.spawn("local flow", async move {
        let open = Open(flow.meter.clone());
        match connecting.await {
            Ok(connected) => carry(flow, connected).await,
            Err(why) => {
                drop(open);
                flow.retry.clone().retry(flow, why);
            }
        }
    });
}

/// Takes the flow off its candidate's open ones, also where its task is cancelled.
struct Open(Arc<Meter>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.sub(1);
    }
}

async fn carry(flow: NewFlow, connected: Connected) {
    let NewFlow { socket, read, ended, meter, counted: _counted, .. } = flow;
    let Connected { socket: workload, mut preface, took, meter: target, .. } = connected;
    meter.connect.record(took);
    target.connect.record(took);
    let mut at_target = Counted::default();
    at_target.add(target.clone());
    let streams = Stream::register(socket).and_then(|s| Ok((s, Stream::register(workload)?)));
    let (client, workload) = match streams {
        Ok(streams) => streams,
        Err(error) => return debug!(%error, "flow's socket failed"),
    };
    preface.extend_from_slice(&read);
    let inward = Pipe::new(preface, ended, [&meter.sent, &target.received]);
    let outward = Pipe::new(Vec::new(), false, [&target.sent, &meter.received]);
    if let Err(error) = copy(&client, &workload, inward, outward).await {
        debug!(%error, "local flow was reset");
        meter.errors.add(1);
        target.errors.add(1);
        client.abort_on_close();
        workload.abort_on_close();
    }
}
