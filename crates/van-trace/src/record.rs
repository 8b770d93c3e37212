//! What is known of a sampled request, and the spans that are made of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{Method, Version};
use van_model::{Address, SiteId};

use crate::wire::{self, FAILED, KeyValue, Status, kind};

/// The parent's place is known (OTLP, `SpanFlags`).
const HAS_REMOTE: u32 = 0x100;

/// The parent is at another process.
const IS_REMOTE: u32 = 0x200;

/// Methods that names of spans may have (RFC 9110, RFC 5789): others are as many as clients like.
const METHODS: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::CONNECT,
    Method::OPTIONS,
    Method::TRACE,
    Method::PATCH,
];

/// The longest text of an attribute that comes from a client, in bytes.
const TEXT: usize = 1024;

/// A request that was sampled.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) trace: [u8; 16],
    pub(crate) parent: Option<[u8; 8]>,
    pub(crate) flags: u8,
    pub(crate) state: Option<String>,
    pub(crate) server: [u8; 8],
    pub(crate) client: [u8; 8],
    pub(crate) begun: SystemTime,
    /// From the beginning to the last attempt.
    pub(crate) sent: Option<Duration>,
    pub(crate) took: Duration,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) scheme: &'static str,
    pub(crate) version: Version,
    pub(crate) host: Option<String>,
    pub(crate) from: Option<SocketAddr>,
    pub(crate) route: Option<Arc<str>>,
    pub(crate) status: Option<u16>,
    /// Why it failed, where the status does not say it.
    pub(crate) failure: Option<&'static str>,
    pub(crate) service: Option<Address>,
    pub(crate) site: Option<SiteId>,
    pub(crate) target: Option<Arc<str>>,
}

impl Record {
    /// The SERVER span, and the CLIENT span where anything was sent to a target.
    pub(crate) fn spans(
        &self,
        sites: &mut dyn FnMut(SiteId) -> String,
    ) -> impl Iterator<Item = wire::Span> + use<> {
        let site = self.site.map(sites);
        let server = self.server_span(site.as_deref());
        let client = self.sent.map(|sent| self.client_span(sent, site.as_deref()));
        std::iter::once(server).chain(client)
    }

    fn server_span(&self, site: Option<&str>) -> wire::Span {
        let mut attributes = self.common(site);
        attributes.push(KeyValue::text("url.path", cut(&self.path)));
        attributes.push(KeyValue::text("url.scheme", self.scheme));
        attributes.push(KeyValue::text("network.protocol.name", "http"));
        attributes.push(KeyValue::text("network.protocol.version", version(self.version)));
        if let Some(from) = self.from {
            attributes.push(KeyValue::text("client.address", from.ip().to_string()));
            attributes.push(KeyValue::number("client.port", from.port()));
        }
        let method = self.method_name().unwrap_or("HTTP");
        let name = match &self.route {
            Some(route) => format!("{method} {route}"),
            None => method.to_owned(),
        };
        if let Some(route) = &self.route {
            attributes.push(KeyValue::text("http.route", &**route));
        }
        let remote = if self.parent.is_some() { IS_REMOTE } else { 0 };
        wire::Span {
            span_id: self.server.into(),
            parent_span_id: self.parent.map(Vec::from).unwrap_or_default(),
            name,
            kind: kind::SERVER,
            start_time_unix_nano: self.moment(Duration::ZERO),
            flags: u32::from(self.flags) | HAS_REMOTE | remote,
            ..self.span(attributes, 500)
        }
    }

    fn client_span(&self, sent: Duration, site: Option<&str>) -> wire::Span {
        wire::Span {
            span_id: self.client.into(),
            parent_span_id: self.server.into(),
            name: self.method_name().unwrap_or("HTTP").to_owned(),
            kind: kind::CLIENT,
            start_time_unix_nano: self.moment(sent),
            flags: u32::from(self.flags) | HAS_REMOTE,
            ..self.span(self.common(site), 400)
        }
    }

    /// What both spans have; statuses from `bad` on are failures of this side.
    fn span(&self, mut attributes: Vec<KeyValue>, bad: u16) -> wire::Span {
        let status = self.status.filter(|status| *status >= bad);
        let kind = match (self.failure, status) {
            (Some(failure), _) => Some(failure.to_owned()),
            (None, Some(status)) => Some(status.to_string()),
            (None, None) => None,
        };
        if let Some(kind) = &kind {
            attributes.push(KeyValue::text("error.type", kind));
        }
        let message = self.failure.unwrap_or_default().replace('_', " ");
        wire::Span {
            trace_id: self.trace.into(),
            trace_state: self.state.clone().unwrap_or_default(),
            end_time_unix_nano: self.moment(self.took),
            attributes,
            status: kind.map(|_| Status { message, code: FAILED }),
            ..wire::Span::default()
        }
    }

    fn common(&self, site: Option<&str>) -> Vec<KeyValue> {
        let mut attributes =
            vec![KeyValue::text("http.request.method", self.method_name().unwrap_or("_OTHER"))];
        if self.method_name().is_none() {
            let method = cut(self.method.as_str());
            attributes.push(KeyValue::text("http.request.method_original", method));
        }
        if let Some(status) = self.status {
            attributes.push(KeyValue::number("http.response.status_code", status));
        }
        if let Some(host) = &self.host {
            let (host, port) = host_and_port(host);
            attributes.push(KeyValue::text("server.address", cut(host)));
            attributes.extend(port.map(|port| KeyValue::number("server.port", port)));
        }
        let van = [
            ("van.service", self.service.as_ref().map(Address::as_str)),
            ("van.site", site),
            ("van.target", self.target.as_deref().filter(|target| !target.is_empty())),
        ];
        let known = van.into_iter().filter_map(|(key, text)| Some(KeyValue::text(key, text?)));
        attributes.extend(known);
        attributes
    }

    fn method_name(&self) -> Option<&str> {
        METHODS.contains(&self.method).then(|| self.method.as_str())
    }

    /// A moment in nanoseconds since 1970.
    fn moment(&self, after: Duration) -> u64 {
        let since = self.begun.duration_since(UNIX_EPOCH).unwrap_or_default() + after;
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

/// A host, and the port behind it if there is one; `[::1]:80` as well.
fn host_and_port(text: &str) -> (&str, Option<u16>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            (host.trim_matches(['[', ']']), port.parse().ok())
        }
        _ => (text.trim_matches(['[', ']']), None),
    }
}

/// At most [`TEXT`] bytes of a text.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT)]
}
