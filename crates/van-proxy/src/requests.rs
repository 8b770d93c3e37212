//! Requests of a listener: each chosen for as a flow is, over flows that are opened for many.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;
use van_http::{Opened, Way, Ways};
use van_mux::{Open, ResetCode};
use van_net::{Connected, Counted, Meter, NewFlow, Pipe, Retry, Socket};

use crate::dispatch::Route;
use crate::local;
use crate::metered::{End, Metered};
use crate::services::{Candidate, Via};
use crate::stream::Stream;

/// A listener's way for requests.
#[derive(Debug)]
pub(crate) struct Requests(pub(crate) Arc<Route>);

/// Hears what becomes of a flow that is opened for requests.
#[derive(Debug)]
struct Opening(Mutex<Option<oneshot::Sender<Reached>>>);

/// The target's name, or why none was reached.
type Reached = Result<Arc<str>, ResetCode>;

impl Opening {
    fn tell(&self, word: Reached) {
        if let Some(told) = self.0.lock().take() {
            // The client may have gone meanwhile.
            let _ = told.send(word);
        }
    }
}

impl Retry for Opening {
    fn retry(&self, flow: NewFlow, why: ResetCode) {
        self.tell(Err(why));
        flow.socket.abort();
    }

    fn accepted(&self, target: &str) {
        self.tell(Ok(target.into()));
    }
}

impl Ways for Requests {
    fn choose(&self, route: Option<usize>, tried: &[u64]) -> Option<Way> {
        self.0.dispatcher.choose_way(self.0.plan_of(route), tried)
    }

    fn open(
        &self,
        way: &Way,
        target: Option<&str>,
        worker: usize,
    ) -> BoxFuture<'static, Result<Opened, ResetCode>> {
        let mut open = Open::flow(way.address.clone(), None);
        open.hint = target.filter(|name| !name.is_empty()).unwrap_or(&way.hint).to_owned();
        let table = self.0.dispatcher.table();
        let service = table.get(&way.address);
        let candidate =
            service.and_then(|service| service.candidates.iter().find(|c| c.site == way.site));
        match candidate {
            None => std::future::ready(Err(ResetCode::Gone)).boxed(),
            Some(candidate) if matches!(candidate.via, Via::Local) => {
                let connecting = self.0.dispatcher.connectors().reach(open);
                at_this_site(connecting, way.clone()).boxed()
            }
            Some(candidate) => self.over_the_network(candidate, open, &way.service, worker).boxed(),
        }
    }

    fn service(&self, route: Option<usize>) -> Option<Arc<Meter>> {
        let table = self.0.dispatcher.table();
        let mut known = self.0.plan_of(route).services(&table).into_iter().flatten();
        known.next().map(|service| service.meter.clone())
    }

    fn failed(&self, way: &Way) {
        self.0.dispatcher.failed(way.site, &way.address);
    }
}

impl Requests {
    fn over_the_network(
        &self,
        candidate: &Candidate,
        open: Open,
        service: &Arc<Meter>,
        worker: usize,
    ) -> impl Future<Output = Result<Opened, ResetCode>> + use<> {
        let (near, far) = Pipe::pair();
        let (told, word) = oneshot::channel();
        let mut counted = Counted::default();
        counted.add(service.clone());
        let flow = NewFlow {
            socket: Socket::Pipe(far),
            open,
            read: Vec::new(),
            ended: false,
            retry: Arc::new(Opening(Mutex::new(Some(told)))),
            meter: candidate.meter.clone(),
            counted,
            tried: Vec::new(),
        };
        let dispatcher = &self.0.dispatcher;
        let handed = dispatcher.hand_over_counted(candidate, Box::new(flow), Some(worker)).is_ok();
        async move {
            if !handed {
                return Err(ResetCode::Gone);
            }
            // Nobody says a word where the connection ended under it.
            let target = word.await.map_err(|_| ResetCode::Gone)??;
            Ok(Opened { io: Box::new(near), target })
        }
    }
}

async fn at_this_site(
    connecting: BoxFuture<'static, Result<Connected, ResetCode>>,
    way: Way,
) -> Result<Opened, ResetCode> {
    let Way { meter: site, service, .. } = way;
    let open = local::Open::new(site.clone());
    let Connected { socket, target: name, preface, took, meter: target } = connecting.await?;
    site.total.add(1);
    site.connect.record(took);
    target.connect.record(took);
    let mut counted = Counted::default();
    counted.add(target.clone());
    counted.add(service);
    let stream = Stream::register(socket).map_err(|_| ResetCode::Overload)?;
    let end = End::Target { site, target, _counted: counted, _open: open };
    let mut io = Metered::new(stream, end);
    io.write_all(&preface).await.map_err(|_| ResetCode::Refused)?;
    Ok(Opened { io: Box::new(io), target: name.into() })
}
