//! What stands before the parser of HTTP/1: a client's bytes, followed message by message.
//!
//! The parser behind it forgives more than it should where another one reads the same bytes; what is
//! passed on from here has one meaning only.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

use van_framing::{Framing, Phase, Refusal};

use crate::ways::Io;

/// Time for a request's head once its first byte is there.
const HEAD: Duration = Duration::from_secs(10);

/// Time without a request after which a connection closes.
pub(crate) const IDLE: Duration = Duration::from_secs(75);

/// Time without a request after which a connection keeps no more than its socket.
const REST: Duration = Duration::from_secs(1);

/// What every HTTP/2 client says first (RFC 9113, 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A client's connection, whose reads end where what was read is no HTTP.
pub(crate) struct Guard {
    io: Box<dyn Io>,
    /// What was read to tell HTTP/2 from HTTP/1.
    early: Vec<u8>,
    framing: Framing,
    /// HTTP/2: nothing is followed.
    plain: bool,
    watch: Option<Watch>,
    /// All that was written has left the buffers above.
    flushed: bool,
    word: Arc<Word>,
}

/// How long something is waited for.
struct Watch {
    turn: u64,
    since: Instant,
    /// Rings now and then, and when time is up.
    sleep: Pin<Box<Sleep>>,
}

/// What the guard and those who answer requests tell each other.
#[derive(Debug, Default)]
pub(crate) struct Word(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    refusal: Option<Refusal>,
    /// Whether another protocol begins, once that is known.
    switch: Option<bool>,
    truncated: bool,
    /// Why was said already, or there is nobody to hear it.
    answered: bool,
    /// Requests that were begun to be answered, and how many of them last.
    asked: u64,
    lasting: u32,
    /// There is nothing to do for a while.
    rest: bool,
    waker: Option<Waker>,
}

/// A request until its answer has left.
#[derive(Debug)]
pub(crate) struct Lasting(Arc<Word>);

impl Drop for Lasting {
    fn drop(&mut self) {
        self.0.0.lock().lasting -= 1;
    }
}

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spoken {
    Http1,
    Http2,
    /// It said nothing, or not enough in time.
    Nothing,
}

impl Word {
    /// Why the client's bytes are not taken any more.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.0.lock().refusal
    }

    /// Tells whether another protocol begins.
    pub(crate) fn switch(&self, to_another: bool) {
        let mut said = self.0.lock();
        said.switch = Some(to_another);
        if let Some(waker) = said.waker.take() {
            drop(said);
            waker.wake();
        }
    }

    /// Tells that an answer could not be brought to its end.
    pub(crate) fn truncate(&self) {
        self.0.lock().truncated = true;
    }

    /// Tells that the client has its answer.
    pub(crate) fn answered(&self) {
        self.0.lock().answered = true;
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.0.lock().answered
    }

    pub(crate) fn is_truncated(&self) -> bool {
        self.0.lock().truncated
    }

    /// Tells that a request is being answered.
    pub(crate) fn begin(self: &Arc<Self>) -> Lasting {
        let mut said = self.0.lock();
        said.asked += 1;
        said.lasting += 1;
        Lasting(self.clone())
    }

    /// Takes the word that there is nothing to do for a while.
    pub(crate) fn take_rest(&self) -> bool {
        std::mem::take(&mut self.0.lock().rest)
    }

    fn refuse(&self, refusal: Refusal) {
        self.0.lock().refusal.get_or_insert(refusal);
    }
}

impl Guard {
    pub(crate) fn new(io: Box<dyn Io>, word: Arc<Word>) -> Self {
        let (early, framing) = Default::default();
        Self { io, early, framing, plain: false, watch: None, flushed: true, word }
    }

    /// Waits for the next request with as little memory as can be.
    pub(crate) async fn rest(&mut self) -> io::Result<Spoken> {
        self.watch = None;
        // Who began with HTTP/1 can't go on with HTTP/2: that is no request.
        let spoken = self.listen().await?;
        self.plain = false;
        Ok(if spoken == Spoken::Http2 { Spoken::Http1 } else { spoken })
    }

