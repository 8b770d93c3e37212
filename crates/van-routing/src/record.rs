//! What a router says of itself.

use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Encode};
use van_model::{Address, Mode, Protocol, SiteId};

/// The most addresses that a site may offer.
pub const MAX_OFFERS: usize = 10_000;

/// The most neighbours of a router.
const MAX_NEIGHBOURS: usize = 4096;

/// Why bytes are not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not the form that is due.
    #[error("the record can't be read: {0}")]
    Malformed(&'static str),
    /// More than a site may say.
    #[error("the record says more than a site may: {0}")]
    TooMuch(&'static str),
    /// Not signed by the authority that it names, or that authority is not its origin's.
    #[error("the record is not signed by the site that it speaks of")]
    Signature,
}

/// An address that a site offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferRecord {
    /// The service's name.
    pub address: Address,
    /// What it speaks.
    pub protocol: Protocol,
    /// The port under which it is to appear, where one was given.
    pub service_port: Option<u16>,
    /// The lowest port of its targets.
    pub target_port: Option<u16>,
    /// Healthy targets.
    pub targets: u32,
}

/// A link of a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// The site at the other end.
    pub site: SiteId,
    /// Which of its routers.
    pub replica: u16,
    /// The link's cost, 1..=65535.
    pub cost: u16,
}

/// What a router says of itself; a newer one has a higher (epoch, counter).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Who says it.
    pub origin: SiteId,
    /// Which of the site's routers.
    pub replica: u16,
    /// Rises with each start.
    pub epoch: u32,
    /// Rises with each change.
    pub counter: u32,
    /// The site's name.
    pub name: String,
    /// Interior or edge.
    pub mode: Mode,
    /// The software's version.
    pub software: String,
    /// Its links.
    pub neighbours: Vec<Neighbour>,
    /// What it offers.
    pub offers: Vec<OfferRecord>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Wire {
    #[n(0)]
    origin: ByteArray<{ SiteId::BYTES }>,
    #[n(1)]
    replica: u16,
    #[n(2)]
    epoch: u32,
    #[n(3)]
    counter: u32,
    #[n(4)]
    name: String,
    #[n(5)]
    edge: bool,
    #[n(6)]
    software: String,
    #[n(7)]
    neighbours: Vec<WireNeighbour>,
    #[n(8)]
    offers: Vec<WireOffer>,
}

#[derive(Encode, Decode)]
struct WireNeighbour(#[n(0)] ByteVec, #[n(1)] u16, #[n(2)] u16);

#[derive(Encode, Decode)]
#[cbor(map)]
struct WireOffer {
    #[n(0)]
    address: String,
    #[n(1)]
    protocol: String,
    #[n(2)]
    service_port: Option<u16>,
    #[n(3)]
    target_port: Option<u16>,
    #[n(4)]
    targets: u32,
}

impl Record {
    /// (epoch, counter): the higher is the newer.
    pub fn sequence(&self) -> (u32, u32) {
        (self.epoch, self.counter)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let neighbours = self.neighbours.iter();
        let wire = Wire {
            origin: (*self.origin.as_bytes()).into(),
            replica: self.replica,
            epoch: self.epoch,
            counter: self.counter,
            name: self.name.clone(),
            edge: self.mode == Mode::Edge,
            software: self.software.clone(),
            neighbours: neighbours
                .map(|n| WireNeighbour(n.site.as_bytes().to_vec().into(), n.replica, n.cost))
                .collect(),
            offers: self.offers.iter().map(WireOffer::from).collect(),
        };
        minicbor::to_vec(&wire).expect("writing to a vector can't fail")
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let bad = RecordError::Malformed;
        let wire: Wire = minicbor::decode(bytes).map_err(|_| bad("not the map that is due"))?;
        if wire.offers.len() > MAX_OFFERS {
            return Err(RecordError::TooMuch("more than 10000 addresses"));
        }
        if wire.neighbours.len() > MAX_NEIGHBOURS {
            return Err(RecordError::TooMuch("more than 4096 neighbours"));
        }
        let text = |t: &str| t.len() <= 253 && !t.chars().any(char::is_control);
        if !text(&wire.name) || wire.name.is_empty() || !text(&wire.software) {
            return Err(bad("a name is empty, too long or has control characters"));
        }
        let neighbours = wire.neighbours.into_iter().map(|n| n.read()).collect::<Result<_, _>>()?;
        // A protocol of a later version is an offer that this site can't use, not a bad record.
        let offers: Vec<Option<OfferRecord>> =
            wire.offers.into_iter().map(|o| o.read()).collect::<Result<_, _>>()?;
        Ok(Self {
            origin: SiteId::from_bytes(*wire.origin),
            replica: wire.replica,
            epoch: wire.epoch,
            counter: wire.counter,
            name: wire.name,
            mode: if wire.edge { Mode::Edge } else { Mode::Interior },
            software: wire.software,
            neighbours,
            offers: offers.into_iter().flatten().collect(),
        })
    }
}

impl From<&OfferRecord> for WireOffer {
    fn from(offer: &OfferRecord) -> Self {
        Self {
            address: offer.address.to_string(),
            protocol: offer.protocol.to_string(),
            service_port: offer.service_port,
            target_port: offer.target_port,
            targets: offer.targets,
        }
    }
}

impl WireOffer {
    fn read(self) -> Result<Option<OfferRecord>, RecordError> {
        let address =
            self.address.parse().map_err(|_| RecordError::Malformed("an address is no name"))?;
        let Ok(protocol) = self.protocol.parse() else { return Ok(None) };
        let Self { service_port, target_port, targets, .. } = self;
        Ok(Some(OfferRecord { address, protocol, service_port, target_port, targets }))
    }
}

impl WireNeighbour {
    fn read(self) -> Result<Neighbour, RecordError> {
        let Self(site, replica, cost) = self;
        let site = <[u8; SiteId::BYTES]>::try_from(site.as_slice())
            .map_err(|_| RecordError::Malformed("a neighbour's id is not 20 bytes"))?;
        if cost == 0 {
            return Err(RecordError::Malformed("a link's cost is 0"));
        }
        Ok(Neighbour { site: SiteId::from_bytes(site), replica, cost })
    }
}
