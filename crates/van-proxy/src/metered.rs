//! A socket under HTTP: what passes is counted, and it closes in order only when told to.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use van_net::{Counted, Meter};

use crate::local::Open;
use crate::stream::Stream;

/// A client's or a workload's socket; dropping it before it was shut down resets the connection.
pub(crate) struct Metered {
    stream: Stream,
    end: End,
    in_order: bool,
}

/// Whose socket it is, and where its bytes are counted.
pub(crate) enum End {
    Client(Arc<Counted>),
    Target {
        site: Arc<Meter>,
        target: Arc<Meter>,
        _counted: Counted,
        _open: Open,
    },
    /// What is counted elsewhere.
    Edge,
}

impl Metered {
    pub(crate) fn new(stream: Stream, end: End) -> Self {
        Self { stream, end, in_order: false }
    }

    /// Closes it in order, however it ends.
    pub(crate) fn closed_in_order(mut self) -> Self {
        self.in_order = true;
        self
    }

    fn count_read(&self, count: usize) {
        let count = count as u64;
        match &self.end {
            End::Client(counted) => {
                if let Some(log) = counted.log() {
                    log.counts().0.add(count);
                }
            }
            End::Target { site, target, .. } => {
                site.received.add(count);
                target.sent.add(count);
            }
            End::Edge => {}
        }
    }

    fn count_written(&self, count: usize) {
        let count = count as u64;
        match &self.end {
            End::Client(counted) => {
                if let Some(log) = counted.log() {
                    log.counts().1.add(count);
                }
            }
            End::Target { site, target, .. } => {
                site.sent.add(count);
                target.received.add(count);
            }
            End::Edge => {}
        }
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        if !self.in_order {
            self.stream.abort_on_close();
        }
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.count_read(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(self.stream.poll_write(cx, pieces))?;
        self.count_written(count);
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.in_order = true;
        self.stream.end_write();
        Poll::Ready(Ok(()))
    }
}
