//! Asks the daemon: HTTP/1.1 and JSON over a [`Transport`].

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, IF_NONE_MATCH};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::task::JoinSet;
use van_model::api::ErrorBody;

use crate::error::{Exit, Outcome, Problem};
use crate::transport::{Carrier, Transport};
use crate::url::Url;

/// The largest document that is read: ten thousands of resources.
const DOCUMENT_MAX: usize = 64 << 20;

/// The daemon's API.
pub(crate) struct Client {
    url: Url,
    /// How long one answer may take; `None` is without end.
    timeout: Option<Duration>,
    open: Option<Open>,
}

struct Open {
    sender: SendRequest<Full<Bytes>>,
    carrier: Option<Carrier>,
    /// Drives the connection for as long as it is kept.
    _driver: JoinSet<()>,
}

/// A change to ask for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Make or replace.
    Replace,
    /// Make; refused where it exists.
    Fresh,
}

impl Client {
    pub(crate) fn new(url: Url, timeout: Duration) -> Self {
        Self { url, timeout: (!timeout.is_zero()).then_some(timeout), open: None }
    }

    /// Where the daemon is.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Reads a document.
    pub(crate) async fn get(&mut self, path: &str) -> Outcome<Value> {
        self.call(Method::GET, path, None, Mode::Replace).await
    }

    /// Reads a document into what this version knows of it.
    pub(crate) async fn read<T: DeserializeOwned>(&mut self, path: &str) -> Outcome<T> {
        understood(self.get(path).await?)
    }

    /// Makes or replaces a resource.
    pub(crate) async fn put<S: Serialize>(
        &mut self,
        path: &str,
        spec: &S,
        mode: Mode,
    ) -> Outcome<Value> {
        self.call(Method::PUT, path, Some(serde_json::json!({ "spec": spec })), mode).await
    }

    /// Asks for something to be done.
    pub(crate) async fn post<B: Serialize>(&mut self, path: &str, body: &B) -> Outcome<Value> {
        self.call(Method::POST, path, Some(serde_json::json!(body)), Mode::Replace).await
    }

    /// Reads what is no document.
    pub(crate) async fn text(&mut self, path: &str) -> Outcome<String> {
        let limit = self.timeout;
        let called = async {
            let answer = self.send(Method::GET, path, None, Mode::Replace).await?;
            let status = answer.status();
            let bytes = self.body(answer).await?;
            if status.is_success() {
                return Ok(String::from_utf8_lossy(&bytes).into_owned());
            }
            Err(failure(status, &bytes))
        };
        within(limit, called).await
    }

    /// Removes a resource.
    pub(crate) async fn delete(&mut self, path: &str) -> Outcome {
        self.call(Method::DELETE, path, None, Mode::Replace).await.map(drop)
    }

    /// Hands each line of a stream to `take`, until it fails or the daemon ends.
    pub(crate) async fn follow(
        &mut self,
        path: &str,
        mut take: impl FnMut(Value) -> Outcome,
    ) -> Outcome {
        self.follow_while(path, |document| take(document).map(|()| true)).await
    }

    /// The same as long as `take` wants more.
    pub(crate) async fn follow_while(
        &mut self,
        path: &str,
        mut take: impl FnMut(Value) -> Outcome<bool>,
    ) -> Outcome {
        let limit = self.timeout;
        let answer = within(limit, self.send(Method::GET, path, None, Mode::Replace)).await?;
        if answer.status() != StatusCode::OK {
            return Err(failure(answer.status(), &self.body(answer).await?));
        }
        let mut body = answer.into_body();
        let mut waiting = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(Ok(data)) = frame.map(hyper::body::Frame::into_data) else { break };
            waiting.extend_from_slice(&data);
            while let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = waiting.drain(..=end).collect();
                if !take(json(&line)?)? {
                    return Ok(());
                }
            }
            if waiting.len() > DOCUMENT_MAX {
                return Err(Problem::failed("the daemon's answer is too long"));
            }
        }
        Err(Problem::new(Exit::Unreachable, "the daemon ended the stream")
            .hint("is vand running? systemctl status vand"))
    }

    async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Value>,
        mode: Mode,
    ) -> Outcome<Value> {
        let limit = self.timeout;
        let called = async {
            let answer = self.send(method, path, body, mode).await?;
            let status = answer.status();
            let bytes = self.body(answer).await?;
            match status {
                StatusCode::NO_CONTENT => Ok(Value::Null),
                status if status.is_success() => json(&bytes),
                status => Err(failure(status, &bytes)),
            }
        };
        within(limit, called).await
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Value>,
        mode: Mode,
    ) -> Outcome<Response<Incoming>> {
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        match self.send_once(&method, path, &bytes, mode).await? {
            Ok(answer) => Ok(answer),
            // A daemon that was just ending: who only reads may ask the next one.
            Err(error) if method == Method::GET && is_closed(&error) && !self.is_carried() => {
                self.open = None;
                match self.send_once(&method, path, &bytes, mode).await? {
                    Ok(answer) => Ok(answer),
                    Err(error) => Err(self.broken(&error).await),
                }
            }
            Err(error) => Err(self.broken(&error).await),
        }
    }

    /// Whether a program carries the connection, which has its own last words.
    fn is_carried(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.carrier.is_some())
    }

    async fn send_once(
        &mut self,
        method: &Method,
        path: &str,
        body: &Bytes,
        mode: Mode,
    ) -> Outcome<Result<Response<Incoming>, hyper::Error>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "vand")
            .header(CONTENT_TYPE, "application/json");
        if mode == Mode::Fresh {
            request = request.header(IF_NONE_MATCH, "*");
        }
        let request = request
            .body(Full::new(body.clone()))
            .map_err(|error| Problem::usage(format!("this can't be asked: {error}")))?;
        // An idle connection is closed by the daemon, for instance between two pings.
        if self.open.as_ref().is_some_and(|open| open.sender.is_closed()) {
            self.open = None;
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(connect(&self.url).await?),
        };
        let sent = async {
            open.sender.ready().await?;
            open.sender.send_request(request).await
        };
        Ok(sent.await)
    }

    async fn body(&mut self, answer: Response<Incoming>) -> Outcome<Bytes> {
        let whole = Limited::new(answer.into_body(), DOCUMENT_MAX).collect().await;
        whole
            .map(http_body_util::Collected::to_bytes)
            .map_err(|_| Problem::new(Exit::Unreachable, "the daemon's answer ended early"))
    }

    /// Why there was no answer.
    async fn broken(&mut self, error: &hyper::Error) -> Problem {
        let open = self.open.take();
        if let Some(carrier) = open.and_then(|open| open.carrier) {
            return carrier.last_words().await;
        }
        let why =
            if error.is_parse() { "it doesn't speak HTTP" } else { "it closed the connection" };
        Problem::new(Exit::Unreachable, format!("no answer from the daemon at {}: {why}", self.url))
            .hint("is vand running? systemctl status vand")
    }
}

