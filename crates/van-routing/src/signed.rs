//! A record with the proof that its origin said it.

use std::borrow::Borrow;

use minicbor::bytes::ByteSlice;
use minicbor::{Decode, Encode};
use van_model::SiteId;
use van_pki::{Authority, CertificateDer, Voucher, VoucherKind};

use crate::admission::Admission;
use crate::record::{Head, Record, RecordError, VouchersHash};
use crate::signatures::{RealSignatures, Signatures};

/// What a record's signature is made over, beside the record.
const CONTEXT: &str = "van record 1";

/// The most bytes of a signed record.
pub(crate) const MAX_BYTES: usize = 252 * 1024;

/// The most vouchers that come with a record.
pub(crate) const MAX_VOUCHERS: usize = 16;

/// A record, its origin's authority, and the vouchers that make it a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRecord {
    /// What is said.
    pub record: Record,
    /// The origin's authority certificate; its key's hash is the origin's id.
    pub authority: CertificateDer<'static>,
    /// The origin's id signed by sites that admitted or pin it.
    pub vouchers: Vec<Voucher>,
    /// As sent, so that it can be passed on unchanged.
    bytes: Box<[u8]>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Wire<'a> {
    #[cbor(b(0))]
    record: &'a ByteSlice,
    #[cbor(b(1))]
    signature: &'a ByteSlice,
    #[cbor(b(2))]
    authority: &'a ByteSlice,
    #[cbor(b(3))]
    vouchers: Vec<WireVoucher<'a>>,
}

#[derive(Encode, Decode)]
struct WireVoucher<'a>(
    #[cbor(b(0))] &'a ByteSlice,
    #[cbor(b(1))] &'a ByteSlice,
    #[n(2)] Option<u8>,
);

/// The numbers of vouchers' kinds; an admission's is left out.
const ADMISSION: u8 = 0;
const PEER: u8 = 1;

impl<'a> WireVoucher<'a> {
    fn of(voucher: &'a Voucher) -> Self {
        let kind = match voucher.kind {
            VoucherKind::Admission => None,
            VoucherKind::Peer => Some(PEER),
        };
        Self(voucher.signer.as_bytes()[..].into(), voucher.signature[..].into(), kind)
    }

    /// Reads a voucher; one of a later version's kind is passed over.
    fn read(self, subject: SiteId) -> Result<Option<Voucher>, RecordError> {
        let Self(signer, signature, kind) = self;
        let signer = <[u8; SiteId::BYTES]>::try_from(&signer[..])
            .map_err(|_| RecordError::Malformed("a voucher's signer is not 20 bytes"))?;
        let signer = SiteId::from_bytes(signer);
        let kind = match kind {
            None | Some(ADMISSION) => VoucherKind::Admission,
            Some(PEER) => VoucherKind::Peer,
            Some(_) => return Ok(None),
        };
        Ok(Some(Voucher { subject, signer, kind, signature: signature.to_vec() }))
    }
}

/// The hash by which a record's signature covers its vouchers; what later versions add to one is not
/// covered.
fn hash_of<'a, V: Borrow<WireVoucher<'a>>>(vouchers: impl Iterator<Item = V>) -> VouchersHash {
    let mut bytes = Vec::new();
    for voucher in vouchers {
        let WireVoucher(signer, signature, kind) = voucher.borrow();
        for part in [&signer[..], &signature[..], &[kind.unwrap_or(ADMISSION)]] {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        }
    }
    van_pki::sha256(&bytes)
}

impl SignedRecord {
    /// Signs a record with its site's authority.
    pub fn sign(record: Record, authority: &Authority, vouchers: Vec<Voucher>) -> Self {
        let hash = hash_of(vouchers.iter().map(WireVoucher::of));
        let body = record.encode(Some(hash));
        Self::sign_body(record, &body, authority, vouchers)
    }

    /// Signs a record whose bytes are `body`.
    pub(crate) fn sign_body(
        record: Record,
        body: &[u8],
        authority: &Authority,
        vouchers: Vec<Voucher>,
    ) -> Self {
        let signature = authority.sign(CONTEXT, body);
        let wire = Wire {
            signature: signature[..].into(),
            record: body.into(),
            authority: authority.certificate()[..].into(),
            vouchers: vouchers.iter().map(WireVoucher::of).collect(),
        };
        let bytes = minicbor::to_vec(&wire).expect("writing to a vector can't fail");
        let authority = authority.certificate().clone();
        Self { record, authority, vouchers, bytes: bytes.into() }
    }

