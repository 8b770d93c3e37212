//! Bodies on their way: a client's to a target, and a target's or our own to the client.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};

use van_trace::Span;

use crate::exchange::InFlight;
use crate::guard::{Lasting, Word};
use crate::pool::Lease;
use crate::tapped::Tapped;

/// How long a body waits for a target that was asked whether it wants it; some never say.
const UNASKED: Duration = Duration::from_secs(1);

/// What became of a request's body.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    done: AtomicBool,
    cut: AtomicBool,
    /// The answer is over, or will never be.
    answered: AtomicBool,
    bytes: AtomicU64,
    waker: AtomicWaker,
}

/// Why a body is not passed on to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stopped {
    #[error("the client's body broke off: {0}")]
    Client(#[from] hyper::Error),
    #[error("the target answered without wanting the body that it was asked about")]
    Unwanted,
}

impl Sent {
    /// Whether all of it was passed on.
    pub(crate) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// Whether the client did not bring it to its end.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// Bytes that were passed on.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Tells that the answer is over, or that nobody waits for it.
    pub(crate) fn end(&self) {
        self.answered.store(true, Ordering::Release);
        self.waker.wake();
    }

    fn poll_end(&self, cx: &Context<'_>) -> Poll<()> {
        self.waker.register(cx.waker());
        if self.answered.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// A request's body on its way to a target.
pub(crate) struct Outward {
    body: Option<Incoming>,
    /// Until the target wants the body, where the client asked.
    gate: Option<Gate>,
    sent: Arc<Sent>,
}

struct Gate {
    wanted: oneshot::Receiver<()>,
    /// Nobody wants it: the receiver must not be asked again.
    unwanted: bool,
    patience: Pin<Box<Sleep>>,
}

impl Outward {
    /// A body that is sent as it comes; `None`: there is none.
    pub(crate) fn new(body: Option<Incoming>) -> Self {
        let body = body.filter(|body| !body.is_end_stream());
        let sent = Sent { done: AtomicBool::new(body.is_none()), ..Sent::default() };
        Self { body, gate: None, sent: Arc::new(sent) }
    }

    /// Makes it wait for the word of the target.
    pub(crate) fn wait(&mut self, wanted: oneshot::Receiver<()>) {
        self.gate = Some(Gate { wanted, unwanted: false, patience: Box::pin(sleep(UNASKED)) });
    }

    pub(crate) fn sent(&self) -> &Arc<Sent> {
        &self.sent
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.body.is_none()
    }
}

impl Body for Outward {
    type Data = Bytes;
    type Error = Stopped;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Stopped>>> {
        if let Some(gate) = &mut self.gate {
            if !gate.unwanted {
                match Pin::new(&mut gate.wanted).poll(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => gate.unwanted = true,
                    Poll::Pending => ready!(gate.patience.as_mut().poll(cx)),
                }
            }
            // It has answered, or is gone: the client is not asked for what nobody wants. The
            // connection is of no more use then, but its answer has to come to its end.
            if gate.unwanted {
                ready!(self.sent.poll_end(cx));
                return Poll::Ready(Some(Err(Stopped::Unwanted)));
            }
            self.gate = None;
        }
        let outward = &mut *self;
        let Some(body) = &mut outward.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            outward.sent.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
        }
        match &frame {
            Some(Ok(_)) if body.is_end_stream() => outward.sent.done.store(true, Ordering::Release),
            Some(Ok(_)) => {}
            None => outward.sent.done.store(true, Ordering::Release),
            Some(Err(_)) => outward.sent.cut.store(true, Ordering::Release),
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Stopped::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// An answer's body.
pub(crate) enum Reply {
    Text(Option<Bytes>),
    Target(Box<Inward>),
}

/// An answer of HTTP/1, until it has left.
pub(crate) struct Lasts {
    pub(crate) reply: Reply,
    pub(crate) _until: Lasting,
}

impl Body for Lasts {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.reply).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.reply.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.reply.size_hint()
    }
}

/// A target's answer on its way to the client.
pub(crate) struct Inward {
    body: Incoming,
    /// The flow, until the answer is over, and the request as one that lasts.
    held: Option<(Lease, InFlight)>,
    /// Why it was cut short, until that is told.
    failed: Option<hyper::Error>,
    sent: Arc<Sent>,
    word: Arc<Word>,
    tapped: Option<Box<Tapped>>,
    span: Option<Box<Span>>,
}

impl Inward {
    /// Lets the answer be told once it is over.
    pub(crate) fn tap(&mut self, tapped: Box<Tapped>) {
        // Where it is over already, this tells it.
        self.tapped = self.held.is_some().then_some(tapped);
    }

    /// Lets the request's span end once the answer is over.
    pub(crate) fn trace(&mut self, span: Box<Span>) {
        // Where it is over already, this ends it.
        self.span = self.held.is_some().then_some(span);
    }

    pub(crate) fn sent(&self) -> &Arc<Sent> {
        &self.sent
    }

    pub(crate) fn new(
        body: Incoming,
        lease: Lease,
        in_flight: InFlight,
        sent: Arc<Sent>,
        word: Arc<Word>,
    ) -> Self {
        let held = Some((lease, in_flight));
        let mut inward = Self { body, held, failed: None, sent, word, tapped: None, span: None };
        if inward.body.is_end_stream() {
            inward.over();
        }
        inward
    }

    /// Gives the flow back: as one for other requests where both messages are over.
    fn over(&mut self) {
        if let Some((lease, _)) = self.held.take()
            && self.sent.is_done()
        {
            lease.give_back();
        }
        self.sent.end();
        self.tapped = None;
        self.span = None;
    }
}

impl Drop for Inward {
    fn drop(&mut self) {
        self.sent.end();
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let inward = match &mut *self {
            Self::Text(text) => return Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Target(inward) => inward,
        };
        if let Some(error) = inward.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let frame = ready!(Pin::new(&mut inward.body).poll_frame(cx));
        if let (Some(tapped), Some(Ok(frame))) = (&mut inward.tapped, &frame)
            && let Some(data) = frame.data_ref()
        {
            tapped.received(data.len());
        }
        match frame {
            Some(Ok(_)) if !inward.body.is_end_stream() => {}
            Some(Ok(_)) | None => inward.over(),
            Some(Err(error)) => {
                tracing::debug!(%error, "answer was cut short");
                inward.word.truncate();
                inward.held = None;
                if let Some(mut span) = inward.span.take() {
                    span.cut();
                }
                inward.failed = Some(error);
                // What came before the cut is written first: an error would throw it away.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_none(),
            Self::Target(inward) => inward.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
            Self::Target(inward) => inward.body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use http_body::Body;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_body_that_nobody_wants_waits_for_the_answers_end_however_often_it_is_asked() {
        let mut body = Outward::new(None);
        let (wanted, is_wanted) = oneshot::channel();
        body.wait(is_wanted);
        let sent = body.sent().clone();
        let mut next =
            || std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).now_or_never();
        assert!(next().is_none());
        drop(wanted);
        assert!(next().is_none());
        assert!(next().is_none());
        sent.end();
        assert!(matches!(next(), Some(Some(Err(Stopped::Unwanted)))));
    }
}
