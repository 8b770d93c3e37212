//! A sampled request while it lasts.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, Request, StatusCode};
use van_model::{Address, SiteId};

use crate::context::{self, Parent, TRACEPARENT, TRACESTATE};
use crate::record::Record;
use crate::tracer::Tracer;

/// Told to the collector when it is dropped.
pub struct Span {
    tracer: Arc<Tracer>,
    record: Option<Box<Record>>,
    start: Instant,
}

impl Span {
    pub(crate) fn new<B>(
        tracer: Arc<Tracer>,
        request: &Request<B>,
        (trace, parent, flags): ([u8; 16], Option<Parent>, u8),
        (from, start): (Option<SocketAddr>, Instant),
    ) -> Self {
        let uri = request.uri();
        let field = || request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let host = uri.authority().map(|authority| authority.as_str()).or_else(field);
        let record = Box::new(Record {
            trace,
            parent: parent.map(|parent| parent.span),
            flags,
            // Without a parent it belongs to no trace.
            state: parent.and_then(|_| context::state(request.headers())),
            server: rand::random(),
            client: rand::random(),
            begun: std::time::SystemTime::now() - start.elapsed(),
            sent: None,
            took: start.elapsed(),
            method: request.method().clone(),
            path: uri.path().to_owned(),
            scheme: "http",
            version: request.version(),
            host: host.map(str::to_owned),
            from,
            route: None,
            status: None,
            failure: None,
            service: None,
            site: None,
            target: None,
        });
        Self { tracer, record: Some(record), start }
    }

    /// Notes that the client's connection is encrypted.
    pub fn is_secure(&mut self) {
        self.note(|record| record.scheme = "https");
    }

    /// Notes the path of the route that the request takes.
    pub fn takes(&mut self, route: Arc<str>) {
        self.note(|record| record.route = Some(route));
    }

    /// Lets a message name the CLIENT span as the one that it was made by.
    pub fn mark(&self, message: &mut Parts) {
        let Some(record) = &self.record else { return };
        let this = Parent { trace: record.trace, span: record.client, flags: record.flags };
        mark(&mut message.headers, this, record.parent.is_some());
    }

    /// Notes where the request is about to go.
    pub fn goes(&mut self, service: Address, site: SiteId) {
        self.note(|record| {
            (record.service, record.site) = (Some(service), Some(site));
        });
    }

    /// Begins the attempt to be answered by this target.
    pub fn sends(&mut self, target: Arc<str>) {
        let sent = self.start.elapsed();
        self.note(|record| (record.sent, record.target) = (Some(sent), Some(target)));
    }

    /// Notes the status that the client gets; until then it counts as one that went away.
    pub fn answered(&mut self, status: StatusCode) {
        self.note(|record| record.status = Some(status.as_u16()));
    }

    /// Notes that the answer's body was cut short.
    pub fn cut(&mut self) {
        self.note(|record| record.failure = Some("answer_cut_short"));
    }

    fn note(&mut self, change: impl FnOnce(&mut Record)) {
        if let Some(record) = &mut self.record {
            change(record);
        }
    }
}

fn mark(headers: &mut HeaderMap, this: Parent, goes_on: bool) {
    headers.insert(TRACEPARENT, this.field());
    if !goes_on {
        headers.remove(TRACESTATE);
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let Some(mut record) = self.record.take() else { return };
        record.took = self.start.elapsed();
        if record.status.is_none() {
            record.failure = Some("client_gone");
        }
        self.tracer.tell(*record);
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Span").field("record", &self.record).finish_non_exhaustive()
    }
}
