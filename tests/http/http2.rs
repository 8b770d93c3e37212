//! HTTP/2 by prior knowledge: clients of any listener, and targets of those that say so.
#![allow(clippy::disallowed_methods, reason = "a test has no daemon whose tasks these were")]

use std::convert::Infallible;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::channel::Channel;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::timeout;
use van_testkit::{DEADLINE, Ran, Sites, Vand, wait_until};

use crate::target::Target;
use crate::{listen, offer};

/// A workload that speaks HTTP/2; its answers' trailers say what a body's sum was.
struct Target2 {
    port: u16,
    requests: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    _runtime: Runtime,
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Sends each piece back as it comes, then a trailer as gRPC does.
async fn echo(request: Request<Incoming>) -> Result<Response<Channel<Bytes>>, Infallible> {
    assert_eq!(request.version(), Version::HTTP_2);
    let (mut sender, body) = Channel::new(4);
    let mut response = Response::new(body);
    for name in ["te", "x-forwarded-for", "connection", "host"] {
        if let Some(value) = request.headers().get(name) {
            response.headers_mut().insert(
                hyper::header::HeaderName::try_from(format!("saw-{name}")).unwrap(),
                value.clone(),
            );
        }
    }
    let authority = request.uri().authority().unwrap().to_string();
    response.headers_mut().insert("saw-authority", authority.parse().unwrap());
    tokio::spawn(async move {
        let (mut body, mut sum) = (request.into_body(), 0);
        while let Some(Ok(frame)) = body.frame().await {
            if let Ok(data) = frame.into_data() {
                sum += data.len();
                if sender.send_data(data).await.is_err() {
                    return;
                }
            }
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        trailers.insert("sum", sum.into());
        // A client that reset its stream hears nothing.
        let _gone = sender.send_trailers(trailers).await;
    });
    Ok(response)
}

impl Target2 {
    fn start() -> Self {
        let (runtime, requests, connections) =
            (runtime(), Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, joined) = (requests.clone(), connections.clone());
        runtime.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (asked, joined) = (asked.clone(), joined.clone());
                tokio::spawn(async move {
                    if stream.peek(&mut [0]).await.unwrap_or(0) == 0 {
                        return;
                    }
                    joined.fetch_add(1, Ordering::SeqCst);
                    let service = service_fn(|request| {
                        asked.fetch_add(1, Ordering::SeqCst);
                        echo(request)
                    });
                    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    // How it ends is the other side's to say.
                    let _end = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { port, requests, connections, _runtime: runtime }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

type Sender = SendRequest<http_body_util::combinators::BoxBody<Bytes, hyper::Error>>;

/// A client's connection, and whether it has ended.
async fn connect(port: u16) -> (Sender, tokio::task::JoinHandle<Result<(), hyper::Error>>) {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let io = TokioIo::new(stream);
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    (sender, tokio::spawn(connection))
}

fn post(
    path: &str,
    body: impl hyper::body::Body<Data = Bytes, Error = Infallible> + Send + Sync + 'static,
) -> Request<http_body_util::combinators::BoxBody<Bytes, hyper::Error>> {
    Request::post(format!("http://shop.example{path}"))
        .header("te", "trailers")
        .header("content-type", "application/grpc")
        .body(body.map_err(|never| match never {}).boxed())
        .unwrap()
}

fn offer2(at: &Vand, name: &str, port: u16) {
    let line = format!("connector create {name} 127.0.0.1:{port} --address web --protocol http2");
    at.ctl(&line).ok();
}

#[test]
fn each_stream_is_balanced_and_its_trailers_arrive() {
    let sites = Sites::start("");
    let (a, b) = (sites.linked("a", ""), sites.linked("b", ""));
    let targets: Vec<_> = (0..4).map(|_| Target2::start()).collect();
    for (n, target) in targets[..3].iter().enumerate() {
        offer2(&a, &format!("a{n}"), target.port);
    }
    offer2(&b, "b", targets[3].port);
    let port = listen(&sites.public, 4, "--protocol http2 --strategy weighted");
    runtime().block_on(async {
        let (mut sender, _connection) = connect(port).await;
        for n in 0..1000 {
            sender.ready().await.unwrap();
            let body = Full::new(Bytes::from(vec![b'x'; n]));
            let response = sender.send_request(post("/s/m", body)).await.unwrap();
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()["saw-authority"], "shop.example");
            assert_eq!(response.headers()["saw-te"], "trailers");
            assert_eq!(response.headers()["saw-x-forwarded-for"], "127.0.0.1");
            assert!(!response.headers().contains_key("saw-host"));
            let whole = response.into_body().collect().await.unwrap();
            assert_eq!(whole.trailers().unwrap()["sum"], n.to_string());
            assert_eq!(whole.to_bytes().len(), n);
        }
    });
    let counts: Vec<_> = targets.iter().map(Target2::requests).collect();
    assert_eq!(counts.iter().sum::<usize>(), 1000);
    assert!(counts.iter().all(|count| (225..=275).contains(count)), "{counts:?}");
    let flows: Vec<_> = targets.iter().map(|t| t.connections.load(Ordering::SeqCst)).collect();
    assert!(flows.iter().all(|count| *count <= 2), "streams share flows: {flows:?}");
    let status = sites.public.get("/v1/services/web").unwrap().1["status"].clone();
    assert_eq!(status["requests"]["answered"]["POST"]["2xx"], 1000, "{status}");
    assert_eq!(status["requests"]["open"], 0, "{status}");
    let verbose = sites.public.ctl("service status web --verbose").ok();
    assert!(verbose.contains("REQUESTS") && verbose.contains("2xx: 1000"), "{verbose}");
}

#[test]
fn streams_go_on_both_ways_and_many_at_once() {
    let sites = Sites::start("");
    let other = sites.linked("other", "");
    let target = Target2::start();
    offer2(&other, "t", target.port);
    let port = listen(&sites.public, 1, "--protocol http2");
    runtime().block_on(async {
        let (mut sender, _connection) = connect(port).await;
        let mut streams = Vec::new();
        for _ in 0..50 {
            let (pieces, body) = Channel::<Bytes, Infallible>::new(1);
            sender.ready().await.unwrap();
            let response = sender.send_request(post("/s/stream", body));
            streams.push((pieces, timeout(DEADLINE, response).await.unwrap().unwrap().into_body()));
        }
        for round in 0..20_u8 {
            for (pieces, answers) in &mut streams {
                pieces.send_data(Bytes::from(vec![round; 100])).await.unwrap();
                let frame = timeout(DEADLINE, answers.frame()).await.unwrap().unwrap().unwrap();
                assert_eq!(frame.into_data().unwrap(), vec![round; 100]);
            }
        }
        for (pieces, mut answers) in streams {
            drop(pieces);
            let frame = timeout(DEADLINE, answers.frame()).await.unwrap().unwrap().unwrap();
            let trailers = frame.into_trailers().unwrap();
            assert_eq!(
                (&trailers["sum"], &trailers["grpc-status"]),
                (&"2000".parse().unwrap(), &"0".parse().unwrap())
            );
        }
    });
    assert_eq!(target.requests(), 50);
}

#[test]
fn without_a_target_grpc_hears_unavailable() {
    let sites = Sites::start("");
    let other = sites.linked("other", "");
    let target = Target2::start();
    offer2(&other, "t", target.port);
    let port = listen(&sites.public, 1, "--protocol http2");
    runtime().block_on(async {
        let (mut sender, _connection) = connect(port).await;
        let mut ask = async || {
            sender.ready().await.unwrap();
            let response = sender.send_request(post("/s/m", Empty::new())).await.unwrap();
            assert_eq!(response.status(), 200);
            response.headers().get("grpc-status").cloned()
        };
        assert_eq!(ask().await, None, "its trailers tell");
        other.ctl("connector delete t").ok();
        let start = std::time::Instant::now();
        while ask().await.is_none_or(|status| status != "14") {
            assert!(start.elapsed() < DEADLINE, "the service was not gone");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
}

#[test]
fn a_listener_that_stops_says_so_and_loses_no_stream() {
    let sites = Sites::start("");
    let other = sites.linked("other", "");
    let target = Target2::start();
    offer2(&other, "t", target.port);
    let port = listen(&sites.public, 1, "--protocol http2");
    runtime().block_on(async {
        let (mut sender, connection) = connect(port).await;
        let (mut pieces, body) = Channel::<Bytes, Infallible>::new(1);
        let mut answers = sender.send_request(post("/s/m", body)).await.unwrap().into_body();
        sites.public.ctl("listener delete web").ok();
        let start = std::time::Instant::now();
        while sender.ready().await.is_ok() && !sender.is_closed() && start.elapsed() < DEADLINE {
            tokio::time::sleep(Duration::from_millis(10)).await;
            if sender.clone().send_request(post("/s/late", Empty::new())).await.is_err() {
                break;
            }
        }
        pieces.send(Frame::data(Bytes::from("late"))).await.unwrap();
        let frame = timeout(DEADLINE, answers.frame()).await.unwrap().unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "late");
        drop(pieces);
        let frame = timeout(DEADLINE, answers.frame()).await.unwrap().unwrap().unwrap();
        assert_eq!(frame.into_trailers().unwrap()["sum"], "4");
        drop(answers);
        timeout(DEADLINE, connection).await.unwrap().unwrap().unwrap();
    });
}

#[test]
fn clients_of_either_version_are_served_by_targets_of_the_other() {
    let sites = Sites::start("");
    let (other, old) = (sites.linked("other", ""), Target::echo());
    offer(&other, "t", old.port, "");
    let port = listen(&sites.public, 1, "");
    let curl = |options: &str| {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--max-time", "30"]);
        command.args(options.split_whitespace());
        command.arg(format!("http://127.0.0.1:{port}/curl"));
        Ran::of(command, b"").ok()
    };
    let said = curl("--http2-prior-knowledge -H Cookie:a=b -H Cookie:c=d --data hello");
    assert!(said.starts_with("POST /curl HTTP/1.1\r\n"), "{said}");
    let said = said.to_lowercase();
    assert!(said.contains(&format!("host: 127.0.0.1:{port}\r\n")), "{said}");
    assert!(said.contains("cookie: a=b; c=d\r\n") && said.ends_with("hello"), "{said}");
    assert!(curl("--http1.1").contains("GET /curl"));
    assert!(curl("--http1.0").contains("GET /curl"));
    assert!(curl("--http2").contains("GET /curl"), "an offer of h2c is passed over");

    let sites = Sites::start("");
    let (other, new) = (sites.linked("other", ""), Target2::start());
    offer2(&other, "t", new.port);
    let port = listen(&sites.public, 1, "--protocol http2");
    let mut client = crate::Client::connect(port);
    let said = client.ask("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!((said.status, said.body.as_str()), (200, "hello"));
    assert_eq!(said.field("saw-authority").as_deref(), Some("web"));
    wait_until(DEADLINE, "the target was asked", || new.requests() == 1);
}

#[test]
fn resets_in_quick_succession_end_the_connection() {
    let sites = Sites::start("");
    let other = sites.linked("other", "");
    let target = Target2::start();
    offer2(&other, "t", target.port);
    let port = listen(&sites.public, 1, "--protocol http2");
    let (mut client, mut said) = (crate::Client::connect(port), Vec::new());
    said.extend_from_slice(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    let frame = |said: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        said.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes()[1..]);
        said.extend_from_slice(&[kind, flags]);
        said.extend_from_slice(&stream.to_be_bytes());
        said.extend_from_slice(payload);
    };
    frame(&mut said, 4, 0, 0, b"");
    for n in 0..50_000 {
        // GET http / of authority "a", then a reset with CANCEL.
        frame(&mut said, 1, 5, 2 * n + 1, b"\x82\x86\x84\x41\x01a");
        frame(&mut said, 3, 0, 2 * n + 1, &[0, 0, 0, 8]);
    }
    client.say(&said);
    // Whatever it says, it ends, and others are served.
    let _end = client.rest();
    assert!(target.requests() < 10_000, "{} reached the target", target.requests());
    let said = crate::Client::connect(port).get("/");
    assert_eq!(said.status, 200);
}
