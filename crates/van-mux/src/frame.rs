//! The 8-byte frame header and the closed list of frame types.
//!
//! `type u8 · flags u8 · length u16 · stream u32`, big-endian; the payload follows.

use crate::error::ProtocolError;

/// The number of a stream within a session; 0 is the session itself, odd ones belong to the
/// dialling side, even ones to the other.
pub type StreamId = u32;

/// Bytes of a frame's header.
pub const HEADER: usize = 8;

/// The most bytes of a frame's payload: header and payload fit one TLS record (16,384 bytes).
pub const MAX_PAYLOAD: usize = 16_368;

/// DATA: the last bytes of this direction.
pub const FLAG_FIN: u8 = 1;

/// ROUTE, DATAGRAM: the message goes on in the next frame of this type.
pub const FLAG_MORE: u8 = 1;

/// The most bytes of a datagram: what IPv4 leaves to UDP.
pub const MAX_DATAGRAM: usize = 65_507;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameType {
    /// The first frame each way.
    Hello = 0x01,
    /// Asks for a PONG with the same payload.
    Ping = 0x02,
    /// Answers a PING.
    Pong = 0x03,
    /// No new streams from now on.
    GoAway = 0x04,
    /// A new stream.
    Open = 0x10,
    /// The stream reached its target.
    Accept = 0x11,
    /// Bytes of a stream.
    Data = 0x12,
    /// More bytes may be sent.
    Credit = 0x13,
    /// The stream is over, both directions.
    Reset = 0x14,
    /// A datagram of a UDP flow.
    Datagram = 0x15,
    /// A link-state message.
    Route = 0x20,
    /// Reserved for sessions that resume.
    Ack = 0x30,
}

impl FrameType {
    const ALL: [Self; 12] = [
        Self::Hello,
        Self::Ping,
        Self::Pong,
        Self::GoAway,
        Self::Open,
        Self::Accept,
        Self::Data,
        Self::Credit,
        Self::Reset,
        Self::Datagram,
        Self::Route,
        Self::Ack,
    ];

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|t| *t as u8 == byte)
    }
}

/// A frame's header, valid but for what the session's state says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// `None`: unknown, from 0x80, to be passed over.
    pub kind: Option<FrameType>,
    /// Meaning depends on the type; unknown bits are passed over.
    pub flags: u8,
    /// Bytes of payload, at most [`MAX_PAYLOAD`].
    pub length: u16,
    /// 0 for the session.
    pub stream: StreamId,
}

impl Header {
    /// Writes a header.
    pub const fn encode(kind: FrameType, flags: u8, length: u16, stream: StreamId) -> [u8; HEADER] {
        let l = length.to_be_bytes();
        let s = stream.to_be_bytes();
        [kind as u8, flags, l[0], l[1], s[0], s[1], s[2], s[3]]
    }

    /// Reads a header; refuses payloads that are too long and unknown types below 0x80.
    pub fn decode(bytes: [u8; HEADER]) -> Result<Self, ProtocolError> {
        let [kind, flags, l0, l1, s0, s1, s2, s3] = bytes;
        let length = u16::from_be_bytes([l0, l1]);
        if usize::from(length) > MAX_PAYLOAD {
            return Err(ProtocolError::FrameTooLong { length });
        }
        let known = FrameType::from_byte(kind);
        if known.is_none() && kind < 0x80 {
            return Err(ProtocolError::UnknownType(kind));
        }
        Ok(Self { kind: known, flags, length, stream: u32::from_be_bytes([s0, s1, s2, s3]) })
    }
}

/// A whole frame, its payload borrowed from the buffer that it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is.
    pub header: Header,
    /// Exactly `header.length` bytes.
    pub payload: &'a [u8],
}

/// Cuts a stream of bytes into frames; keeps only what is left of an unfinished frame.
///
/// A TLS record usually ends where a frame ends, so that nothing is kept.
#[derive(Debug, Default)]
pub struct Deframer {
    partial: Vec<u8>,
}

