//! One request: a target chosen, the request sent, its answer passed on, and another try where that can
//! do no harm.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::UPGRADE;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::debug;
use van_model::{Address, SiteId};
use van_mux::ResetCode;
use van_net::{Counted, Meter, Tasks};
use van_trace::Span;

use crate::answer;
use crate::body::{Inward, Outward, Reply};
use crate::fault::Fault;
use crate::front::{Front, Routing};
use crate::guard::Word;
use crate::message::{self, Caller, Wants};
use crate::pool::{Lease, Turn};
use crate::sender::{NotAnswered, Sender};
use crate::tapped::Tapped;
use crate::upgrade;
use crate::ways::Way;

/// Time for one flow to a target, a session through other sites included.
const OPEN: Duration = Duration::from_secs(15);

/// Time for an answer's head: long polling takes its time.
const ANSWER: Duration = Duration::from_secs(300);

/// How often a request is begun in all, however it failed.
const MOST_TRIES: u32 = 12;

/// How often a site is asked again whose session was lost.
const MOST_GONE: u32 = 4;

/// Asks on behalf of one client's connection.
pub(crate) struct Asker {
    pub(crate) front: Arc<Front>,
    pub(crate) client: Caller,
    pub(crate) word: Arc<Word>,
    pub(crate) counted: Arc<Counted>,
    pub(crate) tasks: Tasks,
    pub(crate) worker: usize,
    /// Shared with each request that lasts.
    pub(crate) open: Arc<()>,
}

/// Counts a request as one that lasts until it is dropped.
pub(crate) struct InFlight {
    meter: Arc<Meter>,
    _open: Arc<()>,
}

impl InFlight {
    fn new(way: &Way, open: &Arc<()>) -> Self {
        way.meter.requests.open.add(1);
        Self { meter: way.meter.clone(), _open: open.clone() }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.meter.requests.open.sub(1);
    }
}

/// A request on its way, with all that another try needs.
struct Errand {
    request: Request<Outward>,
    routing: Arc<Routing>,
    /// The place of its route in the list.
    route: Option<usize>,
    /// When its route gives up.
    deadline: Option<Instant>,
    wants: Wants,
    on_client: Option<OnUpgrade>,
    /// It may be sent again although a target may have seen it.
    harmless: bool,
    resent: bool,
    /// Only a new flow will do: one that waited was lost.
    fresh: bool,
    tried: Vec<u64>,
    tries: u32,
    gone: u32,
    service: Option<Arc<Meter>>,
    went: Went,
    span: Option<Box<Span>>,
}

/// Where a request went last.
#[derive(Default)]
struct Went {
    address: Option<Address>,
    site: Option<SiteId>,
    /// The connector that answered.
    target: Option<Arc<str>>,
}

impl Errand {
    /// Chooses a site that was not tried.
    fn choose(&self) -> Option<Way> {
        self.routing.ways.choose(self.route, &self.tried)
    }

    /// What is left of a time until the route gives up.
    fn patience(&self, most: Duration) -> Duration {
        self.deadline.map_or(most, |at| most.min(at.saturating_duration_since(Instant::now())))
    }

    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|at| at <= Instant::now())
    }
}

impl Asker {
    /// Answers a request: by a target where one can be reached.
    pub(crate) async fn answer(&self, mut request: Request<Incoming>) -> Response<Reply> {
        let start = Instant::now();
        let (version, method) = (request.version(), request.method().clone());
        let path = request.uri().path_and_query().cloned();
        let grpc = answer::is_grpc(request.headers());
        let may_switch = request.headers().contains_key(UPGRADE) && version == Version::HTTP_11;
        let on_client = may_switch.then(|| hyper::upgrade::on(&mut request));
        let routing = self.front.routing();
        let mut tapped = self.tapped(&request, start);
        let mut span = self.span(&request, start);
        let (mut service, mut route, mut went) = (None, None, Went::default());
        let result = match self.errand(request, on_client, &routing, start, &mut span) {
            Ok(mut errand) => {
                errand.span = span;
                let result = self.run(&mut errand, version).await;
                span = errand.span;
                (service, route, went) = (errand.service, errand.route, errand.went);
                result
            }
            Err(fault) => Err(fault),
        };
        let failed = matches!(&result, Err(fault) if fault.status().is_server_error());
        let mut response = result.unwrap_or_else(|fault| {
            debug!(%fault, "request not answered by a target");
            answer::of(fault, grpc, version)
        });
        let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if may_switch {
            self.word.switch(switched);
        }
        let service = service.or_else(|| routing.ways.service(route));
        let (took, status) = (start.elapsed(), response.status().as_u16());
        for meter in service.iter().chain([&self.front.meter]) {
            meter.errors.add(u64::from(failed));
            meter.requests.done(method.as_str(), status, took);
        }
        let target = went.target.as_deref();
        if let Some(log) = self.counted.log() {
            let path = path.as_ref().map_or("/", |path| path.path());
            log.request(method.as_str(), path, status, target);
            if let Some(tapped) = &mut tapped {
                tapped.went(went.address, went.site, target);
            }
        }
        if let Some(tapped) = tapped {
            tell(tapped, &mut response);
        }
        if let Some(span) = span {
            end(span, &mut response);
        }
        response
    }

