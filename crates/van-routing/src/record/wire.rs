//! A record's bytes.

use std::collections::BTreeMap;

use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Decoder, Encode};
use van_model::{Mode, SiteId};

use super::{
    MAX_ADMITTED, MAX_GROUPS, MAX_LABELS, MAX_NEIGHBOURS, MAX_OFFERS, MAX_REVOKED, Neighbour,
    OfferGroup, OfferRecord, Record, RecordError,
};
use crate::admission::{Admission, MAX_SIGNATURE, Statement};
use crate::router_id::RouterId;

/// SHA-256 of the vouchers of a record.
pub(crate) type VouchersHash = [u8; 32];

/// The longest text of a record, in bytes.
const MAX_TEXT: usize = 253;

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
    #[n(9)]
    labels: Option<BTreeMap<String, String>>,
    #[n(10)]
    revoked: Option<Vec<WireRevoked>>,
    #[n(11)]
    admitted: Option<Vec<WireAdmission>>,
    #[n(12)]
    vouchers: Option<ByteVec>,
}

#[derive(Encode, Decode)]
struct WireNeighbour(#[n(0)] ByteVec, #[n(1)] u16, #[n(2)] u16);

#[derive(Encode, Decode)]
struct WireRevoked(#[n(0)] ByteVec, #[n(1)] u64, #[n(2)] Option<ByteVec>);

#[derive(Encode, Decode)]
struct WireAdmission(#[n(0)] ByteVec, #[n(1)] ByteVec);

#[derive(Encode, Decode)]
struct WireGroup(#[n(0)] u16, #[n(1)] u16, #[n(2)] u32);

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
    #[n(5)]
    groups: Option<Vec<WireGroup>>,
}

/// Who says a record and how new it is, read without the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) router: RouterId,
    pub(crate) epoch: u32,
    pub(crate) counter: u32,
}

impl Head {
    /// Reads the head of a record's bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        Self::fields(bytes).ok().flatten().ok_or(RecordError::Malformed("it has no origin"))
    }

    fn fields(bytes: &[u8]) -> Result<Option<Self>, minicbor::decode::Error> {
        let mut decoder = Decoder::new(bytes);
        let (mut site, mut replica, mut epoch, mut counter) = (None, None, None, None);
        let mut left = decoder.map()?;
        while left != Some(0) && !(left.is_none() && at_break(&decoder)?) {
            match decoder.u64()? {
                0 => site = decoder.bytes()?.try_into().ok().map(SiteId::from_bytes),
                1 => replica = Some(decoder.u16()?),
                2 => epoch = Some(decoder.u32()?),
                3 => counter = Some(decoder.u32()?),
                _ => decoder.skip()?,
            }
            if let (Some(site), Some(replica), Some(epoch), Some(counter)) =
                (site, replica, epoch, counter)
            {
                return Ok(Some(Self { router: RouterId { site, replica }, epoch, counter }));
            }
            left = left.map(|n| n - 1);
        }
        Ok(None)
    }
}

fn at_break(decoder: &Decoder<'_>) -> Result<bool, minicbor::decode::Error> {
    Ok(decoder.datatype()? == minicbor::data::Type::Break)
}

impl Record {
    /// The bytes that are signed, with the hash of the vouchers that come beside them.
    pub(crate) fn encode(&self, vouchers: Option<VouchersHash>) -> Vec<u8> {
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
            labels: Some(self.labels.clone()).filter(|l| !l.is_empty()),
            revoked: Some(self.revoked.iter().map(WireRevoked::from).collect::<Vec<_>>())
                .filter(|r| !r.is_empty()),
            admitted: self.admitted.as_ref().map(|a| a.iter().map(WireAdmission::from).collect()),
            vouchers: vouchers.map(|hash| hash.to_vec().into()),
        };
        minicbor::to_vec(&wire).expect("writing to a vector can't fail")
    }

    /// Reads what is signed: the record, and what it says of the vouchers beside it.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Self, Option<VouchersHash>), RecordError> {
        let bad = RecordError::Malformed;
        let wire: Wire = minicbor::decode(bytes).map_err(|_| bad("not the map that is due"))?;
        let (labels, revoked) = (wire.labels.unwrap_or_default(), wire.revoked.unwrap_or_default());
        for (found, limit, text) in [
            (wire.offers.len(), MAX_OFFERS, "more than 10000 addresses"),
            (wire.neighbours.len(), MAX_NEIGHBOURS, "more than 4096 neighbours"),
            (labels.len(), MAX_LABELS, "more than 64 labels"),
            (revoked.len(), MAX_REVOKED, "more than 1024 revocations"),
            (wire.admitted.as_ref().map_or(0, Vec::len), MAX_ADMITTED, "more than 16 admissions"),
        ] {
            if found > limit {
                return Err(RecordError::TooMuch(text));
            }
        }
        if wire.epoch == u32::MAX {
            return Err(RecordError::Epoch);
        }
        let text = |t: &str| t.len() <= MAX_TEXT && !t.chars().any(char::is_control);
        if !text(&wire.name) || wire.name.is_empty() || !text(&wire.software) {
            return Err(bad("a name is empty, too long or has control characters"));
        }
        if labels.iter().any(|(key, value)| !text(key) || !text(value) || key.is_empty()) {
            return Err(bad("a label is empty, too long or has control characters"));
        }
        let neighbours = wire.neighbours.into_iter().map(|n| n.read()).collect::<Result<_, _>>()?;
        // A protocol of a later version is an offer that this site can't use, not a bad record.
        let offers: Vec<Option<OfferRecord>> =
            wire.offers.into_iter().map(|o| o.read()).collect::<Result<_, _>>()?;
        let revoked = revoked.into_iter().map(|r| r.read()).collect::<Result<_, _>>()?;
        let admitted = wire.admitted.map(|all| all.into_iter().map(|a| a.read()).collect());
        let vouchers = wire.vouchers.map(|hash| VouchersHash::try_from(&hash[..])).transpose();
        let vouchers = vouchers.map_err(|_| bad("the vouchers' hash is not 32 bytes"))?;
        let record = Self {
            origin: SiteId::from_bytes(*wire.origin),
            replica: wire.replica,
            epoch: wire.epoch,
            counter: wire.counter,
            name: wire.name,
            mode: if wire.edge { Mode::Edge } else { Mode::Interior },
            software: wire.software,
            neighbours,
            offers: offers.into_iter().flatten().collect(),
            labels,
            revoked,
            admitted: admitted.transpose()?,
        };
        Ok((record, vouchers))
    }
}

