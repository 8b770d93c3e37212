//! One check of a target.

use std::time::Duration;

use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use van_model::{Check, Target};

use crate::connect::{ConnectError, Place};
use crate::proxy_header;
use crate::stream::Stream;

/// Time for a whole check.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a check failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the connection broke: {0}")]
    Io(#[from] std::io::Error),
    #[error("GET {0}: {1}")]
    Http(Box<str>, hyper::Error),
    #[error("GET {0} was answered with {1}")]
    Status(Box<str>, http::StatusCode),
    #[error("GET {0}: {1}")]
    Request(Box<str>, http::Error),
    #[error("GET {path} was not answered within {} s", PATIENCE.as_secs())]
    Timeout { path: Box<str> },
}

/// Checks a target once. `announced`: the workload wants a PROXY header first.
pub(crate) async fn check(
    kind: &Check,
    target: &Target,
    place: &Place,
    announced: bool,
) -> Result<(), CheckError> {
    if matches!(kind, Check::None) {
        return Ok(());
    }
    let stream = place.connect().await?;
    if announced {
        // A new socket's buffer takes it whole.
        stream.write(&proxy_header::encode(None, stream.peer()))?;
    }
    let Check::Http(path) = kind else { return Ok(()) };
    let asked = async {
        match stream {
            Stream::Tcp(tcp) => get(path, target, tcp).await,
            Stream::Unix(unix) => get(path, target, unix).await,
        }
    };
    let timed = tokio::time::timeout(PATIENCE, asked).await;
    timed.unwrap_or_else(|_| Err(CheckError::Timeout { path: path.clone() }))
}

async fn get(
    path: &str,
    target: &Target,
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<(), CheckError> {
    let failed = |error| CheckError::Http(path.into(), error);
    let host = match target {
        Target::Tcp(tcp) => tcp.to_string(),
        Target::Unix(_) => "localhost".into(),
    };
    let request = Request::get(path)
        .header(http::header::HOST, host)
        .header(http::header::USER_AGENT, "vand-check")
        .header(http::header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| CheckError::Request(path.into(), error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.map_err(failed)?;
    let answer = sender.send_request(request);
    tokio::pin!(connection, answer);
    // Whichever ends first: the answer's head is enough, and its body is not read.
    let response = tokio::select! {
        biased;
        response = &mut answer => response,
        ended = &mut connection => match ended {
            Ok(()) => answer.await,
            Err(error) => Err(error),
        },
    };
    let status = response.map_err(failed)?.status();
    if status.as_u16() < 400 { Ok(()) } else { Err(CheckError::Status(path.into(), status)) }
}
