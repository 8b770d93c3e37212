//! Datagrams: cut into fragments that follow one another without another frame between them.

use std::borrow::Cow;

use super::{Event, Session};
use crate::error::ProtocolError;
use crate::frame::{
    FLAG_MORE, Frame, FrameType, HEADER, Header, MAX_DATAGRAM, MAX_PAYLOAD, StreamId,
};
use crate::stream::Phase;

/// A datagram of which fragments have come. There is one at most, since nothing may come between, so
/// that a connection holds no more than [`MAX_DATAGRAM`] bytes for all its streams.
#[derive(Debug)]
pub(super) struct Assembly {
    stream: StreamId,
    bytes: Vec<u8>,
}

impl Session {
    /// The frames of one datagram of at most [`MAX_DATAGRAM`] bytes: each header and its payload, to be
    /// sent back to back.
    pub fn datagram_frames(
        stream: StreamId,
        datagram: &[u8],
    ) -> impl Iterator<Item = ([u8; HEADER], &[u8])> {
        let last = datagram.len().saturating_sub(1) / MAX_PAYLOAD;
        (0..=last).map(move |index| {
            let start = index * MAX_PAYLOAD;
            let part = &datagram[start..datagram.len().min(start + MAX_PAYLOAD)];
            let flags = if index < last { FLAG_MORE } else { 0 };
            (Header::encode(FrameType::Datagram, flags, part.len() as u16, stream), part)
        })
    }

    /// While fragments are due, nothing else may come.
    pub(super) fn expect_fragment(&self, header: Header) -> Result<(), ProtocolError> {
        let Some(due) = &self.assembly else { return Ok(()) };
        if header.kind == Some(FrameType::Datagram) && header.stream == due.stream {
            return Ok(());
        }
        Err(ProtocolError::Malformed(FrameType::Datagram, "another frame between its fragments"))
    }

    pub(super) fn receive_datagram<'a>(
        &mut self,
        frame: Frame<'a>,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        let bad = |why| ProtocolError::Malformed(FrameType::Datagram, why);
        let Frame { header: Header { flags, stream, .. }, payload } = frame;
        let takes = match self.known(FrameType::Datagram, stream)? {
            None => false,
            Some(entry) if !entry.datagrams => return Err(bad("not a stream of datagrams")),
            Some(entry) if entry.fin_received || entry.phase == Phase::Opening => {
                return Err(ProtocolError::Unexpected(FrameType::Datagram, stream));
            }
            Some(_) => true,
        };
        let more = flags & FLAG_MORE != 0;
        if more && payload.len() != MAX_PAYLOAD {
            return Err(bad("a fragment before the last is not full"));
        }
        let before = self.assembly.as_ref().map_or(0, |assembly| assembly.bytes.len());
        if before > 0 && payload.is_empty() {
            return Err(bad("an empty fragment"));
        }
        if before + payload.len() > MAX_DATAGRAM || (more && before + payload.len() == MAX_DATAGRAM)
        {
            return Err(bad("longer than 65507 bytes"));
        }
        if more {
            let assembly = self.assembly.get_or_insert_with(|| {
                let bytes = Vec::with_capacity(MAX_DATAGRAM);
                Assembly { stream, bytes }
            });
            assembly.bytes.extend_from_slice(payload);
            return Ok(None);
        }
        let bytes = match self.assembly.take() {
            None => Cow::Borrowed(payload),
            Some(mut assembly) => {
                assembly.bytes.extend_from_slice(payload);
                Cow::Owned(assembly.bytes)
            }
        };
        // For a stream that is over, what was on its way is passed over.
        Ok(takes.then_some(Event::Datagram { stream, bytes }))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::hello::DATAGRAMS;
    use crate::hello::tests::hello;
    use crate::open::{Accept, Open};
    use crate::window::Budget;
    use crate::{Config, Deframer, OpenError, Side, Taken};

    fn session(now: Instant, side: Side, knows: bool) -> Session {
        let mut local = hello(if side == Side::Dialler { 1 } else { 2 });
        if knows {
            local.capabilities.push(DATAGRAMS.into());
        }
        Session::new(now, side, local, &Config::new(Budget::new(0)))
    }

    /// Hands over what one has to send; returns whether there was something.
    fn pass(now: Instant, from: &mut Session, to: &mut Session) -> Result<(), ProtocolError> {
        let mut wire = Vec::new();
        from.take_control(&mut wire);
        Deframer::default().feed(&wire, |frame| to.receive(now, frame).map(|_| ()))
    }

    fn greeted(now: Instant, knows: bool) -> (Session, Session) {
        let (mut a, mut b) =
            (session(now, Side::Dialler, true), session(now, Side::Acceptor, knows));
        pass(now, &mut a, &mut b).unwrap();
        pass(now, &mut b, &mut a).unwrap();
        (a, b)
    }

    fn opened(now: Instant) -> (Session, Session, StreamId) {
        let (mut a, mut b) = greeted(now, true);
        let open = Open::datagrams("dns".parse().unwrap(), "1.2.3.4:5".parse().unwrap());
        let stream = a.open(now, &open).unwrap();
        pass(now, &mut a, &mut b).unwrap();
        (a, b, stream)
    }

