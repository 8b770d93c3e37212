//! Moving bytes between two sockets of one worker.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

use van_net::{Count, after_sockets};

use crate::stream::{Read, Stream};

/// Bytes read at once, and the most that one direction moves in a turn.
const TURN: usize = 64 * 1024;

/// Turns in which what a reset connection had still said is passed on.
const LAST_TURNS: usize = 16;

thread_local! {
    /// Bytes between a read and the write that follows; nothing stays in it.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; TURN].into());
}

/// One direction of a flow.
pub(crate) struct Pipe<'a> {
    /// What was read and not taken yet; memory exists only while there is something.
    waiting: Vec<u8>,
    written: usize,
    read_ended: bool,
    write_ended: bool,
    counts: Vec<&'a Count>,
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// There may be more to do now.
    More,
    /// One of the sockets has to be waited for.
    Blocked,
    /// The end has been passed on.
    Done,
}

/// Which socket failed.
enum Failed {
    Reading(io::Error),
    Writing(io::Error),
}

impl<'a> Pipe<'a> {
    /// A direction that starts with `waiting`; `ended`: nothing more is to be read. Bytes are added
    /// to `counts`.
    pub(crate) fn new(waiting: Vec<u8>, ended: bool, counts: Vec<&'a Count>) -> Self {
        Self { waiting, written: 0, read_ended: ended, write_ended: false, counts }
    }

    /// Moves at most a turn's bytes.
    fn poll(&mut self, cx: &mut Context<'_>, from: &Stream, to: &Stream) -> Result<Step, Failed> {
        let mut moved = 0;
        while moved < TURN {
            if !self.waiting.is_empty() {
                match to.poll_write_ready(cx) {
                    Poll::Pending => return Ok(Step::Blocked),
                    Poll::Ready(ready) => ready.map_err(Failed::Writing)?,
                }
                moved += self.flush(to)?;
            } else if self.read_ended {
                if !self.write_ended {
                    self.write_ended = true;
                    to.end_write();
                }
                return Ok(Step::Done);
            } else {
                match from.poll_read_ready(cx) {
                    Poll::Pending => return Ok(Step::Blocked),
                    Poll::Ready(ready) => ready.map_err(Failed::Reading)?,
                }
                match self.pass(from, to)? {
                    Read::Bytes(count) => moved += count,
                    Read::End => self.read_ended = true,
                    Read::Blocked => {}
                }
            }
        }
        Ok(Step::More)
    }

    /// Writes what waits.
    fn flush(&mut self, to: &Stream) -> Result<usize, Failed> {
        let count = to.write(&self.waiting[self.written..]).map_err(Failed::Writing)?;
        self.written += count;
        if self.written == self.waiting.len() {
            (self.waiting, self.written) = (Vec::new(), 0);
        }
        Ok(count)
    }

    /// Reads once and writes that; what is not taken waits.
    fn pass(&mut self, from: &Stream, to: &Stream) -> Result<Read, Failed> {
        SCRATCH.with_borrow_mut(|scratch| {
            let read = from.read(scratch).map_err(Failed::Reading)?;
            if let Read::Bytes(count) = read {
                self.counts.iter().for_each(|c| c.add(count as u64));
                let written = to.write(&scratch[..count]).map_err(Failed::Writing)?;
                self.waiting.extend_from_slice(&scratch[written..count]);
            }
            Ok(read)
        })
    }

    /// Passes on what a socket that was reset had said before, as far as it is taken at once; never
    /// an orderly end.
    fn last_words(&mut self, from: &Stream, to: &Stream) {
        if !self.waiting.is_empty() {
            // The other end does not keep up, and what waits here is lost with the reset.
            return;
        }
        SCRATCH.with_borrow_mut(|scratch| {
            for _ in 0..LAST_TURNS {
                let count = from.read_left(scratch);
                self.counts.iter().for_each(|c| c.add(count as u64));
                let written = to.write(&scratch[..count]).unwrap_or(0);
                if written == 0 || written < count {
                    return;
                }
            }
        });
    }

    /// Whether a reset of the reading side will be found by reading.
    fn is_reading(&self) -> bool {
        !self.read_ended && self.waiting.is_empty()
    }
}

/// Moves bytes both ways until both directions have ended in order, or one socket fails.
pub(crate) async fn copy(
    client: &Stream,
    workload: &Stream,
    mut inward: Pipe<'_>,
    mut outward: Pipe<'_>,
) -> io::Result<()> {
    // A direction that reads finds a reset by itself; one that has ended or waits for the other
    // socket does not.
    let (mut client_broken, mut workload_broken) = (pin!(client.broken()), pin!(workload.broken()));
    let (mut client_is_broken, mut workload_is_broken) = (false, false);
    poll_fn(|cx| {
        client_is_broken = client_is_broken || client_broken.as_mut().poll(cx).is_ready();
        workload_is_broken = workload_is_broken || workload_broken.as_mut().poll(cx).is_ready();
        let there = match inward.poll(cx, client, workload) {
            Ok(step) => step,
            Err(Failed::Reading(error)) => return Poll::Ready(Err(error)),
            Err(Failed::Writing(error)) => {
                outward.last_words(workload, client);
                return Poll::Ready(Err(error));
            }
        };
        let back = match outward.poll(cx, workload, client) {
            Ok(step) => step,
            Err(Failed::Reading(error)) => return Poll::Ready(Err(error)),
            Err(Failed::Writing(error)) => {
                inward.last_words(client, workload);
                return Poll::Ready(Err(error));
            }
        };
        if (there, back) == (Step::Done, Step::Done) {
            return Poll::Ready(Ok(()));
        }
        let lost = (client_is_broken && !inward.is_reading())
            || (workload_is_broken && !outward.is_reading());
        if lost {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if there == Step::More || back == Step::More {
            after_sockets(cx);
        }
        Poll::Pending
    })
    .await
}
