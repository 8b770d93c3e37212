//! What neighbours send each other.
//!
//! A message is one CBOR map. A reader passes over fields that it doesn't know, and over whole
//! messages of a kind that it doesn't know.

use std::sync::Arc;

use minicbor::bytes::{ByteSlice, ByteVec};
use minicbor::{Decode, Encode};
use van_model::SiteId;

use crate::error::RouteError;
use crate::router_id::RouterId;
use crate::version::Version;

/// The most bytes of a message: one record of the largest size, and what goes around it.
pub const MAX_MESSAGE: usize = 257 * 1024;

/// The bytes at which a message with several records is full.
pub(crate) const FULL: usize = 60 * 1024;

/// The most versions in one message.
pub(crate) const MAX_VERSIONS: usize = 4096;

const DIGEST: u16 = 1;
const REQUEST: u16 = 2;
const RECORDS: u16 = 3;
const ACK: u16 = 4;
const VOUCHER: u16 = 5;

#[derive(Encode, Decode)]
#[cbor(map)]
struct Wire<'a> {
    #[n(0)]
    kind: u16,
    #[n(1)]
    number: Option<u64>,
    #[cbor(b(2))]
    versions: Option<Vec<WireVersion<'a>>>,
    #[cbor(b(3))]
    records: Option<Vec<WireRecord<'a>>>,
    #[n(4)]
    signature: Option<ByteVec>,
    #[n(5)]
    edge: Option<bool>,
}

#[derive(Encode, Decode)]
struct WireVersion<'a>(
    #[cbor(b(0))] &'a ByteSlice,
    #[n(1)] u16,
    #[n(2)] u32,
    #[n(3)] u32,
    #[n(4)] u32,
);

#[derive(Encode, Decode)]
struct WireRecord<'a>(#[n(0)] u32, #[cbor(b(1))] &'a ByteSlice);

/// A message as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message<'a> {
    /// Everything that the sender has. An edge router's is no offer: it passes nothing on.
    Digest { number: u64, edge: bool, versions: Vec<(RouterId, Version)> },
    /// Records that the sender lacks.
    Request(Vec<RouterId>),
    /// Signed records as their origins made them, each with its age in seconds.
    Records(Vec<(u32, &'a [u8])>),
    /// What arrived: records, and the digest of that number.
    Ack { digest: Option<u64>, versions: Vec<(RouterId, Version)> },
    /// The receiver's id, signed by the sender, who pins it.
    Voucher(Vec<u8>),
    /// A kind of a later version.
    Unknown(u16),
}

impl<'a> WireVersion<'a> {
    fn of((router, version): &'a (RouterId, Version)) -> Self {
        let site = router.site.as_bytes()[..].into();
        Self(site, router.replica, version.epoch, version.counter, version.tie)
    }

    fn read(self) -> Result<(RouterId, Version), RouteError> {
        let Self(site, replica, epoch, counter, tie) = self;
        let site = <[u8; SiteId::BYTES]>::try_from(&site[..])
            .map_err(|_| RouteError::Malformed("a site's id is not 20 bytes"))?;
        let router = RouterId { site: SiteId::from_bytes(site), replica };
        Ok((router, Version { epoch, counter, tie }))
    }
}

impl<'a> Message<'a> {
    /// Reads a message.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, RouteError> {
        if bytes.len() > MAX_MESSAGE {
            return Err(RouteError::TooMuch("more than 257 KiB"));
        }
        let kind = Kind::decode(bytes)?;
        if !(DIGEST..=VOUCHER).contains(&kind) {
            return Ok(Self::Unknown(kind));
        }
        let wire: Wire<'a> = minicbor::decode(bytes)
            .map_err(|_| RouteError::Malformed("not the map that is due"))?;
        let versions = wire.versions.unwrap_or_default();
        if versions.len() > MAX_VERSIONS {
            return Err(RouteError::TooMuch("more than 4096 versions"));
        }
        let versions: Vec<_> = versions.into_iter().map(|v| v.read()).collect::<Result<_, _>>()?;
        Ok(match kind {
            DIGEST => Self::Digest {
                number: wire.number.ok_or(RouteError::Malformed("a digest has no number"))?,
                edge: wire.edge.unwrap_or(false),
                versions,
            },
            REQUEST => Self::Request(versions.into_iter().map(|(router, _)| router).collect()),
            RECORDS => {
                let records = wire.records.unwrap_or_default();
                Self::Records(records.into_iter().map(|WireRecord(age, r)| (age, &**r)).collect())
            }
            ACK => Self::Ack { digest: wire.number, versions },
            _ => {
                let signature = wire.signature.ok_or(RouteError::Malformed("no voucher in it"))?;
                Self::Voucher(signature.into())
            }
        })
    }

    /// The message's bytes.
    pub(crate) fn encode(&self) -> Arc<[u8]> {
        let none = Version { epoch: 0, counter: 0, tie: 0 };
        let asked: Vec<_> = match self {
            Self::Request(routers) => routers.iter().map(|router| (*router, none)).collect(),
            _ => Vec::new(),
        };
        let mut wire = Wire {
            kind: 0,
            number: None,
            versions: None,
            records: None,
            signature: None,
            edge: None,
        };
        match self {
            Self::Digest { number, edge, versions } => {
                wire.kind = DIGEST;
                wire.number = Some(*number);
                wire.edge = edge.then_some(true);
                wire.versions = list(versions);
            }
            Self::Request(_) => {
                wire.kind = REQUEST;
                wire.versions = list(&asked);
            }
            Self::Records(records) => {
                wire.kind = RECORDS;
                wire.records =
                    Some(records.iter().map(|(age, r)| WireRecord(*age, (*r).into())).collect());
            }
            Self::Ack { digest, versions } => {
                wire.kind = ACK;
                wire.number = *digest;
                wire.versions = list(versions);
            }
            Self::Voucher(signature) => {
                wire.kind = VOUCHER;
                wire.signature = Some(signature.clone().into());
            }
            Self::Unknown(kind) => wire.kind = *kind,
        }
        minicbor::to_vec(&wire).expect("writing to a vector can't fail").into()
    }
}

fn list(versions: &[(RouterId, Version)]) -> Option<Vec<WireVersion<'_>>> {
    Some(versions.iter().map(WireVersion::of).collect())
}

/// The kind alone, so that a later version's message may have any other fields.
#[derive(Decode)]
#[cbor(map)]
struct Kind {
    #[n(0)]
    kind: u16,
}

impl Kind {
    fn decode(bytes: &[u8]) -> Result<u16, RouteError> {
        minicbor::decode(bytes)
            .map(|Self { kind }| kind)
            .map_err(|_| RouteError::Malformed("not a map with a kind"))
    }
}