impl Deframer {
    /// Feeds bytes and hands each whole frame to `each`, in order; stops at the first error.
    pub fn feed<E: From<ProtocolError>>(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.partial.is_empty() {
            bytes = self.complete(bytes, &mut each)?;
        }
        while let Some((frame, rest)) = split(bytes)? {
            each(frame)?;
            bytes = rest;
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    /// Completes the kept frame; returns what is left of `bytes`.
    fn complete<'b, E: From<ProtocolError>>(
        &mut self,
        bytes: &'b [u8],
        each: &mut impl FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<&'b [u8], E> {
        let bytes = self.keep_up_to(HEADER, bytes);
        let Some(header) = header_of(&self.partial)? else { return Ok(bytes) };
        let bytes = self.keep_up_to(HEADER + usize::from(header.length), bytes);
        // Out of `self` while its frame is handled; a frame kept is rare, so is this move.
        let whole = std::mem::take(&mut self.partial);
        match split(&whole)? {
            Some((frame, _)) => each(frame)?,
            None => self.partial = whole,
        }
        Ok(bytes)
    }

    /// Moves bytes into the kept frame until it has `want`; returns what is left.
    fn keep_up_to<'b>(&mut self, want: usize, bytes: &'b [u8]) -> &'b [u8] {
        let missing = want.saturating_sub(self.partial.len()).min(bytes.len());
        let (taken, rest) = bytes.split_at(missing);
        self.partial.extend_from_slice(taken);
        rest
    }

    /// Bytes kept of an unfinished frame, less than [`HEADER`] + [`MAX_PAYLOAD`].
    pub fn buffered(&self) -> usize {
        self.partial.len()
    }
}

fn header_of(bytes: &[u8]) -> Result<Option<Header>, ProtocolError> {
    bytes.first_chunk().map(|header| Header::decode(*header)).transpose()
}

fn split(bytes: &[u8]) -> Result<Option<(Frame<'_>, &[u8])>, ProtocolError> {
    let Some(header) = header_of(bytes)? else { return Ok(None) };
    let end = HEADER + usize::from(header.length);
    if bytes.len() < end {
        return Ok(None);
    }
    Ok(Some((Frame { header, payload: &bytes[HEADER..end] }, &bytes[end..])))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames() -> impl Strategy<Value = Vec<(u8, u8, u32, Vec<u8>)>> {
        let payload = proptest::collection::vec(any::<u8>(), 0..600);
        let kind = prop_oneof![Just(0x12u8), Just(0x01), Just(0x80), Just(0xff)];
        proptest::collection::vec((kind, any::<u8>(), any::<u32>(), payload), 0..12)
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_frames(frames in frames(), cuts in proptest::collection::vec(1usize..700, 1..40)) {
            let mut wire = Vec::new();
            for (kind, flags, stream, payload) in &frames {
                let mut header = Header::encode(FrameType::Data, *flags, payload.len() as u16, *stream);
                header[0] = *kind;
                wire.extend_from_slice(&header);
                wire.extend_from_slice(payload);
            }
            let mut deframer = Deframer::default();
            let mut seen = Vec::new();
            let mut rest = &wire[..];
            let mut cuts = cuts.iter().cycle();
            while !rest.is_empty() {
                let n = (*cuts.next().unwrap()).min(rest.len());
                deframer.feed::<ProtocolError>(&rest[..n], |f| {
                    seen.push((f.header.kind.map_or(0x80, |k| k as u8), f.header.flags, f.header.stream, f.payload.to_vec()));
                    Ok(())
                }).unwrap();
                rest = &rest[n..];
            }
            let sent: Vec<_> = frames.into_iter().map(|(k, f, s, p)| (k.min(0x80), f, s, p)).collect();
            prop_assert_eq!(seen, sent);
            prop_assert_eq!(deframer.buffered(), 0);
        }

        #[test]
        fn bytes_of_any_kind_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
            let _ = Deframer::default().feed::<ProtocolError>(&bytes, |_| Ok(()));
        }
    }

    #[test]
    fn too_long_and_unknown_types_are_refused() {
        let mut header = Header::encode(FrameType::Data, 0, MAX_PAYLOAD as u16 + 1, 1);
        assert!(matches!(Header::decode(header), Err(ProtocolError::FrameTooLong { .. })));
        header[0..4].copy_from_slice(&[0x7f, 0, 0, 0]);
        assert_eq!(Header::decode(header), Err(ProtocolError::UnknownType(0x7f)));
        header[0] = 0x80;
        assert_eq!(Header::decode(header).unwrap().kind, None);
    }
}
