//! Signatures and vouchers.

use super::{NOW, at};
use crate::{Authority, PkiError, Voucher, VoucherKind, verify};

#[test]
fn a_signature_counts_for_one_message_one_context_and_one_signer() {
    let (site, other) =
        (Authority::generate(at(NOW)).unwrap(), Authority::generate(at(NOW)).unwrap());
    let signature = site.sign("record", b"message");
    let certificate = site.certificate();
    assert_eq!(verify(certificate, "record", b"message", &signature), Ok(()));
    let bad = Err(PkiError::Signature);
    assert_eq!(verify(certificate, "record", b"massage", &signature), bad);
    assert_eq!(verify(certificate, "other", b"message", &signature), bad);
    assert_eq!(verify(certificate, "recor", b"dmessage", &signature), bad);
    assert_eq!(verify(certificate, "recordm", b"essage", &signature), bad);
    assert_eq!(verify(certificate, "", b"recordmessage", &signature), bad);
    assert_eq!(verify(certificate, &"x".repeat(256), b"message", &signature), bad);
    assert_eq!(verify(other.certificate(), "record", b"message", &signature), bad);
    for at_byte in 0..signature.len() {
        let mut damaged = signature.clone();
        damaged[at_byte] ^= 1;
        assert_eq!(verify(certificate, "record", b"message", &damaged), bad, "byte {at_byte}");
        assert_eq!(verify(certificate, "record", b"message", &signature[..at_byte]), bad);
    }
    let nonsense = vec![1, 2, 3].into();
    assert!(matches!(
        verify(&nonsense, "record", b"message", &signature),
        Err(PkiError::Certificate(_))
    ));
}

#[test]
fn a_voucher_stands_for_one_subject_and_one_signer() {
    let make = || Authority::generate(at(NOW)).unwrap();
    let (signer, subject, other) = (make(), make(), make());
    let voucher = Voucher::issue(&signer, subject.id());
    assert_eq!(voucher.verify(signer.certificate()), Ok(()));
    assert_eq!(
        voucher.verify(other.certificate()),
        Err(PkiError::OtherSite { expected: signer.id(), found: other.id() })
    );
    let for_other = Voucher { subject: other.id(), ..voucher.clone() };
    assert_eq!(for_other.verify(signer.certificate()), Err(PkiError::Signature));
    let by_other = Voucher { signer: other.id(), ..voucher.clone() };
    assert_eq!(by_other.verify(other.certificate()), Err(PkiError::Signature));
    // A signature over the same bytes for another purpose is no voucher.
    let signature = signer.sign("record", subject.id().as_bytes());
    let borrowed = Voucher { signature, ..voucher };
    assert_eq!(borrowed.verify(signer.certificate()), Err(PkiError::Signature));
}

#[test]
fn one_kind_of_voucher_is_not_the_other() {
    let make = || Authority::generate(at(NOW)).unwrap();
    let (signer, subject) = (make(), make());
    let admission = Voucher::issue(&signer, subject.id());
    let peer = Voucher::issue_peer(&signer, subject.id());
    assert_eq!((admission.kind, peer.kind), (VoucherKind::Admission, VoucherKind::Peer));
    assert_eq!(peer.verify(signer.certificate()), Ok(()));
    for (voucher, kind) in [(admission, VoucherKind::Peer), (peer, VoucherKind::Admission)] {
        let turned = Voucher { kind, ..voucher };
        assert_eq!(turned.verify(signer.certificate()), Err(PkiError::Signature));
    }
}

#[test]
fn a_voucher_stored_before_there_were_kinds_is_an_admission() {
    let signer = Authority::generate(at(NOW)).unwrap();
    let voucher = Voucher::issue(&signer, signer.id());
    let text = serde_json::to_string(&voucher).unwrap();
    let old = text.replace(r#""kind":"admission","#, "");
    assert_ne!(old, text);
    assert_eq!(serde_json::from_str::<Voucher>(&old).unwrap(), voucher);
}

#[test]
fn vouchers_are_kept_as_text() {
    let signer = Authority::generate(at(NOW)).unwrap();
    let voucher = Voucher::issue(&signer, signer.id());
    let text = serde_json::to_string(&voucher).unwrap();
    assert_eq!(serde_json::from_str::<Voucher>(&text).unwrap(), voucher);
    let long = format!(
        r#"{{"subject":"{0}","signer":"{0}","signature":"{1}"}}"#,
        signer.id(),
        "AAAA".repeat(400)
    );
    assert!(serde_json::from_str::<Voucher>(&long).is_err());
    assert!(serde_json::from_str::<Voucher>(&text.replace("\"signature\":\"", "$&!")).is_err());
}