async fn connect(url: &Url) -> Outcome<Open> {
    let Transport { stream, carrier } = Transport::open(url).await?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|_| Problem::new(Exit::Unreachable, format!("{url} closed the connection")))?;
    let mut driver = JoinSet::new();
    driver.spawn(async move {
        // How the connection ended is told by the request that was under way.
        let _ended = connection.await;
    });
    Ok(Open { sender, carrier, _driver: driver })
}

/// Whether a connection ended before a byte of the answer.
fn is_closed(error: &hyper::Error) -> bool {
    let cause =
        std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    error.is_incomplete_message()
        || error.is_canceled()
        || error.is_closed()
        || cause.is_some_and(|cause| {
            matches!(cause.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
        })
}

async fn within<T>(limit: Option<Duration>, work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let Some(limit) = limit else { return work.await };
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        let limit = humantime::format_duration(limit);
        Err(Problem::new(Exit::TimedOut, format!("no answer from the daemon within {limit}"))
            .hint("--timeout DURATION waits longer"))
    })
}

fn json(bytes: &[u8]) -> Outcome<Value> {
    serde_json::from_slice(bytes).map_err(|_| Problem::failed("the daemon's answer is not JSON"))
}

/// Reads a document into what this version knows of it; fields it doesn't know are passed over.
pub(crate) fn understood<T: DeserializeOwned>(document: Value) -> Outcome<T> {
    serde_json::from_value(document).map_err(|_| {
        Problem::failed("the daemon's answer has another form than this version expects")
            .hint("compare: vanctl version; -o json prints the answer as it is")
    })
}

/// A failure as the daemon tells it, or its bare status.
fn failure(status: StatusCode, body: &[u8]) -> Problem {
    if let Ok(ErrorBody { error }) = serde_json::from_slice(body) {
        return error.into();
    }
    let exit = match status.as_u16() {
        403 => Exit::NotAllowed,
        404 => Exit::NotFound,
        504 => Exit::TimedOut,
        _ => Exit::Failed,
    };
    // A code that this version doesn't know comes with a message all the same.
    let told: Option<Value> = serde_json::from_slice(body).ok();
    let text = |key| told.as_ref()?.pointer(key)?.as_str().map(str::to_owned);
    let why = text("/error/message")
        .unwrap_or_else(|| format!("the daemon answered with status {}", status.as_u16()));
    Problem { exit, why, hint: text("/error/hint") }
}

/// The path of a resource; characters that have a meaning in paths are escaped.
pub(crate) fn path(kind: &str, name: &str) -> String {
    format!("/v1/{kind}/{}", escaped(name))
}

/// A path with the parts of a query that are given.
pub(crate) fn query(path: &str, parts: &[(&str, Option<&str>)]) -> String {
    let given = parts.iter().filter_map(|(key, value)| Some((key, (*value)?)));
    let parts: Vec<_> = given.map(|(key, value)| format!("{key}={}", escaped(value))).collect();
    if parts.is_empty() { path.to_owned() } else { format!("{path}?{}", parts.join("&")) }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_keep_names_together() {
        assert_eq!(path("services", "db-0.db:5432"), "/v1/services/db-0.db:5432");
        assert_eq!(path("links", "a/b ?ä"), "/v1/links/a%2Fb%20%3F%C3%A4");
        assert_eq!(query("/v1/flows", &[("site", None)]), "/v1/flows");
        let parts = [("site", Some("a&b")), ("limit", None), ("watch", Some("1"))];
        assert_eq!(query("/v1/flows", &parts), "/v1/flows?site=a%26b&watch=1");
    }

    #[test]
    fn failures_of_other_versions_are_told_too() {
        let known = br#"{"error":{"code":"not_found","message":"no link"}}"#;
        assert_eq!(failure(StatusCode::NOT_FOUND, known), Problem::new(Exit::NotFound, "no link"));
        let newer = br#"{"error":{"code":"too_early","message":"wait","hint":"a bit"}}"#;
        let problem = failure(StatusCode::TOO_EARLY, newer);
        assert_eq!(problem, Problem::failed("wait").hint("a bit"));
        assert_eq!(failure(StatusCode::FORBIDDEN, b"<html>").exit, Exit::NotAllowed);
        assert!(failure(StatusCode::BAD_GATEWAY, b"").why.contains("status 502"));
    }
}