fn site_id(bytes: &[u8]) -> Result<SiteId, RecordError> {
    <[u8; SiteId::BYTES]>::try_from(bytes)
        .map(SiteId::from_bytes)
        .map_err(|_| RecordError::Malformed("a site's id is not 20 bytes"))
}

fn signature(bytes: ByteVec) -> Result<Vec<u8>, RecordError> {
    let bytes = Vec::from(bytes);
    let fits = bytes.len() <= MAX_SIGNATURE;
    fits.then_some(bytes).ok_or(RecordError::TooMuch("a signature of more than 1024 bytes"))
}

impl From<&Statement> for WireRevoked {
    fn from(said: &Statement) -> Self {
        let proof = said.proof.clone().map(ByteVec::from);
        Self(said.site.as_bytes().to_vec().into(), said.serial, proof)
    }
}

impl WireRevoked {
    fn read(self) -> Result<Statement, RecordError> {
        let Self(site, serial, proof) = self;
        Ok(Statement { site: site_id(&site)?, serial, proof: proof.map(signature).transpose()? })
    }
}

impl From<&Admission> for WireAdmission {
    fn from(said: &Admission) -> Self {
        Self(said.by.as_bytes().to_vec().into(), said.signature.clone().into())
    }
}

impl WireAdmission {
    fn read(self) -> Result<Admission, RecordError> {
        let Self(by, bytes) = self;
        Ok(Admission { by: site_id(&by)?, signature: signature(bytes)? })
    }
}

impl From<&OfferRecord> for WireOffer {
    fn from(offer: &OfferRecord) -> Self {
        let groups: Vec<_> =
            offer.groups.iter().map(|g| WireGroup(g.priority, g.weight, g.targets)).collect();
        Self {
            address: offer.address.to_string(),
            protocol: offer.protocol.to_string(),
            service_port: offer.service_port,
            target_port: offer.target_port,
            targets: offer.targets,
            groups: Some(groups).filter(|g| !g.is_empty()),
        }
    }
}

impl WireOffer {
    fn read(self) -> Result<Option<OfferRecord>, RecordError> {
        let address =
            self.address.parse().map_err(|_| RecordError::Malformed("an address is no name"))?;
        let groups = self.groups.unwrap_or_default();
        if groups.len() > MAX_GROUPS {
            return Err(RecordError::TooMuch("more than 64 groups of one offer"));
        }
        let Ok(protocol) = self.protocol.parse() else { return Ok(None) };
        let Self { service_port, target_port, mut targets, .. } = self;
        let groups: Vec<_> = groups
            .into_iter()
            .map(|WireGroup(priority, weight, targets)| OfferGroup { priority, weight, targets })
            .collect();
        if !groups.is_empty() {
            targets = groups.iter().fold(0, |sum: u32, g| sum.saturating_add(g.targets));
        }
        Ok(Some(OfferRecord { address, protocol, service_port, target_port, targets, groups }))
    }
}

impl WireNeighbour {
    fn read(self) -> Result<Neighbour, RecordError> {
        let Self(site, replica, cost) = self;
        if cost == 0 {
            return Err(RecordError::Malformed("a link's cost is 0"));
        }
        Ok(Neighbour { site: site_id(&site)?, replica, cost })
    }
}