    fn wire(stream: StreamId, datagram: &[u8]) -> Vec<u8> {
        Session::datagram_frames(stream, datagram)
            .flat_map(|(header, part)| [&header[..], part].concat())
            .collect()
    }

    fn feed(now: Instant, to: &mut Session, wire: &[u8]) -> Result<Vec<Vec<u8>>, ProtocolError> {
        let mut seen = Vec::new();
        Deframer::default().feed(wire, |frame| {
            if let Some(Event::Datagram { bytes, .. }) = to.receive(now, frame)? {
                seen.push(bytes.into_owned());
            }
            Ok::<_, ProtocolError>(())
        })?;
        Ok(seen)
    }

    #[test]
    fn every_size_arrives_whole() {
        let now = Instant::now();
        let (_, mut b, stream) = opened(now);
        let near = |n: usize| [n - 1, n, n + 1];
        let sizes = [vec![0, 1, 1472, 9000, MAX_DATAGRAM]]
            .into_iter()
            .chain((1..=4).map(|n| near(n * MAX_PAYLOAD).to_vec()));
        for size in sizes.flatten().filter(|size| *size <= MAX_DATAGRAM) {
            let datagram: Vec<u8> = (0..size).map(|i| (i / 7) as u8).collect();
            let wire = wire(stream, &datagram);
            assert!(Session::datagram_frames(stream, &datagram).count() <= 5);
            assert_eq!(feed(now, &mut b, &wire).unwrap(), [datagram], "{size} bytes");
        }
        assert!(b.assembly.is_none());
    }

    #[test]
    fn what_no_peer_sends() {
        let now = Instant::now();
        let header = |flags, length, stream| {
            Header::encode(FrameType::Datagram, flags, length, stream).to_vec()
        };
        let full = |stream| [header(FLAG_MORE, MAX_PAYLOAD as u16, stream), vec![7; MAX_PAYLOAD]];
        let bad: [(&str, Vec<u8>); 8] = [
            ("another frame between", {
                let ping = Header::encode(FrameType::Ping, 0, 8, 0).to_vec();
                [full(1).concat(), ping, vec![0; 8]].concat()
            }),
            ("another stream between", [full(1).concat(), header(0, 0, 3)].concat()),
            ("a short fragment", [header(FLAG_MORE, 5, 1), vec![0; 5]].concat()),
            ("an empty last fragment", [full(1).concat(), header(0, 0, 1)].concat()),
            ("five full ones", full(1).concat().repeat(5)),
            ("too long", { [full(1).concat().repeat(4), header(0, 36, 1), vec![0; 36]].concat() }),
            ("on the session", header(0, 0, 0)),
            ("on a stream that never was", header(0, 0, 9)),
        ];
        for (what, wire) in bad {
            let (_, mut b, stream) = opened(now);
            assert_eq!(stream, 1);
            assert!(feed(now, &mut b, &wire).is_err(), "{what}");
        }
        let (_, mut b, stream) = opened(now);
        let data = Header::encode(FrameType::Data, 0, 1, stream);
        assert!(feed(now, &mut b, &[&data[..], b"x"].concat()).is_err(), "bytes");
        let (mut a, _, stream) = opened(now);
        assert!(feed(now, &mut a, &wire(stream, b"x")).is_err(), "before ACCEPT");
        let (mut a, mut b) = greeted(now, true);
        let flow = a.open(now, &Open::flow("db".parse().unwrap(), None)).unwrap();
        pass(now, &mut a, &mut b).unwrap();
        assert!(feed(now, &mut b, &wire(flow, b"x")).is_err(), "a stream of bytes");
    }

    #[test]
    fn a_stream_that_is_over_takes_what_was_on_its_way() {
        let now = Instant::now();
        let (_, mut b, stream) = opened(now);
        let wire = wire(stream, &vec![1; MAX_DATAGRAM]);
        let (first, rest) = wire.split_at(HEADER + MAX_PAYLOAD);
        assert_eq!(feed(now, &mut b, first).unwrap().len(), 0);
        b.reset(stream, crate::ResetCode::Gone);
        assert_eq!(feed(now, &mut b, rest).unwrap().len(), 0);
        assert!(b.assembly.is_none());
    }

    #[test]
    fn an_older_peer_is_not_asked() {
        let now = Instant::now();
        let (mut a, mut b) = greeted(now, false);
        let open = Open::datagrams("dns".parse().unwrap(), "1.2.3.4:5".parse().unwrap());
        assert_eq!(a.open(now, &open), Err(OpenError::NoDatagrams));
        assert!(b.open(now, &open).is_ok(), "its peer says that it knows them");
    }

    #[test]
    fn datagrams_need_no_credit_and_are_never_bulk() {
        let now = Instant::now();
        let (mut a, mut b, stream) = opened(now);
        b.accept(stream, &Accept { connect_us: 0, target: String::new() });
        pass(now, &mut b, &mut a).unwrap();
        let mut sent = 0;
        while sent < 1 << 20 {
            a.wants_send(now, stream);
            let turn = a.next_turn().expect("no credit is needed");
            sent += turn.max;
            a.took_turn(now, stream, turn.max, Taken::More);
        }
        assert!(!a.waits_for_credit(stream));
        assert_eq!(a.streams.get(&stream).unwrap().class(), crate::Class::Interactive);
    }
}
