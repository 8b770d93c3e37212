//! A flow to a target that speaks HTTP.

use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tracing::debug;
use van_net::Tasks;

use crate::body::Outward;
use crate::front::{KEEP_ALIVE, KEEP_ALIVE_PATIENCE, Spawner, Version};
use crate::ways::Io;

/// Bytes of an answer's head, and of what waits to be parsed or sent.
const BUFFER: usize = 128 * 1024;

/// Bytes of an answer that one stream of HTTP/2 may be ahead of its client, and all of a flow.
const STREAM_WINDOW: u32 = 256 * 1024;
const FLOW_WINDOW: u32 = 1024 * 1024;

/// Requests at once on one flow; where the target takes fewer, the rest waits in the connection.
pub(crate) const STREAMS: usize = 100;

/// What requests are given to.
pub(crate) enum Sender {
    Http1(http1::SendRequest<Outward>),
    Http2(http2::SendRequest<Outward>),
}

/// A request that was not answered.
pub(crate) struct NotAnswered {
    pub(crate) error: hyper::Error,
    /// The request, where not a byte of it was sent.
    pub(crate) unsent: Option<Request<Outward>>,
}

impl Sender {
    /// Begins HTTP on a flow, which a task of `tasks` moves on from then.
    pub(crate) async fn begin(
        io: Box<dyn Io>,
        version: Version,
        tasks: &Tasks,
    ) -> Result<Self, hyper::Error> {
        let io = TokioIo::new(io);
        match version {
            Version::Http1 => {
                let mut builder = http1::Builder::new();
                builder.max_buf_size(BUFFER);
                let (sender, connection) = builder.handshake(io).await?;
                tasks.spawn("http flow", async move {
                    if let Err(error) = connection.with_upgrades().await {
                        debug!(%error, "flow of HTTP/1 ended");
                    }
                });
                Ok(Self::Http1(sender))
            }
            Version::Http2 => {
                let mut builder = http2::Builder::new(Spawner(tasks.clone()));
                builder
                    .timer(TokioTimer::new())
                    .keep_alive_interval(KEEP_ALIVE)
                    .keep_alive_timeout(KEEP_ALIVE_PATIENCE)
                    .initial_stream_window_size(STREAM_WINDOW)
                    .initial_connection_window_size(FLOW_WINDOW)
                    .max_header_list_size(64 * 1024)
                    .max_send_buf_size(64 * 1024);
                let (sender, connection) = builder.handshake(io).await?;
                tasks.spawn("http flow", async move {
                    if let Err(error) = connection.await {
                        debug!(%error, "flow of HTTP/2 ended");
                    }
                });
                Ok(Self::Http2(sender))
            }
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }

    /// Whether it takes several requests at once.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Http2(_))
    }

    /// Another handle of the same flow, where it takes several requests at once.
    pub(crate) fn share(&self) -> Option<Self> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(sender) => Some(Self::Http2(sender.clone())),
        }
    }

    /// Sends a request; returns the answer's head when it is there.
    pub(crate) async fn send(
        &mut self,
        request: Request<Outward>,
    ) -> Result<Response<Incoming>, NotAnswered> {
        let ready = match self {
            Self::Http1(sender) => sender.ready().await,
            Self::Http2(sender) => sender.ready().await,
        };
        if let Err(error) = ready {
            return Err(NotAnswered { error, unsent: Some(request) });
        }
        let result = match self {
            Self::Http1(sender) => sender.try_send_request(request).await,
            Self::Http2(sender) => sender.try_send_request(request).await,
        };
        result.map_err(|mut failed| {
            let unsent = failed.take_message();
            NotAnswered { error: failed.into_error(), unsent }
        })
    }
}
