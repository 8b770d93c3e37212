//! Bytes of any kind into a session: no panic, bounded answers, and cuts make no difference.

use std::time::{Duration, Instant};

use van_model::SiteId;
use van_mux::{
    Accept, Budget, Config, DATAGRAMS, Deframer, Event, FrameType, HEADER, Header, Hello,
    MAX_DATAGRAM, MAX_PAYLOAD, ProtocolError, ResetCode, Session, Side, StreamId, VERSION,
};

/// The first byte chooses: bit 0 who dialled, bit 1 whether a good HELLO goes before the rest, the
/// other bits how the rest is cut.
pub(crate) fn run(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else { return };
    let side = if choice & 1 == 0 { Side::Dialler } else { Side::Acceptor };
    let greeted = choice & 2 != 0;
    let whole = feed(side, greeted, bytes, bytes.len().max(1));
    let cut = feed(side, greeted, bytes, usize::from(choice >> 2) + 1);
    assert_eq!(whole, cut, "a cut made a difference");
}

/// Feeds all, `step` bytes at a time; returns what was seen, what was answered and the error.
fn feed(
    side: Side,
    greeted: bool,
    bytes: &[u8],
    step: usize,
) -> (Vec<(StreamId, usize)>, Vec<u8>, Option<ProtocolError>) {
    let now = Instant::now();
    let process = Budget::new(1 << 20);
    let mut session = Session::new(now, side, hello(), &Config::new(process.clone()));
    let mut deframer = Deframer::default();
    let mut seen = Vec::new();
    let mut each = |frame: van_mux::Frame<'_>| -> Result<(), ProtocolError> {
        match session.receive(now, frame)? {
            Some(Event::Open { stream, open }) => {
                // Some taken, some refused, some left as they are.
                match open.hop_limit % 3 {
                    0 => session.accept(stream, &Accept { connect_us: 0, target: open.hint }),
                    1 => session.reset(stream, ResetCode::Refused),
                    _ => {}
                }
                seen.push((stream, 0));
            }
            Some(Event::Data { stream, bytes, fin }) => {
                seen.push((stream, bytes.len()));
                session.delivered(now, stream, bytes.len());
                if fin {
                    session.finish_delivered(stream);
                }
            }
            Some(Event::Datagram { stream, bytes }) => {
                assert!(bytes.len() <= MAX_DATAGRAM);
                seen.push((stream, bytes.len()));
            }
            _ => {}
        }
        Ok(())
    };
    let mut error = None;
    if greeted {
        let payload = hello().encode();
        let header = Header::encode(FrameType::Hello, 0, payload.len() as u16, 0);
        deframer.feed(&[&header[..], &payload].concat(), &mut each).expect("a good HELLO");
    }
    for part in bytes.chunks(step) {
        if let Err(bad) = deframer.feed(part, &mut each) {
            error = Some(bad);
            break;
        }
        assert!(deframer.buffered() < HEADER + MAX_PAYLOAD);
    }
    if error.is_none() {
        let _ = session.handle_timeout(now + Duration::from_secs(1));
    }
    let mut answers = Vec::new();
    session.take_control(&mut answers);
    drop(session);
    assert_eq!(process.left(), 1 << 20, "the budget is given back");
    (seen, answers, error)
}

fn hello() -> Hello {
    Hello {
        version_min: VERSION,
        version_max: VERSION,
        site: SiteId::from_bytes([1; SiteId::BYTES]),
        replica: 0,
        instance: 1,
        name: "site".into(),
        edge: false,
        ephemeral: false,
        software: "fuzz".into(),
        link: 1,
        cost: 1,
        connection: 0,
        initial_credit: 4096,
        max_streams: 50,
        capabilities: vec![DATAGRAMS.into()],
        link_name: None,
    }
}