    /// What is told of a request, where anybody watches.
    fn tapped(&self, request: &Request<Incoming>, start: Instant) -> Option<Box<Tapped>> {
        let flow = self.counted.log()?;
        let log = flow.flow_log();
        if !log.tap().is_open() {
            return None;
        }
        let client = self.client.address.map(|client| client.to_string());
        Some(Box::new(Tapped::new(request, client, flow.address(), log.clone(), start)))
    }

    /// The span of a request, where it is sampled.
    fn span(&self, request: &Request<Incoming>, start: Instant) -> Option<Box<Span>> {
        let span = self.front.tracer.as_ref()?.begin(request, self.client.address, start)?;
        let mut span = Box::new(span);
        if self.client.secure {
            span.is_secure();
        }
        Some(span)
    }

    fn errand(
        &self,
        request: Request<Incoming>,
        on_client: Option<OnUpgrade>,
        routing: &Arc<Routing>,
        start: Instant,
        span: &mut Option<Box<Span>>,
    ) -> Result<Errand, Fault> {
        let (mut parts, body) = request.into_parts();
        let rule = routing.routes.of(&parts);
        let mut body = Outward::new(Some(body));
        let (service, version) = (self.front.service.as_str(), self.front.version.of_http());
        let wants =
            message::to_target(&mut parts, self.client, service, version, !body.is_empty())?;
        parts.extensions.clear();
        match rule {
            Some(rule) => rule.change(&mut parts),
            None if routing.routes.goes_nowhere() => return Err(Fault::NoRoute),
            None => {}
        }
        if let Some(span) = span {
            if let Some(path) = rule.and_then(|rule| rule.shown.clone()) {
                span.takes(path);
            }
            span.mark(&mut parts);
        }
        let deadline = rule.and_then(|rule| rule.timeout).map(|timeout| start + timeout);
        let wanted = wants.permission.then(|| {
            let (wanted, is_wanted) = oneshot::channel();
            body.wait(is_wanted);
            Mutex::new(Some(wanted))
        });
        let harmless = is_harmless(&parts) && body.is_empty() && wants.upgrade.is_none();
        let mut request = Request::from_parts(parts, body);
        if let Some(wanted) = wanted {
            hyper::ext::on_informational(&mut request, move |answer| {
                if answer.status() == StatusCode::CONTINUE
                    && let Some(wanted) = wanted.lock().take()
                {
                    // The request may be over.
                    let _ = wanted.send(());
                }
            });
        }
        Ok(Errand {
            request,
            routing: routing.clone(),
            route: rule.map(|rule| rule.index),
            deadline,
            wants,
            on_client,
            harmless,
            resent: false,
            fresh: false,
            tried: Vec::new(),
            tries: 0,
            gone: 0,
            service: None,
            went: Went::default(),
            span: None,
        })
    }

    async fn run(&self, errand: &mut Errand, version: Version) -> Result<Response<Reply>, Fault> {
        let mut last = Fault::NoTarget;
        loop {
            errand.tries += 1;
            if errand.tries > MOST_TRIES {
                return Err(last);
            }
            let Some(way) = errand.choose() else { return Err(last) };
            errand.service = Some(way.service.clone());
            if let Some(log) = self.counted.log() {
                log.to_address(&way.address);
                log.to_site(way.site);
                if log.flow_log().tap().is_open() {
                    errand.went.address = Some(way.address.clone());
                    errand.went.site = Some(way.site);
                }
            }
            if let Some(span) = &mut errand.span {
                span.goes(way.address.clone(), way.site);
            }
            let in_flight = InFlight::new(&way, &self.open);
            let lease = match self.lease(errand, &way).await {
                Ok(lease) => lease,
                Err(ResetCode::Timeout) if errand.is_late() => return Err(Fault::Late),
                Err(code) => {
                    last = Fault::Unreachable(code);
                    self.not_opened(errand, &way, code);
                    continue;
                }
            };
            last = match self.send(errand, &way, lease, in_flight, version).await {
                Ok(response) => return Ok(response),
                Err((fault, false)) => return Err(fault),
                Err((fault, true)) => fault,
            };
        }
    }

    fn not_opened(&self, errand: &mut Errand, way: &Way, code: ResetCode) {
        debug!(site = %way.site.short(), %code, "no flow for a request");
        errand.gone += u32::from(code == ResetCode::Gone);
        if code != ResetCode::Gone || errand.gone > MOST_GONE {
            errand.routing.ways.failed(way);
            errand.tried.push(way.key);
        }
    }