    /// Waits for enough of a client's first bytes to tell what it speaks.
    pub(crate) async fn listen(&mut self) -> io::Result<Spoken> {
        let mut deadline = Instant::now() + IDLE;
        let mut room = [0; PREFACE.len()];
        loop {
            let (known, fresh) = room.split_at_mut(self.early.len());
            if known != &PREFACE[..known.len()] {
                return Ok(Spoken::Http1);
            }
            if fresh.is_empty() {
                self.plain = true;
                return Ok(Spoken::Http2);
            }
            let count = match timeout_at(deadline, self.io.read(fresh)).await {
                Ok(count) => count?,
                Err(_) => {
                    self.end(if known.is_empty() { Refusal::Idle } else { Refusal::Slow });
                    return Ok(Spoken::Nothing);
                }
            };
            if count == 0 {
                return Ok(if known.is_empty() { Spoken::Nothing } else { Spoken::Http1 });
            }
            if self.early.is_empty() {
                deadline = Instant::now() + HEAD;
            }
            let count = self.early.len() + count;
            self.early = room[..count].to_vec();
        }
    }

    /// The connection itself, once no more is read.
    pub(crate) fn into_io(self) -> Box<dyn Io> {
        self.io
    }

    fn end(&mut self, refusal: Refusal) {
        self.framing.refuse();
        self.word.refuse(refusal);
    }

    /// Ends the reading where the client takes too long.
    fn poll_watch(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (phase, turn) = self.framing.phase();
        let (patience, late) = match phase {
            Phase::Request => (IDLE, Refusal::Idle),
            Phase::RestOfHead => (HEAD, Refusal::Slow),
            Phase::Other => return Poll::Pending,
        };
        let watch = self.watch.get_or_insert_with(|| {
            let now = Instant::now();
            Watch { turn, since: now, sleep: Box::pin(sleep_until(now + REST)) }
        });
        if watch.turn != turn {
            // The bell rings early, and is set anew then: cheaper than with each request.
            (watch.turn, watch.since) = (turn, Instant::now());
        }
        loop {
            let Some(watch) = &mut self.watch else { return Poll::Pending };
            ready!(watch.sleep.as_mut().poll(cx));
            let now = Instant::now();
            let waited = now.saturating_duration_since(watch.since);
            if waited >= patience {
                self.end(late);
                return Poll::Ready(Ok(()));
            }
            watch.sleep.as_mut().reset((now + REST).min(watch.since + patience));
            if waited >= REST && phase == Phase::Request && self.may_rest() {
                self.word.0.lock().rest = true;
                return Poll::Pending;
            }
        }
    }

    /// Whether all that was asked is answered, and nothing waits in between.
    fn may_rest(&self) -> bool {
        let said = self.word.0.lock();
        let is_answered = said.lasting == 0 && said.asked == self.framing.requests();
        is_answered && self.flushed && self.early.is_empty()
    }

    /// Waits for the word on another protocol.
    fn poll_switch(&mut self, cx: &Context<'_>) -> Poll<()> {
        let mut said = self.word.0.lock();
        let Some(to_another) = said.switch.take() else {
            said.waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        drop(said);
        self.framing.switch(to_another);
        Poll::Ready(())
    }
}

impl AsyncRead for Guard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let guard = &mut *self;
        if guard.framing.is_held() {
            ready!(guard.poll_switch(cx));
        }
        if guard.framing.is_refused() {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        if guard.early.is_empty() {
            match Pin::new(&mut guard.io).poll_read(cx, buf) {
                Poll::Pending if guard.plain => return Poll::Pending,
                Poll::Pending => return guard.poll_watch(cx),
                Poll::Ready(result) => result?,
            }
        } else {
            let count = guard.early.len().min(buf.remaining());
            buf.put_slice(&guard.early[..count]);
            guard.early.drain(..count);
        }
        if !guard.plain && !guard.framing.is_raw() {
            let fed = guard.framing.feed(&buf.filled()[before..]);
            buf.set_filled(before + fed.passed);
            if let Some(refusal) = fed.refusal {
                guard.word.refuse(refusal);
                // In the middle of a request it is the request's answer that says so.
                if guard.framing.was_in_body() {
                    guard.word.answered();
                }
            }
            if guard.framing.is_held() {
                guard.word.0.lock().switch = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Guard {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.flushed = false;
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.flushed = false;
        Pin::new(&mut self.io).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.flushed = true;
        Poll::Ready(Ok(()))
    }

    /// Leaves the end of HTTP/1 to whoever knows whether all was said in order.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.plain || self.framing.is_raw() {
            return Pin::new(&mut self.io).poll_shutdown(cx);
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }
}
