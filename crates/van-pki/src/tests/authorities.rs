//! Authorities: read back, refused, given by an organisation, and held to its bundle.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use van_model::SiteId;

use super::certificates::good;
use super::{DAY, NOW, Pins, at};
use crate::{Authority, Bundle, PeerError, PkiError, check_joiner, check_peer, clock, site_id};

#[test]
fn authorities_come_back_from_pem() {
    let site = Authority::generate(at(NOW)).unwrap();
    let again =
        Authority::from_pem(site.certificate_pem().as_bytes(), site.key_pem().as_bytes()).unwrap();
    assert_eq!((again.id(), again.certificate()), (site.id(), site.certificate()));
    assert_eq!(site_id(site.certificate()), Ok(site.id()));
    let leaf = again.issue_leaf(at(NOW)).unwrap();
    assert_eq!((leaf.not_before, leaf.not_after), (at(NOW - 3600), at(NOW + DAY)));
    assert_eq!(leaf.renew_at(), at(NOW + (DAY - 3600) / 2));
    let chain = [leaf.certificate, site.certificate().clone()];
    assert_eq!(check_joiner(&chain, at(NOW)).unwrap().id, site.id());
    assert!(!format!("{site:?}").contains("PRIVATE"));
}

#[test]
fn authorities_of_other_kinds_are_told_apart() {
    let site = Authority::generate(at(NOW)).unwrap();
    let (ca, key) = (site.certificate_pem(), site.key_pem());
    let from = |ca: &str, key: &str| Authority::from_pem(ca.as_bytes(), key.as_bytes());
    let other = Authority::generate(at(NOW)).unwrap();
    assert_eq!(from(&ca, &other.key_pem()).unwrap_err(), PkiError::KeyMismatch);
    assert!(matches!(from("", &key).unwrap_err(), PkiError::Pem { .. }));
    assert!(matches!(from(&ca, "nonsense").unwrap_err(), PkiError::Pem { .. }));
    assert!(matches!(from(&ca, &ca).unwrap_err(), PkiError::Pem { .. }));
    let cut = &ca[..ca.len() / 2];
    assert!(matches!(from(cut, &key).unwrap_err(), PkiError::Pem { .. }));

    let plain = KeyPair::generate().unwrap();
    let leaf = good(site.id()).self_signed(&plain).unwrap();
    assert_eq!(from(&leaf.pem(), &plain.serialize_pem()).unwrap_err(), PkiError::NotAnAuthority);
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let useless = params.self_signed(&plain).unwrap();
    assert_eq!(from(&useless.pem(), &plain.serialize_pem()).unwrap_err(), PkiError::NotAnAuthority);

    params.key_usages.clear();
    let p521 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
    let odd = params.self_signed(&p521).unwrap();
    assert_eq!(from(&odd.pem(), &p521.serialize_pem()).unwrap_err(), PkiError::UnsupportedKey);
}

#[test]
fn leafs_never_outlive_their_authority() {
    let site = Authority::generate(at(NOW)).unwrap();
    let end = site.not_after().as_second();
    assert_eq!(site.issue_leaf(at(end - 60)).unwrap().not_after, at(end));
    assert_eq!(site.issue_leaf(at(end)).unwrap_err(), PkiError::AuthorityExpired(at(end)));
    let early = site.issue_leaf(at(NOW - 3 * 3600)).unwrap_err();
    assert_eq!(early, PkiError::AuthorityNotYetValid(at(NOW - 3600)));
    for wrong in [-1, 0, 250_000_000_000] {
        let error = Authority::generate(at(wrong)).unwrap_err();
        assert_eq!(error, PkiError::Clock(at(wrong)));
    }
}

/// An organisation's root, and a site's authority signed by it.
struct Organisation {
    root: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Organisation {
    fn new(alter: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        clock::set_validity(&mut params, at(NOW - DAY), at(NOW + 100 * DAY));
        alter(&mut params);
        let root = params.self_signed(&key).unwrap().pem();
        Self { root, issuer: Issuer::new(params, key) }
    }

    fn bundle(&self) -> Bundle {
        Bundle::from_pem(self.root.as_bytes()).unwrap()
    }

    fn site(&self, key: &KeyPair) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        params.distinguished_name.push(DnType::CommonName, "site one");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.use_authority_key_identifier_extension = true;
        clock::set_validity(&mut params, at(NOW - DAY), at(NOW + 30 * DAY));
        let pem = params.signed_by(key, &self.issuer).unwrap().pem() + &self.root;
        Authority::from_pem(pem.as_bytes(), key.serialize_pem().as_bytes()).unwrap()
    }
}