    async fn lease(&self, errand: &Errand, way: &Way) -> Result<Lease, ResetCode> {
        let opening = match self.front.pool.turn(way, errand.fresh, self.worker) {
            Turn::Flow(lease) => return Ok(lease),
            Turn::Open(opening) => opening,
        };
        let opened = errand.routing.ways.open(way, opening.target.as_deref(), self.worker);
        let opened =
            timeout(errand.patience(OPEN), opened).await.map_err(|_| ResetCode::Timeout)??;
        let sender = Sender::begin(opened.io, self.front.version, &self.tasks).await;
        Ok(opening.opened(sender.map_err(|_| ResetCode::Gone)?, opened.target))
    }

    /// Sends a request over a flow; on failure says why, and whether another try may be made.
    async fn send(
        &self,
        errand: &mut Errand,
        way: &Way,
        mut lease: Lease,
        in_flight: InFlight,
        version: Version,
    ) -> Result<Response<Reply>, (Fault, bool)> {
        let spare = errand.harmless.then(|| copy(&errand.request));
        let request = std::mem::replace(&mut errand.request, Request::new(Outward::new(None)));
        let sent = request.body().sent().clone();
        let target = lease.target().clone();
        let Some(sender) = &mut lease.sender else { return Err((Fault::Lost, false)) };
        if let Some(span) = &mut errand.span {
            span.sends(target);
        }
        let Ok(answer) = timeout(errand.patience(ANSWER), sender.send(request)).await else {
            return Err((Fault::Late, false));
        };
        let NotAnswered { error, unsent } = match answer {
            Ok(response) => {
                errand.went.target = Some(lease.target().clone());
                let of_answer = sent.clone();
                let passed = self.pass(errand, response, lease, in_flight, of_answer, version);
                return passed.map_err(|fault| {
                    sent.end();
                    (fault, false)
                });
            }
            Err(failed) => failed,
        };
        debug!(%error, target = %lease.target(), reused = lease.reused, "no answer");
        if sent.is_cut() {
            return Err((self.cut(), false));
        }
        if error.is_parse() || error.is_parse_too_large() {
            errand.routing.ways.failed(way);
            return Err((Fault::Garbage, false));
        }
        let again = match unsent {
            Some(request) => Some(request),
            None if errand.resent => None,
            None => {
                errand.resent = true;
                spare
            }
        };
        self.lost(errand, way, lease.reused);
        match again {
            Some(request) => {
                errand.request = request;
                Err((Fault::Lost, true))
            }
            None => Err((Fault::Lost, false)),
        }
    }

    /// Decides where the next try goes: after a flow that waited was lost, over a new one; else to
    /// another site, if there is one.
    fn lost(&self, errand: &mut Errand, way: &Way, reused: bool) {
        errand.fresh = true;
        if reused {
            return;
        }
        errand.routing.ways.failed(way);
        errand.tried.push(way.key);
        if errand.choose().is_none() {
            errand.tried.clear();
        }
    }

    fn cut(&self) -> Fault {
        self.word.answered();
        self.word.refusal().map_or(Fault::Cut, Fault::Request)
    }

    fn pass(
        &self,
        errand: &mut Errand,
        mut response: Response<Incoming>,
        lease: Lease,
        in_flight: InFlight,
        sent: Arc<crate::body::Sent>,
        version: Version,
    ) -> Result<Response<Reply>, Fault> {
        let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let on_target = switches.then(|| hyper::upgrade::on(&mut response));
        let (mut parts, body) = response.into_parts();
        message::to_client(&mut parts, version)?;
        let Some(on_target) = on_target else {
            let inward = Inward::new(body, lease, in_flight, sent, self.word.clone());
            return Ok(Response::from_parts(parts, Reply::Target(Box::new(inward))));
        };
        let (Some(on_client), Some(_)) = (errand.on_client.take(), &errand.wants.upgrade) else {
            return Err(Fault::Garbage);
        };
        self.tasks.spawn("http upgrade", async move {
            upgrade::join(on_client, on_target).await;
            drop((lease, in_flight));
        });
        Ok(Response::from_parts(parts, Reply::Text(None)))
    }
}

/// Lets a request be told of once its answer is over.
fn tell(mut tapped: Box<Tapped>, response: &mut Response<Reply>) {
    let (status, headers) = (response.status().as_u16(), response.headers());
    let Reply::Target(inward) = response.body() else {
        return tapped.answered(status, headers, None);
    };
    tapped.answered(status, headers, Some(inward.sent().clone()));
    if let Reply::Target(inward) = response.body_mut() {
        inward.tap(tapped);
    }
}

/// Lets a request's span end once its answer is over.
fn end(mut span: Box<Span>, response: &mut Response<Reply>) {
    span.answered(response.status());
    if let Reply::Target(inward) = response.body_mut() {
        inward.trace(span);
    }
}

/// Whether a request asks for the same however often it is sent (RFC 9110, 9.2.2).
fn is_harmless(parts: &Parts) -> bool {
    let methods =
        [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE, Method::PUT, Method::DELETE];
    methods.contains(&parts.method)
}

fn copy(request: &Request<Outward>) -> Request<Outward> {
    let mut copy = Request::new(Outward::new(None));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    copy
}
