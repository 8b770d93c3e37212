//! A record with the proof that its origin said it.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use van_model::SiteId;
use van_pki::{Authority, CertificateDer, Voucher};

use crate::record::{Record, RecordError};

/// What a record's signature is made over, beside the record.
const CONTEXT: &str = "van record 1";

/// The most bytes of a signed record.
const MAX_BYTES: usize = 256 * 1024;

/// The most vouchers that come with a record.
const MAX_VOUCHERS: usize = 16;

/// A record, its origin's authority, and the vouchers that make it a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRecord {
    /// What is said.
    pub record: Record,
    /// The origin's authority certificate; its key's hash is the origin's id.
    pub authority: CertificateDer<'static>,
    /// The origin's id signed by sites whose tokens admitted it.
    pub vouchers: Vec<Voucher>,
    /// As sent, so that it can be passed on unchanged.
    bytes: Vec<u8>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Wire {
    #[n(0)]
    record: ByteVec,
    #[n(1)]
    signature: ByteVec,
    #[n(2)]
    authority: ByteVec,
    #[n(3)]
    vouchers: Vec<WireVoucher>,
}

#[derive(Encode, Decode)]
struct WireVoucher(#[n(0)] ByteVec, #[n(1)] ByteVec);

impl SignedRecord {
    /// Signs a record with its site's authority.
    pub fn sign(record: Record, authority: &Authority, vouchers: Vec<Voucher>) -> Self {
        let body = record.encode();
        let wire = Wire {
            signature: authority.sign(CONTEXT, &body).into(),
            record: body.into(),
            authority: authority.certificate().to_vec().into(),
            vouchers: vouchers
                .iter()
                .map(|v| {
                    WireVoucher(v.signer.as_bytes().to_vec().into(), v.signature.clone().into())
                })
                .collect(),
        };
        let bytes = minicbor::to_vec(&wire).expect("writing to a vector can't fail");
        Self { record, authority: authority.certificate().clone(), vouchers, bytes }
    }

    /// Reads a record and checks its signature against the authority that it names.
    ///
    /// Whether that site is a member is another question, which its vouchers answer.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > MAX_BYTES {
            return Err(RecordError::TooMuch("more than 256 KiB"));
        }
        let wire: Wire = minicbor::decode(bytes)
            .map_err(|_| RecordError::Malformed("not the map that is due"))?;
        if wire.vouchers.len() > MAX_VOUCHERS {
            return Err(RecordError::TooMuch("more than 16 vouchers"));
        }
        let record = Record::decode(&wire.record)?;
        let authority = CertificateDer::from(Vec::from(wire.authority));
        let signed = van_pki::site_id(&authority) == Ok(record.origin)
            && van_pki::verify(&authority, CONTEXT, &wire.record, &wire.signature).is_ok();
        if !signed {
            return Err(RecordError::Signature);
        }
        let vouchers = wire.vouchers.into_iter().map(|WireVoucher(signer, signature)| {
            let signer = <[u8; SiteId::BYTES]>::try_from(signer.as_slice())
                .map_err(|_| RecordError::Malformed("a voucher's signer is not 20 bytes"))?;
            Ok(Voucher {
                subject: record.origin,
                signer: SiteId::from_bytes(signer),
                signature: signature.into(),
            })
        });
        let vouchers = vouchers.collect::<Result<_, RecordError>>()?;
        Ok(Self { record, authority, vouchers, bytes: bytes.to_vec() })
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
            }],
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
