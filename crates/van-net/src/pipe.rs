//! A stream within the process: how a circuit's bytes get from one connection's task to another's.
//!
//! It behaves as a socket does, so that a flow or a connection can live on one end of it: reads and
//! writes never wait, each direction ends in order or by a reset, and dropping an end closes it: by a
//! reset where it was not ended in order before.

mod polled;

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use crate::socket::Read;

/// Bytes that wait in one direction before no more are taken, so that what is sealed into a circuit
/// stays near what the link takes. The last lump may go beyond it.
const LIMIT: usize = 256 * 1024;

/// Bytes at which a writer that waits is called: fewer and larger lumps than at every read.
const LOW: usize = LIMIT / 2;

/// Small writes share a lump of this size.
const LUMP: usize = 64 * 1024;

/// One end of a stream between two tasks.
pub struct Pipe {
    /// What this end reads.
    inward: Arc<Half>,
    /// What this end writes.
    outward: Arc<Half>,
}

#[derive(Default)]
struct Half(Mutex<State>);

#[derive(Default)]
struct State {
    /// Lumps in their order; none is empty.
    lumps: VecDeque<Vec<u8>>,
    /// How much of the first lump has been read.
    start: usize,
    /// Bytes in all lumps that have not been read.
    waiting: usize,
    /// An emptied lump for the next bytes, while others wait.
    spare: Vec<u8>,
    /// No more will be written.
    ended: bool,
    /// Nobody reads any more.
    deaf: bool,
    /// One of the ends was aborted.
    reset: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl State {
    fn readable(&self) -> bool {
        self.waiting > 0 || self.ended || self.reset
    }

    fn writable(&self) -> bool {
        self.waiting < LIMIT || self.deaf || self.reset
    }

    fn may_write(&self) -> io::Result<()> {
        if self.reset {
            Err(io::ErrorKind::ConnectionReset.into())
        } else if self.deaf || self.ended {
            Err(io::ErrorKind::BrokenPipe.into())
        } else {
            Ok(())
        }
    }

    fn forget(&mut self) {
        self.lumps = VecDeque::new();
        (self.start, self.waiting) = (0, 0);
        self.spare = Vec::new();
    }

    /// Takes the first lump out; returns it and where its bytes start.
    fn pop(&mut self) -> Option<(Vec<u8>, usize)> {
        let lump = self.lumps.pop_front()?;
        let start = std::mem::take(&mut self.start);
        self.waiting -= lump.len() - start;
        if self.lumps.is_empty() {
            // An idle stream owns no memory.
            self.spare = Vec::new();
        }
        Some((lump, start))
    }

    /// Takes what there is room for; returns how much.
    fn put(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(LIMIT.saturating_sub(self.waiting));
        if count == 0 {
            return 0;
        }
        match self.lumps.back_mut() {
            Some(last) if last.len() + count <= LUMP => last.extend_from_slice(&bytes[..count]),
            _ => {
                let mut lump = std::mem::take(&mut self.spare);
                lump.extend_from_slice(&bytes[..count]);
                self.lumps.push_back(lump);
            }
        }
        self.waiting += count;
        count
    }

    /// Gives away up to `most` bytes of the first lump; returns how many.
    fn give(&mut self, most: usize, take: &mut impl FnMut(&[u8])) -> usize {
        let Some(lump) = self.lumps.front() else { return 0 };
        let count = most.min(lump.len() - self.start);
        take(&lump[self.start..self.start + count]);
        if self.start + count < lump.len() {
            self.start += count;
            self.waiting -= count;
        } else if let Some((mut lump, _)) = self.pop()
            && !self.lumps.is_empty()
        {
            lump.clear();
            self.spare = lump;
        }
        count
    }
}

impl Half {
    /// Changes the state and wakes whom the change concerns, after the lock is given back.
    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.0.lock();
        let was_readable = state.readable();
        let result = change(&mut state);
        let reader = (!was_readable && state.readable()).then(|| state.reader.take()).flatten();
        let room = state.writable() && (state.waiting <= LOW || state.deaf || state.reset);
        let writer = room.then(|| state.writer.take()).flatten();
        drop(state);
        reader.into_iter().chain(writer).for_each(Waker::wake);
        result
    }

    fn reset(&self) {
        self.change(|state| {
            state.reset = true;
            state.forget();
        });
    }
}

impl Pipe {
    /// Makes both ends of a stream.
    pub fn pair() -> (Self, Self) {
        let (there, back) = (Arc::<Half>::default(), Arc::<Half>::default());
        let far = Self { inward: there.clone(), outward: back.clone() };
        (Self { inward: back, outward: there }, far)
    }

