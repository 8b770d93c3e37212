//! Spans of requests, as a collector gets them.

#![allow(clippy::disallowed_methods, reason = "the collector's tasks end with its runtime")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::net::TcpListener;
use van_testkit::{DEADLINE, Sites, Vand, free_port, wait_until};
use van_trace::wire::{self, KeyValue, Span, Value};

use crate::Client;
use crate::target::Target;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A collector that keeps what it gets.
#[derive(Clone)]
struct Collector {
    port: u16,
    got: Arc<Mutex<Vec<wire::ResourceSpans>>>,
    /// What it answers.
    status: Arc<AtomicU16>,
    asked: Arc<AtomicUsize>,
}

impl Collector {
    fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let status = Arc::new(AtomicU16::new(200));
        let this = Self { port, got: Arc::default(), status, asked: Arc::default() };
        let collector = this.clone();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(collector.serve(listener));
        });
        this
    }

    async fn serve(self, listener: std::net::TcpListener) {
        let listener = TcpListener::from_std(listener).unwrap();
        loop {
            let (stream, _): (_, SocketAddr) = listener.accept().await.unwrap();
            let collector = self.clone();
            tokio::spawn(async move {
                let service = service_fn(|request| collector.take(request));
                let server = hyper::server::conn::http1::Builder::new();
                server.serve_connection(TokioIo::new(stream), service).await
            });
        }
    }

    async fn take(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/v1/traces"));
        assert_eq!(request.headers()["content-type"], "application/x-protobuf");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let batch = wire::Request::decode(body).unwrap();
        let status = self.status.load(Ordering::SeqCst);
        if status == 200 {
            self.got.lock().unwrap().extend(batch.resource_spans);
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = Response::builder().status(status).body(Full::default());
        Ok(answer.unwrap())
    }

    fn spans(&self) -> Vec<Span> {
        let got = self.got.lock().unwrap();
        let scopes = got.iter().flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    /// The spans of requests for a path, the SERVER one first, once they are there.
    #[track_caller]
    fn of(&self, path: &str) -> Vec<Span> {
        let mut found = Vec::new();
        wait_until(DEADLINE, "the spans came", || {
            let spans = self.spans();
            let server = spans.iter().find(|span| text(span, "url.path") == Some(path.into()));
            let Some(server) = server else { return false };
            let children = spans.iter().filter(|span| span.parent_span_id == server.span_id);
            found = std::iter::once(server).chain(children).cloned().collect();
            true
        });
        found
    }
}

fn value(attributes: &[KeyValue], key: &str) -> Option<Value> {
    attributes.iter().find(|attribute| attribute.key == key)?.value.clone()?.value
}

fn text(span: &Span, key: &str) -> Option<String> {
    match value(&span.attributes, key)? {
        Value::Text(text) => Some(text),
        Value::Number(_) => None,
    }
}

fn number(span: &Span, key: &str) -> Option<i64> {
    match value(&span.attributes, key)? {
        Value::Number(number) => Some(number),
        Value::Text(_) => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A service at one site and a listener at another that tells spans.
struct Traced {
    _sites: Sites,
    web: Vand,
    port: u16,
}

impl Traced {
    #[track_caller]
    fn start(collector: u16, sample: &str) -> Self {
        let sites = Sites::start("");
        let target = Target::echo();
        let line = format!("connector create api 127.0.0.1:{} --protocol http", target.port);
        sites.public.ctl(&line).ok();
        let port = free_port();
        let sections = format!(
            "[tracing]\notlp = \"http://127.0.0.1:{collector}\"\n{sample}\n[[listener]]\nname = \"web\"\n\
             address = \"api\"\nbind = \"127.0.0.1:{port}\"\nprotocol = \"http\"\n\
             routes = [{{ path = \"/v1\", to = \"api\" }}, {{ path = \"/none\", to = \"nobody\" }}]\n"
        );
        let web = sites.linked("web", &sections);
        wait_until(DEADLINE, "the listener accepted", || {
            let listener = web.get("/v1/listeners/web");
            listener.is_some_and(|(_, listener)| {
                listener["status"]["accepting"] == true && listener["status"]["targets"] == 1
            })
        });
        Self { _sites: sites, web, port }
    }

    fn ask(&self, path: &str, fields: &str) -> crate::client::Answer {
        let text = format!("GET {path} HTTP/1.1\r\nHost: shop.example:81\r\n{fields}\r\n");
        Client::connect(self.port).ask(text)
    }

    /// Spans by what became of them.
    fn count(&self, result: &str) -> u32 {
        let metrics = crate::seen::scrape(&self.web);
        let line = format!("van_spans_total{{result=\"{result}\"}} ");
        let line = metrics.lines().find_map(|found| found.strip_prefix(&line)).unwrap();
        line.parse::<f64>().unwrap() as u32
    }
}

#[test]
fn a_request_has_a_server_and_a_client_span() {
    let collector = Collector::start();
    let traced = Traced::start(collector.port, "sample = 0");
    let parent =
        format!("traceparent: 00-{TRACE}-{PARENT}-01\r\ntracestate: a=1,b=2\r\nX-Key: hidden\r\n");
    let said = traced.ask("/v1/orders?token=hidden", &parent);
    assert_eq!(said.status, 200);
    let spans = collector.of("/v1/orders");
    let [server, client] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!((server.kind, client.kind), (wire::kind::SERVER, wire::kind::CLIENT));
    assert_eq!((server.name.as_str(), client.name.as_str()), ("GET /v1", "GET"));
    for span in [server, client] {
        assert_eq!((hex(&span.trace_id), span.trace_state.as_str()), (TRACE.into(), "a=1,b=2"));
        assert_eq!(text(span, "http.request.method").as_deref(), Some("GET"));
        assert_eq!(number(span, "http.response.status_code"), Some(200));
        assert_eq!(text(span, "server.address").as_deref(), Some("shop.example"));
        assert_eq!(number(span, "server.port"), Some(81));
        assert_eq!(text(span, "van.service").as_deref(), Some("api"));
        assert_eq!(text(span, "van.site").as_deref(), Some("public"));
        assert_eq!(text(span, "van.target").as_deref(), Some("api"));
        assert_eq!(span.status, None);
        assert!(span.start_time_unix_nano < span.end_time_unix_nano);
    }
    assert_eq!((hex(&server.parent_span_id), server.flags), (PARENT.into(), 0x301));
    assert_eq!(client.flags, 0x101);
    assert!(server.start_time_unix_nano <= client.start_time_unix_nano);
    assert_eq!(text(server, "client.address").as_deref(), Some("127.0.0.1"));
    assert_eq!(text(server, "http.route").as_deref(), Some("/v1"));
    assert_eq!(text(server, "url.scheme").as_deref(), Some("http"));
    // The target goes on from the CLIENT span.
    let names = format!("traceparent: 00-{TRACE}-{}-01\r\n", hex(&client.span_id));
    assert!(said.body.contains(&names), "{}", said.body);
    assert!(said.body.contains("tracestate: a=1,b=2\r\n"), "{}", said.body);
    assert!(!format!("{spans:?}").contains("hidden"), "{spans:?}");
    let resource = collector.got.lock().unwrap()[0].resource.clone().unwrap().attributes;
    assert_eq!(value(&resource, "service.name"), Some(Value::Text("vand".into())));
    assert_eq!(value(&resource, "van.ingress"), Some(Value::Text("web".into())));
    wait_until(DEADLINE, "they were counted", || traced.count("exported") == 2);
}

#[test]
fn what_no_target_answers_has_one_span_that_failed() {
    let collector = Collector::start();
    let traced = Traced::start(collector.port, "");
    assert_eq!(traced.ask("/none/x", "").status, 503);
    let spans = collector.of("/none/x");
    let [server] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!((server.name.as_str(), server.flags), ("GET /none", 0x101));
    assert_eq!(number(server, "http.response.status_code"), Some(503));
    assert_eq!(text(server, "error.type").as_deref(), Some("503"));
    assert_eq!(server.status.as_ref().unwrap().code, wire::FAILED);
    assert!(server.parent_span_id.is_empty());
}

#[test]
fn what_is_not_sampled_passes_as_it_is() {
    let collector = Collector::start();
    let traced = Traced::start(collector.port, "sample = 0.0");
    let parent = format!("traceparent: 00-{TRACE}-{PARENT}-00\r\n");
    assert!(traced.ask("/v1/a", &parent).body.contains(&parent));
    assert!(!traced.ask("/v1/b", "").body.contains("traceparent"));
    let sampled = format!("traceparent: 00-{TRACE}-{PARENT}-01\r\n");
    traced.ask("/v1/last", &sampled);
    collector.of("/v1/last");
    assert_eq!(collector.spans().len(), 2, "{:?}", collector.spans());
}

#[test]
fn the_state_of_a_trace_that_none_is_is_left_out() {
    let collector = Collector::start();
    let traced = Traced::start(collector.port, "sample = 1");
    let said = traced.ask("/v1/a", "traceparent: nonsense\r\ntracestate: a=1\r\n");
    let [server, client] = &collector.of("/v1/a")[..] else { panic!("two spans") };
    assert!(server.parent_span_id.is_empty() && server.trace_state.is_empty());
    let names =
        format!("traceparent: 00-{}-{}-01\r\n", hex(&client.trace_id), hex(&client.span_id));
    assert!(said.body.contains(&names) && !said.body.contains("tracestate"), "{}", said.body);
}

#[test]
fn a_collector_that_has_no_time_gets_the_spans_later() {
    let collector = Collector::start();
    let traced = Traced::start(collector.port, "");
    collector.status.store(503, Ordering::SeqCst);
    assert_eq!(traced.ask("/v1/a", "").status, 200);
    wait_until(DEADLINE, "the collector refused", || collector.asked.load(Ordering::SeqCst) > 0);
    assert_eq!(traced.count("exported"), 0);
    collector.status.store(200, Ordering::SeqCst);
    collector.of("/v1/a");
    wait_until(DEADLINE, "they were counted", || traced.count("exported") == 2);
    // What the collector can't read is not sent again.
    collector.status.store(400, Ordering::SeqCst);
    traced.ask("/v1/b", "");
    wait_until(DEADLINE, "they were counted", || traced.count("failed") == 2);
}

#[test]
fn a_site_that_stops_tells_what_it_has() {
    let collector = Collector::start();
    let mut traced = Traced::start(collector.port, "");
    traced.ask("/v1/a", "");
    assert!(traced.web.terminate(DEADLINE).success());
    let spans = collector.spans();
    assert_eq!(spans.len(), 2, "{spans:?}");
}

#[test]
fn without_a_collector_requests_are_answered_and_spans_are_dropped() {
    // Nobody listens there, and there somebody who never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for port in [free_port(), silent.local_addr().unwrap().port()] {
        let traced = Traced::start(port, "");
        let mut client = Client::connect(traced.port);
        // More than the queue and a batch under way hold.
        for n in 0..2600 {
            assert_eq!(client.get("/v1").status, 200, "request {n}");
        }
        wait_until(DEADLINE, "some were dropped", || traced.count("dropped") > 0);
        assert_eq!(traced.count("exported"), 0);
        // At least the queue was kept.
        assert!(traced.count("dropped") <= 2 * (2601 - 2048));
        assert_eq!(client.get("/v1/after").status, 200);
    }
}
