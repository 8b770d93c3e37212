//! One check of a target.

use std::time::Duration;

use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite};
use van_model::{Check, Target};
use van_tls::ClientSide;

use crate::connect::{ConnectError, Place};
use crate::metered::{End, Metered};
use crate::proxy_header;

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
    #[error("GET {path} was not answered within {patience:?}")]
    Timeout { path: Box<str>, patience: Duration },
    #[error("no connection within {0:?}")]
    Connecting(Duration),
}

impl CheckError {
    /// Whether no further check is needed to know that the target does not serve.
    pub(crate) fn is_certain(&self) -> bool {
        matches!(self, Self::Connect(error) if error.is_certain())
    }

    /// Whether this process or its host lacks something, which says nothing of the target.
    pub(crate) fn is_own_shortage(&self) -> bool {
        let of_process = |error: &std::io::Error| {
            let errno = error.raw_os_error().map(Errno::from_raw_os_error);
            matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
        };
        match self {
            Self::Connect(ConnectError::Overload(_)) => true,
            Self::Io(error) => of_process(error),
            _ => false,
        }
    }
}

/// Checks a target once, connecting and asking each within `patience`. `announced`: the workload
/// wants a PROXY header first.
pub(crate) async fn check(
    kind: &Check,
    target: &Target,
    place: &Place,
    tls: Option<&ClientSide>,
    announced: bool,
    patience: Duration,
) -> Result<(), CheckError> {
    // Of what nobody asks it is still known whether it is there.
    place.located().transpose()?;
    if matches!(kind, Check::None) {
        return Ok(());
    }
    let connecting = tokio::time::timeout(patience, place.connect());
    let stream = connecting.await.map_err(|_| CheckError::Connecting(patience))??;
    if announced {
        // A new socket's buffer takes it whole.
        stream.write(&proxy_header::encode(None, stream.peer()))?;
    }
    if tls.is_none() && *kind == Check::Tcp {
        return Ok(());
    }
    // Whatever comes of it, a check resets nothing.
    let plain = Metered::new(stream, End::Edge).closed_in_order();
    let asking: Box<dyn van_http::Io> = match tls {
        None => Box::new(plain),
        Some(tls) => Box::new(tls.connect(plain).await.map_err(ConnectError::Tls)?),
    };
    let Check::Http(path) = kind else { return Ok(()) };
    let asked = get(path, target, asking);
    let timed = tokio::time::timeout(patience, asked).await;
    timed.unwrap_or_else(|_| Err(CheckError::Timeout { path: path.clone(), patience }))
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
        Target::Workload(workload) => format!("{}:{}", workload.name, workload.port),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_here_says_nothing_of_the_target() {
        let error = |errno: Errno| std::io::Error::from_raw_os_error(errno.raw_os_error());
        for errno in [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL] {
            let failed = CheckError::from(ConnectError::new(error(errno)));
            assert!(failed.is_own_shortage(), "{failed}");
        }
        assert!(CheckError::Io(error(Errno::MFILE)).is_own_shortage());
        for errno in [Errno::CONNREFUSED, Errno::NETUNREACH, Errno::TIMEDOUT] {
            let failed = CheckError::from(ConnectError::new(error(errno)));
            assert!(!failed.is_own_shortage(), "{failed}");
        }
    }
}
