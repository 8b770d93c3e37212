//! The server over a real socket, with a fake site behind it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use van_api::fake::FakeSite;
use van_api::{ApiSocket, Server};
use van_model::api::FlowEnd;

struct Running {
    site: Arc<FakeSite>,
    path: PathBuf,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    _dir: tempfile::TempDir,
}

fn start() -> Running {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vand.sock");
    let socket = ApiSocket::bind(&path, "no-such-group-here").unwrap();
    let site = FakeSite::new();
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(Server::new(socket, site.clone()).run(stop.clone()));
    Running { site, path, stop, tasks, _dir: dir }
}

impl Running {
    /// Sends bytes, ends sending, and returns all that comes back.
    async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(&self.path).await.unwrap();
        // The server may close before it has read everything.
        let _closed = stream.write_all(bytes).await;
        let _closed = stream.shutdown().await;
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer));
        let _reset = read.await.expect("the server answers or closes");
        String::from_utf8(answer).unwrap()
    }

    async fn call(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let text = self
            .raw(
                format!(
                    "{method} {path} HTTP/1.1\r\nhost: vand\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                )
                .as_bytes(),
            )
            .await;
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_str(body).unwrap() };
        (status, body)
    }

    async fn watch(&self, path: &str) -> tokio::io::Lines<BufReader<UnixStream>> {
        let mut stream = UnixStream::connect(&self.path).await.unwrap();
        // HTTP/1.0: the stream comes without chunks and ends with the connection.
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
        let mut lines = BufReader::new(stream).lines();
        while !lines.next_line().await.unwrap().unwrap().is_empty() {}
        lines
    }
}

async fn next(lines: &mut tokio::io::Lines<BufReader<UnixStream>>) -> Option<Value> {
    let line = tokio::time::timeout(Duration::from_secs(10), lines.next_line());
    line.await.expect("a line in time").unwrap().map(|line| serde_json::from_str(&line).unwrap())
}

#[tokio::test]
async fn reads() {
    let running = start();
    let (status, document) = running.call("GET", "/v1/status", "").await;
    assert_eq!((status, &document["name"]), (200, &"laptop".into()));
    let (_, document) = running.call("GET", "/v1/site", "").await;
    assert_eq!(document["later"]["field"], 1);
    for list in ["links", "listeners", "tokens", "peers", "events"] {
        let (status, document) = running.call("GET", &format!("/v1/{list}"), "").await;
        assert_eq!((status, document), (200, serde_json::json!({"items": []})), "{list}");
    }
    let (_, document) = running.call("GET", "/v1/services/from-file", "").await;
    assert_eq!(document["spec"]["protocol"], "tcp");
    let (_, document) = running.call("GET", "/v1/config", "").await;
    assert_eq!(document["items"][0]["key"], "site.name");
}

