//! Where a collector is, and one request to it.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::uri::{PathAndQuery, Scheme};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use prost::Message;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::wire;

/// The port where none is named.
const PORT: u16 = 4318;

/// What OTLP adds to the base.
const PATH: &str = "/v1/traces";

/// Time for a batch to be taken.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of an answer.
const ANSWER: usize = 64 * 1024;

/// The longest wait that a collector may ask for.
const LATER: Duration = Duration::from_secs(60);

/// A collector.
#[derive(Debug, Clone)]
pub struct Endpoint {
    host: String,
    port: u16,
    authority: HeaderValue,
    path: PathAndQuery,
}

/// What became of a batch.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Spans that the collector did not want.
    pub(crate) rejected: u64,
    pub(crate) why: String,
}

/// Why a batch was not taken.
#[derive(Debug, Error)]
#[error("{why}")]
pub(crate) struct NotTaken {
    why: String,
    /// Whether it may be sent again.
    pub(crate) again: bool,
    /// How long the collector wants to be left alone.
    pub(crate) after: Option<Duration>,
}

impl Endpoint {
    /// Reads `http://HOST[:PORT][/PATH]`; `None`: it is none.
    pub fn new(base: &str) -> Option<Self> {
        let uri: Uri = base.parse().ok()?;
        let authority = uri.authority()?;
        let is_plain = uri.scheme() == Some(&Scheme::HTTP) && uri.query().is_none();
        // Besides the host there is a port, or nothing.
        let is_place = authority.port_u16().is_some() || authority.as_str() == authority.host();
        if !is_plain || !is_place || authority.as_str().contains('@') || authority.host().is_empty()
        {
            return None;
        }
        let path = format!("{}{PATH}", uri.path().trim_end_matches('/'));
        Some(Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(PORT),
            authority: HeaderValue::from_str(authority.as_str()).ok()?,
            path: path.parse().ok()?,
        })
    }

    /// Sends a batch over a connection of its own.
    pub(crate) async fn send(&self, batch: Bytes) -> Result<Taken, NotTaken> {
        let whole = async {
            let (status, after, body) = self.exchange(batch).await?;
            if status.is_success() {
                return Ok(taken(&body));
            }
            let again = matches!(status.as_u16(), 429 | 502..=504);
            let why = format!("the collector answered {status}");
            Err(NotTaken { why, again, after: after.filter(|_| again) })
        };
        let late = || NotTaken::again("the collector did not answer within 10 s".into());
        timeout(PATIENCE, whole).await.unwrap_or_else(|_| Err(late()))
    }

    async fn exchange(
        &self,
        batch: Bytes,
    ) -> Result<(StatusCode, Option<Duration>, Bytes), NotTaken> {
        let failed = |error: &dyn std::error::Error| NotTaken::again(error.to_string());
        let place = (self.host.as_str(), self.port);
        let stream = TcpStream::connect(place).await.map_err(|e| failed(&e))?;
        let begun = http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await;
        let (mut sender, connection) = begun.map_err(|e| failed(&e))?;
        let request = self.request(batch);
        let answer = async {
            let response = sender.send_request(request).await.map_err(|e| failed(&e))?;
            let (parts, body) = response.into_parts();
            let seconds =
                parts.headers.get(RETRY_AFTER).and_then(|n| n.to_str().ok()?.parse().ok());
            let after = seconds.map(|n| Duration::from_secs(n).min(LATER));
            let body = Limited::new(body, ANSWER).collect().await;
            // What was taken was taken, whatever the answer's body is.
            let body = body.map(|body| body.to_bytes()).unwrap_or_default();
            Ok((parts.status, after, body))
        };
        let mut connection = std::pin::pin!(connection);
        let mut answer = std::pin::pin!(answer);
        tokio::select! {
            answer = &mut answer => answer,
            // The answer's future knows how it ended.
            _ = &mut connection => answer.await,
        }
    }

    fn request(&self, batch: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::post(self.path.as_str()).body(Full::new(batch));
        if let Ok(request) = &mut request {
            let headers = request.headers_mut();
            headers.insert(HOST, self.authority.clone());
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
            headers.insert(USER_AGENT, HeaderValue::from_static("vand"));
        }
        request.expect("the path was checked")
    }
}

impl NotTaken {
    fn again(why: String) -> Self {
        Self { why, again: true, after: None }
    }
}

fn taken(body: &Bytes) -> Taken {
    // Some say nothing, or JSON; then all was taken.
    let partial = wire::Response::decode(body.clone()).ok().and_then(|said| said.partial_success);
    let partial = partial.unwrap_or_default();
    Taken {
        rejected: u64::try_from(partial.rejected_spans).unwrap_or_default(),
        why: partial.error_message.chars().take(200).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        let read = |text: &str| {
            let endpoint = Endpoint::new(text)?;
            Some((endpoint.host, endpoint.port, endpoint.path.to_string()))
        };
        let place = |host: &str, port, path: &str| Some((host.into(), port, path.into()));
        assert_eq!(read("http://127.0.0.1:4318"), place("127.0.0.1", 4318, "/v1/traces"));
        assert_eq!(read("http://[::1]:1/"), place("::1", 1, "/v1/traces"));
        assert_eq!(read("http://otel.example/a/b/"), place("otel.example", 4318, "/a/b/v1/traces"));
        for bad in
            ["", "x", "https://a", "http://", "http://u@a", "http://a/?b", "/v1", "http://a:x"]
        {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }
}
