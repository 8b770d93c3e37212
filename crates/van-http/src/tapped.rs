//! A request that somebody watches, until it is over.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, Request};
use hyper::body::Incoming;
use jiff::Timestamp;
use van_model::api::{RequestRecord, TapLine, shown_field};
use van_model::{Address, SiteId};
use van_net::FlowLog;

use crate::body::Sent;

/// Fields of one message that are told.
const FIELDS: usize = 64;

/// What is told of a request when it is dropped; secrets never get into it.
pub(crate) struct Tapped {
    record: RequestRecord,
    begun: Instant,
    sent: Option<Arc<Sent>>,
    log: Arc<FlowLog>,
}

impl Tapped {
    /// Begins with the request as the client sent it, to the address of its listener.
    pub(crate) fn new(
        request: &Request<Incoming>,
        client: Option<String>,
        address: Address,
        log: Arc<FlowLog>,
        begun: Instant,
    ) -> Self {
        let record = RequestRecord {
            started: Timestamp::now(),
            address,
            client,
            peer: None,
            peer_name: None,
            target: None,
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().map(str::to_owned),
            status: 0,
            latency_ms: 0.0,
            duration_ms: 0.0,
            bytes_sent: 0,
            bytes_received: 0,
            request_headers: fields(request.headers()),
            response_headers: Vec::new(),
        };
        Self { record, begun, sent: None, log }
    }

    /// Notes where it went.
    pub(crate) fn went(
        &mut self,
        address: Option<Address>,
        site: Option<SiteId>,
        target: Option<&str>,
    ) {
        if let Some(address) = address {
            self.record.address = address;
        }
        self.record.peer = site;
        self.record.target = target.filter(|target| !target.is_empty()).map(str::to_owned);
    }

    /// Notes the answer's head, and what knows how much of the request's body was sent.
    pub(crate) fn answered(&mut self, status: u16, headers: &HeaderMap, sent: Option<Arc<Sent>>) {
        self.record.status = status;
        self.record.response_headers = fields(headers);
        self.record.latency_ms = self.begun.elapsed().as_secs_f64() * 1e3;
        self.sent = sent;
    }

    /// Counts bytes of the answer.
    pub(crate) fn received(&mut self, bytes: usize) {
        self.record.bytes_received += bytes as u64;
    }
}

impl Drop for Tapped {
    fn drop(&mut self) {
        self.record.duration_ms = self.begun.elapsed().as_secs_f64() * 1e3;
        self.record.bytes_sent = self.sent.as_ref().map_or(0, |sent| sent.bytes());
        let address = self.record.address.clone();
        self.log.tap().tell(&address, &TapLine::Request(Box::new(self.record.clone())));
    }
}

fn fields(headers: &HeaderMap) -> Vec<(String, String)> {
    let shown = headers.iter().take(FIELDS);
    shown
        .map(|(name, value)| (name.to_string(), shown_field(name.as_str(), value.as_bytes())))
        .collect()
}