#[tokio::test]
async fn resources_are_made_replaced_and_removed() {
    let running = start();
    let body = r#"{"name":"x","status":{},"spec":{"target":"127.0.0.1:2000","address":"echo"}}"#;
    let (status, made) = running.call("PUT", "/v1/connectors/echo", body).await;
    assert_eq!((status, &made["source"]), (200, &"api".into()));
    assert_eq!(running.call("GET", "/v1/connectors/echo", "").await.1, made);
    assert_eq!(running.call("PUT", "/v1/connectors/echo", body).await.0, 200);
    assert_eq!(running.call("DELETE", "/v1/connectors/echo", "").await, (204, Value::Null));
    let (status, error) = running.call("DELETE", "/v1/connectors/echo", "").await;
    assert_eq!((status, &error["error"]["code"]), (404, &"not_found".into()));
    let (status, error) = running.call("DELETE", "/v1/connectors/from-file", "").await;
    assert_eq!((status, &error["error"]["code"]), (409, &"conflict".into()));

    let (status, _) = running.call("PUT", "/v1/links/a", r#"{"spec":{"token":"van1.x"}}"#).await;
    assert_eq!(status, 200);
    let fresh = "PUT /v1/links/a HTTP/1.1\r\nhost: v\r\nif-none-match: *\r\ncontent-length: 28\r\n\r\n{\"spec\":{\"token\":\"van1.x\"} }";
    assert!(running.raw(fresh.as_bytes()).await.starts_with("HTTP/1.1 409"));
    let (_, peers) = running.call("GET", "/v1/peers", "").await;
    let id = peers["items"][0]["name"].as_str().unwrap().to_owned();
    for name in [&id, &id[..6], "public"] {
        assert_eq!(running.call("GET", &format!("/v1/peers/{name}"), "").await.0, 200, "{name}");
    }
    assert_eq!(running.call("GET", &format!("/v1/peers/{}", &id[..5]), "").await.0, 404);
    assert_eq!(running.call("DELETE", "/v1/peers/public", "").await.0, 204);
}

#[tokio::test]
async fn posts() {
    let running = start();
    let (status, token) = running.call("POST", "/v1/tokens", r#"{"spec":{"uses":2}}"#).await;
    assert_eq!((status, &token["token"], &token["uses"]), (201, &"van1.token1".into(), &2.into()));
    let (status, _) = running.call("POST", "/v1/tokens", r#"{"name":"token1"}"#).await;
    assert_eq!(status, 409);
    let (status, _) = running.call("PUT", "/v1/tokens/mine", r#"{"spec":{}}"#).await;
    assert_eq!(status, 201);
    let (_, listed) = running.call("GET", "/v1/tokens/token1", "").await;
    assert!(!listed.to_string().contains("van1."));
    assert_eq!(running.call("POST", "/v1/log", r#"{"level":"debug"}"#).await.0, 204);
    assert_eq!(running.site.level(), "debug");
    assert_eq!(running.call("POST", "/v1/log", r#"{"level":"loudest"}"#).await.0, 400);
    let (_, reloaded) = running.call("POST", "/v1/reload", "").await;
    assert_eq!(reloaded["changed"][0], "listener/web");
    assert_eq!(running.call("POST", "/v1/ping", r#"{"site":"public"}"#).await.1["rtt_ms"], 0.312);
    assert_eq!(running.call("POST", "/v1/ping", r#"{"site":"silent"}"#).await.0, 504);
}

#[tokio::test]
async fn the_network_is_told() {
    let running = start();
    let (_, sites) = running.call("GET", "/v1/network", "").await;
    let names: Vec<_> =
        sites["items"].as_array().unwrap().iter().map(|s| s["name"].clone()).collect();
    assert_eq!(names, ["cut-off", "db-host", "laptop", "public"]);
    assert_eq!(sites["items"][1]["links"][0]["peer"]["name"], "public");
    let (_, reply) = running.call("POST", "/v1/ping", r#"{"site":"public"}"#).await;
    assert_eq!(reply["hops"][0]["site"], "public");
    let (_, short) = running.call("POST", "/v1/ping", r#"{"site":"public","hops":false}"#).await;
    assert_eq!(short["hops"], serde_json::json!([]));
    let (status, trace) = running.call("POST", "/v1/trace", r#"{"address":"db"}"#).await;
    assert_eq!((status, &trace["chosen"]["name"]), (200, &"db-host".into()));
    let (status, lines) = running.call("POST", "/v1/check", "").await;
    assert_eq!((status, &lines["items"][1]["outcome"]), (200, &"warning".into()));
}

#[tokio::test]
async fn flows_are_listed_and_watched() {
    let running = start();
    running.site.flow(1, None);
    running.site.flow(2, Some(FlowEnd::LinkLost));
    let (_, flows) = running.call("GET", "/v1/flows", "").await;
    assert_eq!(
        (&flows["items"][0]["end"], &flows["items"][1]["end"]),
        (&Value::Null, &"link_lost".into())
    );
    let count = async |query: &str| {
        let (_, flows) = running.call("GET", &format!("/v1/flows{query}"), "").await;
        flows["items"].as_array().unwrap().len()
    };
    assert_eq!(count("?limit=1").await, 1);
    assert_eq!(count("?address=web").await, 0);
    assert_eq!(count("?address=db&site=public").await, 2);
    let mut lines = running.watch("/v1/flows?watch=1").await;
    for id in [1, 2] {
        assert_eq!(next(&mut lines).await.unwrap()["id"], id);
    }
    running.site.flow(1, Some(FlowEnd::Closed));
    let ended = next(&mut lines).await.unwrap();
    assert_eq!((&ended["id"], &ended["end"]), (&1.into(), &"closed".into()));
}

#[tokio::test]
async fn bad_requests_are_answered_with_an_error_document() {
    let running = start();
    for (method, path, body, status, code) in [
        ("GET", "/v1/nothing", "", 404, "not_found"),
        ("POST", "/v1/metrics", "", 405, "invalid"),
        ("PUT", "/v1/site", r#"{"spec":{"name":"x"}}"#, 400, "invalid"),
        ("GET", "/v1/flows?limit=0", "", 400, "invalid"),
        ("GET", "/v1/flows?site=nowhere", "", 404, "not_found"),
        ("GET", "/v1/flows?site=nowhere&watch=1", "", 404, "not_found"),
        ("GET", "/v1/events?severity=loud", "", 400, "invalid"),
        ("POST", "/v1/network", "", 405, "invalid"),
        ("GET", "/v1/check", "", 405, "invalid"),
        ("POST", "/v1/trace", "{}", 400, "invalid"),
        ("POST", "/v1/trace", r#"{"address":"db","lister":"x"}"#, 400, "invalid"),
        ("POST", "/v1/trace", r#"{"address":"no-such"}"#, 404, "not_found"),
        ("POST", "/v1/trace", r#"{"address":"Not An Address"}"#, 400, "invalid"),
        ("POST", "/v1/ping", r#"{"site":"cut-off"}"#, 503, "unavailable"),
        ("POST", "/v1/status", "", 405, "invalid"),
        ("BREW", "/v1/links/x", "", 405, "invalid"),
        ("GET", "/v1/links/none", "", 404, "not_found"),
        ("GET", "/v1/links?watch=maybe", "", 400, "invalid"),
        ("GET", "/v1/events?after=x", "", 400, "invalid"),
        ("GET", "/v1/links/none?watch=1", "", 404, "not_found"),
        ("PUT", "/v1/links/x", "", 400, "invalid"),
        ("PUT", "/v1/links/x", "{", 400, "invalid"),
        ("PUT", "/v1/links/x", "\u{fffd}\0", 400, "invalid"),
        ("PUT", "/v1/links/x", "[]", 400, "invalid"),
        ("PUT", "/v1/links/x", r#"{"spec":{"token":"t","kost":1}}"#, 400, "invalid"),
        ("PUT", "/v1/links/x", r#"{"spec":{"token":"t","cost":0}}"#, 400, "invalid"),
        ("PUT", "/v1/links/X_y", r#"{"spec":{"token":"t"}}"#, 400, "invalid"),
        ("PUT", "/v1/connectors/x", r#"{"spec":{"target":"nowhere"}}"#, 400, "invalid"),
        ("DELETE", "/v1/links/X_y", "", 404, "not_found"),
        ("POST", "/v1/tokens", r#"{"uses":1}"#, 400, "invalid"),
    ] {
        let (got, answer) = running.call(method, path, body).await;
        assert_eq!((got, answer["error"]["code"].as_str()), (status, Some(code)), "{path} {body}");
        assert!(!answer["error"]["message"].as_str().unwrap().is_empty());
    }
    let (_, debug) = running.call("GET", "/v1/debug", "").await;
    assert_eq!(debug["log"], "a line\n");
    let deep = "[".repeat(100_000);
    assert_eq!(running.call("PUT", "/v1/links/x", &deep).await.0, 400);
    let long = format!(r#"{{"spec":{{"token":"{}"}}}}"#, "x".repeat(1 << 20));
    assert_eq!(running.call("PUT", "/v1/links/x", &long).await.0, 400);
    assert_eq!(running.call("GET", "/v1/status", "").await.0, 200);
}

#[tokio::test]
async fn malformed_http_never_ends_the_server() {
    let running = start();
    for bytes in [
        &b""[..],
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /v1/status HTTP/9.9\r\n\r\n",
        b"GET /v1/status HTTP/1.1\r\nbad header\r\n\r\n",
        b"PUT /v1/links/x HTTP/1.1\r\ncontent-length: -5\r\n\r\n",
        b"PUT /v1/links/x HTTP/1.1\r\ncontent-length: 50\r\n\r\n{",
        b"PUT /v1/links/x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"PUT /v1/links/x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ] {
        let answer = running.raw(bytes).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{bytes:?}: {answer}");
    }
    let many = format!("GET /v1/status HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(5000));
    assert!(running.raw(many.as_bytes()).await.starts_with("HTTP/1.1 431"));
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(200_000));
    let answer = running.raw(long.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert_eq!(running.call("GET", "/v1/status", "").await.0, 200);
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let running = start();
    let twice = "GET /v1/status HTTP/1.1\r\nhost: v\r\n\r\n".repeat(3);
    let answer = running.raw(twice.as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 3, "{answer}");
    assert_eq!(answer.matches("content-type: application/json").count(), 3);
}

#[tokio::test]
async fn watches_send_what_changed() {
    let running = start();
    let mut links = running.watch("/v1/links?watch=1").await;
    assert_eq!(next(&mut links).await.unwrap(), serde_json::json!({"items": []}));
    // A tick that changes nothing is passed over.
    running.site.happen("Nothing", "site/x", "nothing changed");
    running.call("PUT", "/v1/links/a", r#"{"spec":{"token":"van1.x"}}"#).await;
    assert_eq!(next(&mut links).await.unwrap()["items"][0]["name"], "a");

    let mut one = running.watch("/v1/links/a?watch=1").await;
    assert_eq!(next(&mut one).await.unwrap()["status"]["state"], "connected");
    running.call("DELETE", "/v1/links/a", "").await;
    assert_eq!(next(&mut one).await.unwrap()["error"]["code"], "not_found");
    assert_eq!(next(&mut one).await, None);
    assert_eq!(next(&mut links).await.unwrap(), serde_json::json!({"items": []}));
}

#[tokio::test]
async fn events_come_one_a_line_and_the_stop_ends_them() {
    let mut running = start();
    running.site.happen("First", "site/x", "one");
    running.site.happen("Second", "site/x", "two");
    let mut events = running.watch("/v1/events?watch=1&after=1").await;
    assert_eq!(next(&mut events).await.unwrap()["reason"], "Second");
    running.site.happen("Third", "site/x", "three");
    running.site.happen("Fourth", "site/x", "four");
    assert_eq!(next(&mut events).await.unwrap()["sequence"], 3);
    assert_eq!(next(&mut events).await.unwrap()["sequence"], 4);
    running.stop.cancel();
    assert_eq!(next(&mut events).await, None);
    running.tasks.join_next().await.unwrap().unwrap();
    assert!(!running.path.exists());
}

#[tokio::test]
async fn who_came_before_the_stop_is_answered() {
    const ASK: &[u8] = b"GET /v1/status HTTP/1.1\r\nhost: v\r\n\r\n";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vand.sock");
    let socket = ApiSocket::bind(&path, "no-such-group-here").unwrap();
    let stop = CancellationToken::new();
    // Nobody accepts yet; the second asks only when the server is at its end already.
    let mut early = UnixStream::connect(&path).await.unwrap();
    early.write_all(ASK).await.unwrap();
    let mut slow = UnixStream::connect(&path).await.unwrap();
    stop.cancel();
    let mut tasks = JoinSet::new();
    tasks.spawn(Server::new(socket, FakeSite::new()).run(stop));
    let mut answer = String::new();
    early.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(UnixStream::connect(&path).await.is_err(), "nobody else is let in");
    slow.write_all(ASK).await.unwrap();
    answer.clear();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    tasks.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn connections_are_bounded() {
    let running = start();
    let mut open = Vec::new();
    for _ in 0..256 {
        open.push(UnixStream::connect(&running.path).await.unwrap());
    }
    let answer = running.raw(b"GET /v1/status HTTP/1.1\r\nhost: v\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    drop(open);
    let again = async {
        while !running
            .raw(b"GET /v1/status HTTP/1.1\r\nhost: v\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 200")
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), again).await.expect("room is made again");
}