    /// Reads a record and checks its signature against the authority that it names.
    ///
    /// Whether that site is a member is another question, which its vouchers answer.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        Self::check(bytes, &RealSignatures, None)
    }

    /// Like [`SignedRecord::decode`]; `known` is an authority that is known to be the origin's.
    pub(crate) fn check(
        bytes: &[u8],
        signatures: &dyn Signatures,
        known: Option<&CertificateDer<'static>>,
    ) -> Result<Self, RecordError> {
        let wire = Self::wire(bytes)?;
        if wire.vouchers.len() > MAX_VOUCHERS {
            return Err(RecordError::TooMuch("more than 16 vouchers"));
        }
        let (record, hash) = Record::decode(wire.record)?;
        let authority = CertificateDer::from(wire.authority.to_vec());
        let is_origins = known.is_some_and(|k| *k == authority)
            || signatures.site_id(&authority) == Some(record.origin);
        if !is_origins || !signatures.verify(&authority, CONTEXT, wire.record, wire.signature) {
            return Err(RecordError::Signature);
        }
        // Older versions say nothing of them.
        if hash.is_some_and(|hash| hash != hash_of(wire.vouchers.iter())) {
            return Err(RecordError::Vouchers);
        }
        let vouchers = wire.vouchers.into_iter().map(|voucher| voucher.read(record.origin));
        let vouchers = vouchers.collect::<Result<Vec<_>, RecordError>>()?;
        let vouchers = vouchers.into_iter().flatten().collect();
        Ok(Self { record, authority, vouchers, bytes: bytes.into() })
    }

    /// Reads who says a record and how new it is, and checks nothing else.
    pub(crate) fn head(bytes: &[u8]) -> Result<Head, RecordError> {
        Head::decode(Self::wire(bytes)?.record)
    }

    fn wire(bytes: &[u8]) -> Result<Wire<'_>, RecordError> {
        if bytes.len() > MAX_BYTES {
            return Err(RecordError::TooMuch("more than 252 KiB"));
        }
        minicbor::decode(bytes).map_err(|_| RecordError::Malformed("not the map that is due"))
    }

    /// The origin's word on a voucher of an admission.
    pub(crate) fn word_on(&self, voucher: &Voucher) -> Option<&Admission> {
        let said = self.record.admitted.iter().flatten();
        said.filter(|_| voucher.kind == VoucherKind::Admission).find(|a| a.by == voucher.signer)
    }

    /// Whether a voucher is one that the origin shows. Older versions' signatures don't cover vouchers:
    /// who passes a record on could add an admission of its own, on which there is no word in the record.
    /// Of still older ones, which give no word at all, each voucher counts.
    pub(crate) fn shows(&self, voucher: &Voucher) -> bool {
        voucher.kind == VoucherKind::Peer
            || self.record.admitted.is_none()
            || self.word_on(voucher).is_some()
    }

    /// The bytes to send.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;
    use van_model::{Mode, Protocol};

    use super::*;
    use crate::admission::Statement;
    use crate::record::{Neighbour, OfferRecord};

    fn now() -> Timestamp {
        "2026-11-22T00:00:00Z".parse().unwrap()
    }

    fn signed() -> (Authority, SignedRecord) {
        let authority = Authority::generate(now()).unwrap();
        let other = Authority::generate(now()).unwrap();
        let record = Record {
            origin: authority.id(),
            replica: 0,
            epoch: 3,
            counter: 9,
            name: "db-host".into(),
            mode: Mode::Interior,
            software: "0.1.0".into(),
            neighbours: vec![Neighbour { site: other.id(), replica: 0, cost: 2 }],
            offers: vec![OfferRecord {
                address: "db".parse().unwrap(),
                protocol: Protocol::Tcp,
                service_port: None,
                target_port: Some(5432),
                targets: 1,
                groups: vec![],
            }],
            labels: [("zone".into(), "a".into())].into(),
            revoked: vec![Statement { site: other.id(), serial: 1, proof: Some(vec![7; 70]) }],
            admitted: Some(vec![Admission::sign(&authority, other.id())]),
        };
        let voucher = Voucher::issue(&other, authority.id());
        let signed = SignedRecord::sign(record, &authority, vec![voucher]);
        (authority, signed)
    }

    #[test]
    fn round_trip() {
        let (_, signed) = signed();
        assert_eq!(SignedRecord::decode(signed.as_bytes()).unwrap(), signed);
    }

    /// The record as somebody on the way would send it on.
    fn with_vouchers(signed: &SignedRecord, vouchers: &[Voucher]) -> Vec<u8> {
        let wire = SignedRecord::wire(signed.as_bytes()).unwrap();
        let vouchers = vouchers.iter().map(WireVoucher::of).collect();
        minicbor::to_vec(Wire { vouchers, ..wire }).unwrap()
    }

    #[test]
    fn vouchers_can_not_be_left_out_added_or_changed() {
        let (authority, signed) = signed();
        let mine = signed.vouchers.clone();
        let other = Voucher::issue(&Authority::generate(now()).unwrap(), authority.id());
        let as_peer = Voucher { kind: VoucherKind::Peer, ..mine[0].clone() };
        let unsigned = Voucher { signature: vec![0; 70], ..mine[0].clone() };
        for others in [vec![], vec![mine[0].clone(), other], vec![as_peer], vec![unsigned]] {
            let changed = with_vouchers(&signed, &others);
            assert_eq!(SignedRecord::decode(&changed), Err(RecordError::Vouchers), "{others:?}");
        }
        assert_eq!(SignedRecord::decode(&with_vouchers(&signed, &mine)).unwrap(), signed);
    }

    #[test]
    fn a_record_of_a_version_that_signs_no_vouchers_is_read() {
        let (authority, signed) = signed();
        let body = signed.record.encode(None);
        let old = SignedRecord::sign_body(signed.record, &body, &authority, signed.vouchers);
        assert_eq!(SignedRecord::decode(old.as_bytes()).unwrap(), old);
        let stripped = SignedRecord::decode(&with_vouchers(&old, &[])).unwrap();
        assert_eq!(stripped.vouchers, []);
    }

    #[test]
    fn another_site_can_not_say_it() {
        let (_, signed) = signed();
        let forger = Authority::generate(now()).unwrap();
        let forged = SignedRecord::sign(signed.record, &forger, vec![]);
        assert_eq!(SignedRecord::decode(forged.as_bytes()), Err(RecordError::Signature));
    }

    #[test]
    fn any_changed_byte_of_what_is_signed_is_noticed() {
        let (_, signed) = signed();
        let bytes = signed.as_bytes();
        for i in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[i] ^= 1;
            if let Ok(read) = SignedRecord::decode(&changed) {
                assert_eq!(read.record, signed.record, "byte {i}");
            }
        }
        for cut in 0..bytes.len() {
            assert!(SignedRecord::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn bytes_of_any_kind_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
            prop_assert!(SignedRecord::decode(&bytes).is_err());
        }
    }
}
