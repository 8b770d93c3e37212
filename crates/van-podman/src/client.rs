//! podman's REST API over its Unix socket, as far as a site asks.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::snapshot::Engine;
use crate::wire::{Event, Info, Inspected, Listed};

/// Time for one answer: on a busy host podman takes seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// The most bytes of one answer.
const MAX_ANSWER: usize = 8 << 20;

/// The most bytes of one event.
const MAX_EVENT: usize = 64 << 10;

/// The most bytes of podman's word on what is wrong that are shown.
const MAX_WORD: usize = 200;

/// The version of the API that is asked for; later podmans answer it as well.
const API: &str = "/v4.0.0/libpod";

/// Why podman can't be asked; a sentence with what to do.
#[derive(Debug, thiserror::Error)]
pub enum PodmanError {
    /// There is no socket.
    #[error("{0} is not there: 'systemctl enable --now podman.socket' makes it")]
    NoSocket(PathBuf),
    /// This process has no right to it.
    #[error("vand may not open {0}: man vand.toml, [podman], says how the right is given")]
    Forbidden(PathBuf),
    /// The connection failed or broke.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
    /// It speaks no HTTP, or broke off.
    #[error("podman broke off: {0}")]
    Http(#[from] hyper::Error),
    /// It took too long.
    #[error("podman did not answer within {} s", PATIENCE.as_secs())]
    Timeout,
    /// It answered with an error.
    #[error("podman answered {status}: {word}")]
    Status {
        /// The HTTP status.
        status: StatusCode,
        /// What it said.
        word: String,
    },
    /// Its answer is longer than is read.
    #[error("podman's answer is longer than {} MiB", MAX_ANSWER >> 20)]
    TooLong,
    /// Its answer is no JSON of the expected form.
    #[error("podman's answer can't be read: {0}")]
    Form(#[from] serde_json::Error),
    /// It ended the events.
    #[error("podman ended the connection")]
    Ended,
}

impl PodmanError {
    /// Whether it answered that there is no such thing.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { status: StatusCode::NOT_FOUND, .. })
    }
}

/// One podman.
#[derive(Debug)]
pub(crate) struct Client {
    socket: PathBuf,
}

impl Client {
    pub(crate) fn new(socket: &Path) -> Self {
        Self { socket: socket.into() }
    }

    /// Whose podman it is.
    pub(crate) async fn engine(&self) -> Result<Engine, PodmanError> {
        self.get::<Info>("/info").await.map(Engine::from)
    }

    /// All containers, running or not.
    pub(crate) async fn list(&self) -> Result<Vec<Listed>, PodmanError> {
        self.get("/containers/json?all=true").await
    }

    /// One container.
    pub(crate) async fn inspect(&self, id: &str) -> Result<Inspected, PodmanError> {
        self.get(&format!("/containers/{id}/json")).await
    }

    /// What happens from now on.
    pub(crate) async fn events(&self) -> Result<Events, PodmanError> {
        // {"type":["container","pod"]}
        const FILTER: &str = "%7B%22type%22%3A%5B%22container%22%2C%22pod%22%5D%7D";
        let answer = self.ask(&format!("/events?stream=true&filters={FILTER}")).await?;
        let Answer { response, connection } = good(answer).await?;
        Ok(Events { body: response.into_body(), read: BytesMut::new(), _connection: connection })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, PodmanError> {
        let answer = good(self.ask(path).await?).await?;
        let body = timeout(PATIENCE, whole(answer)).await.map_err(|_| PodmanError::Timeout)??;
        Ok(serde_json::from_slice(&body)?)
    }

    async fn ask(&self, path: &str) -> Result<Answer, PodmanError> {
        let asked = timeout(PATIENCE, self.send(path)).await;
        asked.map_err(|_| PodmanError::Timeout)?
    }

    async fn send(&self, path: &str) -> Result<Answer, PodmanError> {
        let connected = UnixStream::connect(&self.socket).await;
        let stream = connected.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => PodmanError::NoSocket(self.socket.clone()),
            io::ErrorKind::PermissionDenied => PodmanError::Forbidden(self.socket.clone()),
            _ => PodmanError::Io(self.socket.clone(), error),
        })?;
        let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        let mut connection = JoinSet::new();
        connection.spawn(driver);
        let request = Request::get(format!("{API}{path}"))
            .header(hyper::header::HOST, "podman")
            .body(Empty::<Bytes>::new())
            .expect("the path is made of fixed words and hexadecimal digits");
        let response = sender.send_request(request).await?;
        Ok(Answer { response, connection })
    }
}

/// An answer, and the task that reads it, which ends with it.
struct Answer {
    response: Response<Incoming>,
    connection: JoinSet<Result<(), hyper::Error>>,
}

async fn whole(answer: Answer) -> Result<Bytes, PodmanError> {
    let Answer { response, connection: _connection } = answer;
    let collected = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    collected.map(http_body_util::Collected::to_bytes).map_err(|error| {
        match error.downcast::<hyper::Error>() {
            Ok(error) => PodmanError::Http(*error),
            Err(_) => PodmanError::TooLong,
        }
    })
}

async fn good(answer: Answer) -> Result<Answer, PodmanError> {
    let status = answer.response.status();
    if status.is_success() {
        return Ok(answer);
    }
    let body = timeout(PATIENCE, whole(answer)).await.map_err(|_| PodmanError::Timeout)??;
    let message = serde_json::from_slice::<serde_json::Value>(&body)
        .ok()
        .and_then(|value| Some(value.get("message")?.as_str()?.to_owned()));
    let word = message.unwrap_or_else(|| String::from_utf8_lossy(&body).into_owned());
    Err(PodmanError::Status { status, word: word.chars().take(MAX_WORD).collect() })
}

/// Events as they come, one JSON text a line.
#[derive(Debug)]
pub(crate) struct Events {
    body: Incoming,
    read: BytesMut,
    _connection: JoinSet<Result<(), hyper::Error>>,
}

impl Events {
    /// The next event; never returns `Ok` after an error.
    pub(crate) async fn next(&mut self) -> Result<Event, PodmanError> {
        loop {
            if let Some(end) = self.read.iter().position(|b| *b == b'\n') {
                let line = self.read.split_to(end);
                self.read.advance(1);
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return Ok(serde_json::from_slice(&line)?);
            }
            if self.read.len() > MAX_EVENT {
                return Err(PodmanError::TooLong);
            }
            let frame = self.body.frame().await.ok_or(PodmanError::Ended)??;
            if let Ok(data) = frame.into_data() {
                self.read.extend_from_slice(&data);
            }
        }
    }
}