    /// Reads into the buffers in turn.
    pub(crate) fn read(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<Read> {
        let most = buffers.iter().map(|buffer| buffer.len()).sum();
        let mut rooms = buffers.iter_mut();
        let mut room: &mut [u8] = &mut [];
        self.read_up_to(most, |mut bytes| {
            while !bytes.is_empty() {
                if room.is_empty() {
                    // There is one for each byte that was asked for.
                    let Some(next) = rooms.next() else { return };
                    room = next;
                }
                let count = bytes.len().min(room.len());
                let (now, later) = std::mem::take(&mut room).split_at_mut(count);
                now.copy_from_slice(&bytes[..count]);
                (room, bytes) = (later, &bytes[count..]);
            }
        })
    }

    /// Reads up to `most` bytes, piece by piece.
    fn read_up_to(&self, most: usize, mut take: impl FnMut(&[u8])) -> io::Result<Read> {
        self.inward.change(|state| {
            if state.reset {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            let mut count = 0;
            while count < most && state.waiting > 0 {
                count += state.give(most - count, &mut take);
            }
            if count == 0 {
                return Ok(if state.ended { Read::End } else { Read::Blocked });
            }
            // The end must be seen by another read: it signals no second time.
            let drained = state.waiting == 0 && !state.ended;
            Ok(Read::Bytes { count, drained })
        })
    }

    /// Takes the first lump by exchanging it for `bytes`, which must hold nothing. Returns where in
    /// it the bytes start.
    pub(crate) fn exchange_in(&self, bytes: &mut Vec<u8>) -> io::Result<(usize, Read)> {
        self.inward.change(|state| {
            if state.reset {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            let Some((lump, start)) = state.pop() else {
                return Ok((0, if state.ended { Read::End } else { Read::Blocked }));
            };
            let count = lump.len() - start;
            let mut empty = std::mem::replace(bytes, lump);
            if !state.lumps.is_empty() {
                empty.clear();
                state.spare = empty;
            }
            let drained = state.waiting == 0 && !state.ended;
            Ok((start, Read::Bytes { count, drained }))
        })
    }

    /// Reads once: how many bytes, 0 at the end, `None` where there is nothing now.
    ///
    /// # Errors
    /// Where the stream was reset.
    pub fn read_once(&self, room: &mut [u8]) -> io::Result<Option<usize>> {
        Ok(match self.read(&mut [IoSliceMut::new(room)])? {
            Read::Bytes { count, .. } => Some(count),
            Read::End => Some(0),
            Read::Blocked => None,
        })
    }

    /// Writes what there is room for; 0: nothing now.
    ///
    /// # Errors
    /// Where the stream was reset, or nobody reads it any more.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all_of(&[IoSlice::new(bytes)])
    }

    /// Writes what there is room for of the pieces in turn; 0: nothing now.
    fn write_all_of(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.outward.change(|state| {
            state.may_write()?;
            Ok(pieces.iter().map(|piece| state.put(piece)).sum())
        })
    }

    /// Hands over `bytes[start..]`, at least one, in exchange for empty memory, where there is room
    /// for any. Returns whether it did.
    pub(crate) fn exchange_out(&self, bytes: &mut Vec<u8>, start: usize) -> io::Result<bool> {
        self.outward.change(|state| {
            state.may_write()?;
            if state.waiting >= LIMIT {
                return Ok(false);
            }
            let spare = std::mem::take(&mut state.spare);
            let mut lump = std::mem::replace(bytes, spare);
            if start > 0 && !state.lumps.is_empty() {
                lump.drain(..start);
            } else if start > 0 {
                state.start = start;
            }
            state.waiting += lump.len() - if state.lumps.is_empty() { start } else { 0 };
            state.lumps.push_back(lump);
            Ok(true)
        })
    }

    /// Waits until there is something to read, or never will be.
    pub fn poll_read_ready(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.inward.0.lock();
        if state.readable() {
            return Poll::Ready(Ok(()));
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Waits until there is room to write, or never will be.
    pub fn poll_write_ready(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.outward.0.lock();
        if state.writable() {
            return Poll::Ready(Ok(()));
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Whether the other end was aborted, or is gone.
    pub fn failure(&self) -> Option<io::Error> {
        let gone = self.inward.0.lock().reset || self.outward.0.lock().deaf;
        gone.then(|| io::ErrorKind::ConnectionReset.into())
    }

    /// Ends this direction in order.
    pub fn end_write(&self) {
        self.outward.change(|state| state.ended = true);
    }

    /// Closes so that the other end sees a reset.
    pub fn abort(&self) {
        self.outward.reset();
        self.inward.reset();
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let in_order = self.outward.0.lock().ended;
        if !in_order {
            self.outward.reset();
        }
        self.inward.change(|state| {
            state.deaf = true;
            state.forget();
        });
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe")
            .field("in", &self.inward.0.lock().waiting)
            .field("out", &self.outward.0.lock().waiting)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Bell {
        fn rings(&self) -> usize {
            self.0.swap(0, Ordering::Relaxed)
        }
    }

    fn read(pipe: &Pipe, room: usize) -> io::Result<(Vec<u8>, Read)> {
        let mut bytes = vec![0; room];
        let read = pipe.read(&mut [IoSliceMut::new(&mut bytes)])?;
        if let Read::Bytes { count, .. } = read {
            bytes.truncate(count);
        } else {
            bytes.clear();
        }
        Ok((bytes, read))
    }

    #[test]
    fn bytes_arrive_in_order_and_the_end_after_them() {
        let (a, b) = Pipe::pair();
        assert_eq!(read(&b, 8).unwrap().1, Read::Blocked);
        assert_eq!(a.write(b"hello world").unwrap(), 11);
        a.end_write();
        assert_eq!(
            read(&b, 5).unwrap(),
            (b"hello".into(), Read::Bytes { count: 5, drained: false })
        );
        assert_eq!(read(&b, 50).unwrap().0, b" world");
        assert_eq!(read(&b, 5).unwrap().1, Read::End);
        assert_eq!(b.write(b"back").unwrap(), 4, "the other direction goes on");
        assert_eq!(read(&a, 9).unwrap().0, b"back");
        assert_eq!(a.write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_full_direction_takes_no_more_and_signals_when_it_does() {
        let (a, b) = Pipe::pair();
        let bell = Arc::<Bell>::default();
        let waker = Waker::from(bell.clone());
        let cx = Context::from_waker(&waker);
        assert_eq!(a.write(&vec![7; LIMIT + 1]).unwrap(), LIMIT);
        assert_eq!(a.write(b"x").unwrap(), 0);
        assert!(a.poll_write_ready(&cx).is_pending());
        assert_eq!(read(&b, 10).unwrap().0.len(), 10);
        assert_eq!(bell.rings(), 0, "not for a few bytes");
        assert_eq!(read(&b, LIMIT - LOW).unwrap().0.len(), LIMIT - LOW);
        assert_eq!(bell.rings(), 1);
        assert!(a.poll_write_ready(&cx).is_ready());
        assert_eq!(a.write(&vec![8; LIMIT]).unwrap(), LIMIT - LOW + 10);
        let (all, _) = read(&b, 2 * LIMIT).unwrap();
        assert_eq!((all.len(), all[all.len() - 1]), (LIMIT, 8));
        assert!(b.poll_read_ready(&cx).is_pending());
        assert_eq!(a.write(b"more").unwrap(), 4);
        assert_eq!(bell.rings(), 1);
    }

    #[test]
    fn whole_lumps_change_hands_in_their_order() {
        let (a, b) = Pipe::pair();
        let mut sealed = b"..record".to_vec();
        assert!(a.exchange_out(&mut sealed, 2).unwrap());
        assert!(sealed.is_empty());
        let mut second = b".second".to_vec();
        assert!(a.exchange_out(&mut second, 1).unwrap());
        assert_eq!(a.write(b"third").unwrap(), 5);
        assert_eq!(read(&b, 3).unwrap().0, b"rec");
        let mut input = Vec::new();
        let (start, read) = b.exchange_in(&mut input).unwrap();
        assert_eq!(
            (&input[start..], read),
            (&b"ord"[..], Read::Bytes { count: 3, drained: false })
        );
        input.clear();
        let (start, read) = b.exchange_in(&mut input).unwrap();
        assert_eq!(&input[start..], b"secondthird");
        assert_eq!(read, Read::Bytes { count: 11, drained: true });
        assert_eq!(b.exchange_in(&mut Vec::new()).unwrap().1, Read::Blocked);
        let mut large = vec![0; LIMIT + 7];
        assert!(a.exchange_out(&mut large, 0).unwrap());
        assert!(!a.exchange_out(&mut vec![1], 0).unwrap(), "full");
        assert_eq!(a.write(b"x").unwrap(), 0);
        assert_eq!(
            b.exchange_in(&mut Vec::new()).unwrap().1,
            Read::Bytes { count: LIMIT + 7, drained: true }
        );
    }

    #[test]
    fn a_reset_and_a_dropped_end_are_noticed() {
        let (a, b) = Pipe::pair();
        let bell = Arc::<Bell>::default();
        let waker = Waker::from(bell.clone());
        assert!(b.poll_read_ready(&Context::from_waker(&waker)).is_pending());
        a.write(b"lost").unwrap();
        a.abort();
        drop(a);
        assert_eq!(bell.rings(), 1);
        assert_eq!(b.failure().unwrap().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(read(&b, 9).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(b.write(b"x").unwrap_err().kind(), io::ErrorKind::ConnectionReset);

        let (a, b) = Pipe::pair();
        a.write(b"kept").unwrap();
        a.end_write();
        drop(a);
        assert_eq!(read(&b, 9).unwrap().0, b"kept");
        assert_eq!(read(&b, 9).unwrap().1, Read::End);
        assert_eq!(b.write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert!(b.failure().is_some(), "nobody hears it");

        let (a, b) = Pipe::pair();
        a.write(b"lost").unwrap();
        drop(a);
        assert_eq!(read(&b, 9).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
}
