//! HELLO: who the peer is and what it can take.

use minicbor::{Decode, Encode};
use van_model::{Mode, SiteId};

use crate::error::ProtocolError;
use crate::frame::{FrameType, MAX_PAYLOAD};

/// The protocol version that this code speaks.
pub const VERSION: u16 = 1;

/// The capability of taking streams of datagrams ([`crate::Kind::Datagrams`]). To a peer that does not
/// name it none is opened: it would close the connection over a kind that it does not know.
pub const DATAGRAMS: &str = "datagrams";

/// The most bytes of a HELLO's text fields.
const MAX_TEXT: usize = 253;

/// The first frame of each direction. Fields of a later version are passed over.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Hello {
    /// Lowest version spoken.
    #[n(0)]
    pub version_min: u16,
    /// Highest version spoken.
    #[n(1)]
    pub version_max: u16,
    /// Who the sender is; must equal its certificate's id.
    #[cbor(n(2), with = "site_id")]
    pub site: SiteId,
    /// Which of the site's routers.
    #[n(3)]
    pub replica: u16,
    /// New at each start of the daemon.
    #[n(4)]
    pub instance: u64,
    /// The site's name.
    #[n(5)]
    pub name: String,
    /// Whether the site is an edge.
    #[n(6)]
    pub edge: bool,
    /// Whether the site is forgotten a day after its last link.
    #[n(7)]
    pub ephemeral: bool,
    /// The software's version, for people.
    #[n(8)]
    pub software: String,
    /// The link that this connection belongs to; the dialler's choice.
    #[n(9)]
    pub link: u64,
    /// The link's cost, 1..=65535; both ends use the dialler's.
    #[n(10)]
    pub cost: u16,
    /// The connection's number within its link.
    #[n(11)]
    pub connection: u16,
    /// Bytes that the peer may send on each new stream before any CREDIT, 1 to 1 GiB.
    #[n(12)]
    pub initial_credit: u32,
    /// Streams that the peer may have open.
    #[n(13)]
    pub max_streams: u32,
    /// Names of optional features; unknown ones are passed over.
    #[n(14)]
    pub capabilities: Vec<String>,
    /// The name of the link at the dialler.
    #[n(15)]
    pub link_name: Option<String>,
}

impl Hello {
    /// The site's mode.
    pub fn mode(&self) -> Mode {
        if self.edge { Mode::Edge } else { Mode::Interior }
    }

    /// Whether the site takes streams of datagrams.
    pub fn takes_datagrams(&self) -> bool {
        self.capabilities.iter().any(|capability| capability == DATAGRAMS)
    }

    /// The payload of the frame; at most [`MAX_PAYLOAD`] bytes for a valid HELLO.
    pub fn encode(&self) -> Vec<u8> {
        minicbor::to_vec(self).expect("writing to a vector can't fail")
    }

    /// Reads and checks a payload.
    pub fn decode(payload: &[u8]) -> Result<Self, ProtocolError> {
        let bad = |why| ProtocolError::Malformed(FrameType::Hello, why);
        if payload.len() > MAX_PAYLOAD {
            return Err(bad("too long"));
        }
        let hello: Self = minicbor::decode(payload).map_err(|_| bad("not the map that is due"))?;
        let text = |text: &str| text.len() <= MAX_TEXT && !text.chars().any(char::is_control);
        if !text(&hello.name) || !text(&hello.software) || hello.name.is_empty() {
            return Err(bad("a name is empty, too long or has control characters"));
        }
        if hello.link_name.as_deref().is_some_and(|name| !text(name)) {
            return Err(bad("the link's name is too long or has control characters"));
        }
        if hello.cost == 0 {
            return Err(bad("the cost is 0"));
        }
        if hello.capabilities.len() > 64 || hello.capabilities.iter().any(|c| c.len() > 64) {
            return Err(bad("too many capabilities"));
        }
        if hello.initial_credit == 0 {
            // No stream to this peer could ever send.
            return Err(bad("the initial credit is 0"));
        }
        if hello.initial_credit > 1 << 30 {
            return Err(bad("the initial credit is above 1 GiB"));
        }
        Ok(hello)
    }

