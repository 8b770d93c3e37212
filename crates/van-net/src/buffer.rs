//! The two buffers of a connection; they exist only while bytes wait.

use std::io;

use crate::socket::Read;
use crate::transport::Transport;

/// Bytes with a front that is consumed and an end that is filled.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// The bytes that wait.
    pub(crate) fn filled(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Room for at least `room` bytes behind those that wait, to be counted by [`Self::fill`].
    pub(crate) fn spare(&mut self, room: usize) -> &mut [u8] {
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
        // Moving less than what was consumed keeps the cost of moving below that of writing.
        if self.bytes.len() - self.end < room && self.start > self.end - self.start {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.bytes.len() - self.end < room {
            self.bytes.resize(self.end + room, 0);
        }
        &mut self.bytes[self.end..]
    }

    /// Counts bytes that were put into the spare room.
    pub(crate) fn fill(&mut self, bytes: usize) {
        self.end += bytes;
    }

    /// Drops bytes from the front.
    pub(crate) fn consume(&mut self, bytes: usize) {
        self.start += bytes;
    }

    #[cfg(test)]
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.spare(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.fill(bytes.len());
    }

    /// Gives the memory back when nothing waits.
    pub(crate) fn release(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Reads once; at most `room` bytes from a socket, all that waits from a circuit.
    pub(crate) fn read_from(&mut self, transport: &Transport, room: usize) -> io::Result<Read> {
        if let Transport::Circuit(pipe) = transport
            && self.is_empty()
        {
            let (start, read) = pipe.exchange_in(&mut self.bytes)?;
            (self.start, self.end) = match read {
                Read::Bytes { count, .. } => (start, start + count),
                _ => (0, 0),
            };
            return Ok(read);
        }
        let spare = &mut self.spare(room)[..room];
        let read = transport.read(spare)?;
        if let Read::Bytes { count, .. } = read {
            self.fill(count);
        }
        Ok(read)
    }

    /// Writes what the transport takes. Returns whether all has been written.
    pub(crate) fn write_to(&mut self, transport: &Transport) -> io::Result<bool> {
        if let Transport::Circuit(pipe) = transport
            && !self.is_empty()
        {
            self.bytes.truncate(self.end);
            let (sealed, room) = (self.end - self.start, self.bytes.capacity());
            if pipe.exchange_out(&mut self.bytes, self.start)? {
                (self.start, self.end) = (0, 0);
                if sealed > room / 2 && self.bytes.capacity() < room {
                    // The next batch will be as large: growing step by step would copy it.
                    self.bytes.reserve_exact(room);
                }
                return Ok(true);
            }
        }
        while !self.is_empty() {
            match transport.write(&self.bytes[self.start..self.end])? {
                0 => return Ok(false),
                bytes => self.consume(bytes),
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_waits_and_reuses_its_room() {
        let mut buffer = Buffer::default();
        buffer.extend(b"hello ");
        buffer.extend(b"world");
        buffer.consume(6);
        assert_eq!(buffer.filled(), b"world");
        buffer.spare(6)[..1].copy_from_slice(b"!");
        buffer.fill(1);
        assert_eq!(buffer.filled(), b"world!");
        buffer.release();
        assert_eq!(buffer.len(), 6);
        buffer.consume(6);
        buffer.release();
        assert!(buffer.is_empty() && buffer.bytes.capacity() == 0);
    }
}