#[test]
fn organisations_give_sites_intermediates_of_several_key_kinds() {
    let organisation = Organisation::new(|_| ());
    for kind in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
    ] {
        let site = organisation.site(&KeyPair::generate_for(kind).unwrap());
        let leaf = site.issue_leaf(at(NOW)).unwrap();
        let pins = Pins::default();
        pins.pin(&site);
        let chain = [leaf.certificate, site.certificate().clone()];
        let peer = check_peer(&chain, &pins, at(NOW)).unwrap();
        assert_eq!(peer.id, site.id());
        let signature = site.sign("test", b"message");
        assert_eq!(crate::verify(site.certificate(), "test", b"message", &signature), Ok(()));
        assert_eq!(organisation.bundle().admits(&peer.authority, at(NOW)), Ok(()));
    }
}

#[test]
fn an_authority_issued_again_for_the_same_key_is_the_same_site() {
    let organisation = Organisation::new(|_| ());
    let key = KeyPair::generate().unwrap();
    let (old, new) = (organisation.site(&key), organisation.site(&key));
    assert_eq!(old.id(), new.id());
    let pins = Pins::default();
    pins.pin(&old);
    let chain = [new.issue_leaf(at(NOW)).unwrap().certificate, new.certificate().clone()];
    assert_eq!(&check_peer(&chain, &pins, at(NOW)).unwrap().authority, new.certificate());
    assert!(check_peer(&chain[..1], &pins, at(NOW)).is_ok());
}

#[test]
fn bundles_restrict_who_may_be_a_peer() {
    let key = KeyPair::generate().unwrap();
    let (ours, theirs) = (Organisation::new(|_| ()), Organisation::new(|_| ()));
    let site = ours.site(&key);
    let refused = Err(PeerError::NotAdmitted);
    assert_eq!(theirs.bundle().admits(site.certificate(), at(NOW)), refused);
    let stranger = Authority::generate(at(NOW)).unwrap();
    assert_eq!(ours.bundle().admits(stranger.certificate(), at(NOW)), refused);
    let leaf = site.issue_leaf(at(NOW)).unwrap().certificate;
    assert_eq!(ours.bundle().admits(&leaf, at(NOW)), refused);
    assert!(ours.bundle().admits(&vec![0x30, 0].into(), at(NOW)).is_err());

    let both = Bundle::from_pem((theirs.root + &ours.root).as_bytes()).unwrap();
    assert_eq!(both.admits(site.certificate(), at(NOW)), Ok(()));
    let own = Bundle::from_pem(stranger.certificate_pem().as_bytes()).unwrap();
    assert_eq!(own.admits(stranger.certificate(), at(NOW)), Ok(()));

    let late = at(NOW + 31 * DAY);
    let expired = Err(PeerError::Expired { not_after: at(NOW + 30 * DAY) });
    assert_eq!(ours.bundle().admits(site.certificate(), late), expired);
    let early = at(NOW - 2 * DAY);
    let unborn = Err(PeerError::NotYetValid { not_before: at(NOW - DAY) });
    assert_eq!(ours.bundle().admits(site.certificate(), early), unborn);

    let end = at(NOW + DAY);
    let old = Organisation::new(|root| clock::set_validity(root, at(NOW - DAY), end));
    let site = old.site(&key);
    let expired = Err(PeerError::Expired { not_after: end });
    assert_eq!(old.bundle().admits(site.certificate(), at(NOW + 2 * DAY)), expired);

    let flat = Organisation::new(|root| root.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    assert_eq!(flat.bundle().admits(flat.site(&key).certificate(), at(NOW)), refused);
}

#[test]
fn bad_bundles_are_refused() {
    assert!(matches!(Bundle::from_pem(b""), Err(PkiError::Pem { .. })));
    assert!(matches!(Bundle::from_pem(b"nonsense"), Err(PkiError::Pem { .. })));
    let leaf = good(SiteId::from_bytes([1; 20])).self_signed(&KeyPair::generate().unwrap());
    let leaf = leaf.unwrap().pem();
    assert_eq!(Bundle::from_pem(leaf.as_bytes()), Err(PkiError::NotAnAuthority));
    let bound = Organisation::new(|root| {
        root.name_constraints = Some(rcgen::NameConstraints {
            permitted_subtrees: vec![rcgen::GeneralSubtree::DnsName("example.net".into())],
            excluded_subtrees: vec![],
        });
    });
    let error = Bundle::from_pem(bound.root.as_bytes()).unwrap_err();
    assert!(matches!(error, PkiError::Certificate(_)), "{error:?}");
}