    /// The highest version that both speak.
    pub fn common_version(&self, theirs: &Self) -> Result<u16, ProtocolError> {
        let common = self.version_max.min(theirs.version_max);
        if common >= self.version_min.max(theirs.version_min) {
            return Ok(common);
        }
        let range = |h: &Self| match (h.version_min, h.version_max) {
            (min, max) if min == max => max.to_string(),
            (min, max) => format!("{min} to {max}"),
        };
        Err(ProtocolError::Version { ours: range(self), theirs: range(theirs) })
    }
}

mod site_id {
    use minicbor::bytes::ByteArray;
    use minicbor::decode::Error as DecodeError;
    use minicbor::encode::{Error as EncodeError, Write};
    use minicbor::{Decoder, Encoder};
    use van_model::SiteId;

    pub(super) fn encode<C, W: Write>(
        id: &SiteId,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), EncodeError<W::Error>> {
        minicbor::Encode::encode(&ByteArray::from(*id.as_bytes()), e, ctx)
    }

    pub(super) fn decode<'b, C>(d: &mut Decoder<'b>, ctx: &mut C) -> Result<SiteId, DecodeError> {
        let bytes: ByteArray<{ SiteId::BYTES }> = minicbor::Decode::decode(d, ctx)?;
        Ok(SiteId::from_bytes(*bytes))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn hello(byte: u8) -> Hello {
        Hello {
            version_min: VERSION,
            version_max: VERSION,
            site: SiteId::from_bytes([byte; 20]),
            replica: 0,
            instance: u64::from(byte),
            name: format!("site-{byte}"),
            edge: false,
            ephemeral: false,
            software: "test".into(),
            link: 7,
            cost: 1,
            connection: 0,
            initial_credit: 65_536,
            max_streams: 1000,
            capabilities: vec![],
            link_name: None,
        }
    }

    #[test]
    fn round_trip_and_unknown_fields() {
        let hello = hello(1);
        assert_eq!(Hello::decode(&hello.encode()).unwrap(), hello);
        // A map with one more entry, as a later version would send it.
        let mut later = hello.encode();
        assert_eq!(later[0] & 0xe0, 0xa0, "a map of fewer than 24 entries");
        later[0] += 1;
        later.extend_from_slice(&[0x18, 99, 0x63, b'n', b'e', b'w']);
        assert_eq!(Hello::decode(&later).unwrap(), hello);
    }

    #[test]
    fn bad_hellos() {
        let bad = |change: &dyn Fn(&mut Hello)| {
            let mut h = hello(1);
            change(&mut h);
            Hello::decode(&h.encode()).unwrap_err()
        };
        assert!(matches!(bad(&|h| h.cost = 0), ProtocolError::Malformed(FrameType::Hello, _)));
        assert!(matches!(bad(&|h| h.name = String::new()), ProtocolError::Malformed(..)));
        assert!(matches!(bad(&|h| h.name = "a\nb".into()), ProtocolError::Malformed(..)));
        assert!(matches!(bad(&|h| h.software = "x".repeat(300)), ProtocolError::Malformed(..)));
        assert!(matches!(bad(&|h| h.initial_credit = u32::MAX), ProtocolError::Malformed(..)));
        assert!(matches!(Hello::decode(b"\xff"), Err(ProtocolError::Malformed(..))));
        let whole = hello(1).encode();
        for cut in 0..whole.len() {
            assert!(Hello::decode(&whole[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn versions() {
        let (mut a, mut b) = (hello(1), hello(2));
        (a.version_min, a.version_max, b.version_min, b.version_max) = (1, 3, 2, 5);
        assert_eq!(a.common_version(&b), Ok(3));
        b.version_min = 4;
        let error = a.common_version(&b).unwrap_err().to_string();
        assert!(error.contains("1 to 3") && error.contains("4 to 5"), "{error}");
    }
}
