//! Certificates with one thing wrong each, and the error that each gets.

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, SanType,
};
use van_model::SiteId;

use super::{DAY, NOW, Pins, at};
use crate::{Authority, CertificateDer, PeerError, check_joiner, check_peer, clock, site_id};

fn issuer(authority: &Authority) -> Issuer<'static, KeyPair> {
    let key = KeyPair::from_pem(&authority.key_pem()).unwrap();
    Issuer::from_ca_cert_der(authority.certificate(), key).unwrap()
}

/// What a good leaf is made of.
pub(super) fn good(id: SiteId) -> CertificateParams {
    let mut params = CertificateParams::new(vec![id.dns_name()]).unwrap();
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    clock::set_validity(&mut params, at(NOW - 3600), at(NOW + DAY));
    params
}

fn signed(params: &CertificateParams, authority: &Authority) -> CertificateDer<'static> {
    let key = KeyPair::generate().unwrap();
    params.signed_by(&key, &issuer(authority)).unwrap().der().clone()
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

struct World {
    me: Pins,
    peer: Authority,
    other: Authority,
    stranger: Authority,
}

impl World {
    fn new() -> Self {
        let make = || Authority::generate(at(NOW)).unwrap();
        let world = Self { me: Pins::default(), peer: make(), other: make(), stranger: make() };
        world.me.pin(&world.peer);
        world.me.pin(&world.other);
        world
    }

    /// What both checks say of a leaf that comes with the peer's authority.
    fn check(&self, leaf: CertificateDer<'static>) -> Result<SiteId, PeerError> {
        let chain = [leaf, self.peer.certificate().clone()];
        let pinned = check_peer(&chain, &self.me, at(NOW)).map(|peer| peer.id);
        let alone = check_peer(&chain[..1], &self.me, at(NOW)).map(|peer| peer.id);
        assert_eq!(pinned, alone, "the chain behind a leaf proves nothing");
        if !matches!(pinned, Err(PeerError::UnknownPeer(_))) {
            assert_eq!(check_joiner(&chain, at(NOW)).map(|peer| peer.id), pinned);
        }
        pinned
    }
}

#[test]
fn names_that_are_refused() {
    let world = World::new();
    let id = world.peer.id();
    let name = id.dns_name();
    let cases: Vec<(&str, Vec<SanType>)> = vec![
        ("none", vec![]),
        ("two", vec![dns(&name), dns(&world.other.id().dns_name())]),
        ("the same twice", vec![dns(&name), dns(&name)]),
        ("upper case", vec![dns(&name.to_uppercase())]),
        ("upper-case label", vec![dns(&format!("{}.site.van", id.to_string().to_uppercase()))]),
        ("upper-case suffix", vec![dns(&format!("{id}.SITE.van"))]),
        ("NUL behind", vec![dns(&format!("{name}\0"))]),
        ("NUL and more behind", vec![dns(&format!("{name}\0.example.net"))]),
        ("NUL within", vec![dns(&format!("{id}\0.site.van"))]),
        ("dot behind", vec![dns(&format!("{name}."))]),
        ("dot before", vec![dns(&format!(".{name}"))]),
        ("label before", vec![dns(&format!("www.{name}"))]),
        ("label behind", vec![dns(&format!("{name}.example.net"))]),
        ("wildcard", vec![dns("*.site.van")]),
        ("short id", vec![dns(&format!("{}.site.van", &id.to_string()[1..]))]),
        ("other domain", vec![dns(&format!("{id}.site.example"))]),
        ("IP address too", vec![dns(&name), SanType::IpAddress([127, 0, 0, 1].into())]),
        ("IP address alone", vec![SanType::IpAddress([127, 0, 0, 1].into())]),
        ("URI too", vec![dns(&name), SanType::URI(format!("van:{id}").try_into().unwrap())]),
        ("URI alone", vec![SanType::URI(format!("https://{name}").try_into().unwrap())]),
        ("mail address", vec![SanType::Rfc822Name(format!("a@{name}").try_into().unwrap())]),
        ("international name", vec![dns("xn--bcher-kva.site.van")]),
    ];
    for (case, names) in cases {
        let mut params = good(id);
        params.subject_alt_names = names;
        let error = world.check(signed(&params, &world.peer)).unwrap_err();
        assert!(matches!(error, PeerError::WrongName(_)), "{case}: {error:?}");
    }
}

#[test]
fn a_name_in_the_subject_is_no_name() {
    let world = World::new();
    let mut params = good(world.peer.id());
    params.subject_alt_names.clear();
    params.distinguished_name.push(DnType::CommonName, world.peer.id().dns_name());
    let error = world.check(signed(&params, &world.peer)).unwrap_err();
    assert!(matches!(error, PeerError::WrongName(_)), "{error:?}");
}

#[test]
fn signers_that_are_refused() {
    let world = World::new();
    let (peer, other, stranger) = (&world.peer, &world.other, &world.stranger);
    let good_peer = good(peer.id());
    for (case, leaf, error) in [
        ("a stranger for the peer", signed(&good_peer, stranger), PeerError::WrongAuthority),
        ("a peer for another peer", signed(&good_peer, other), PeerError::WrongAuthority),
        (
            "a peer for a stranger",
            signed(&good(stranger.id()), peer),
            PeerError::UnknownPeer(stranger.id()),
        ),
        (
            "a stranger for itself",
            signed(&good(stranger.id()), stranger),
            PeerError::UnknownPeer(stranger.id()),
        ),
        (
            "the leaf itself",
            good_peer.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone(),
            PeerError::WrongAuthority,
        ),
    ] {
        assert_eq!(world.check(leaf), Err(error), "{case}");
    }
}

#[test]
fn an_authority_of_the_same_subject_is_refused() {
    let world = World::new();
    let key = KeyPair::generate().unwrap();
    let twin = Issuer::from_ca_cert_der(world.peer.certificate(), key).unwrap();
    let leaf = good(world.peer.id()).signed_by(&KeyPair::generate().unwrap(), &twin).unwrap();
    assert_eq!(world.check(leaf.der().clone()), Err(PeerError::WrongAuthority));
}

#[test]
fn no_leaf_and_no_intermediate_may_sign() {
    let world = World::new();
    // The peer's authority makes another; what that one signs is not the peer.
    let key = KeyPair::generate().unwrap();
    let mut params = good(world.peer.id());
    params.subject_alt_names.clear();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "between");
    let between = params.signed_by(&key, &issuer(&world.peer)).unwrap();
    let below = Issuer::from_ca_cert_der(between.der(), key).unwrap();
    let leaf = good(world.peer.id()).signed_by(&KeyPair::generate().unwrap(), &below).unwrap();
    let chain = [leaf.der().clone(), between.der().clone(), world.peer.certificate().clone()];
    assert_eq!(check_peer(&chain, &world.me, at(NOW)), Err(PeerError::WrongAuthority));
    assert_eq!(check_joiner(&chain, at(NOW)), Err(PeerError::WrongAuthority));
}

#[test]
fn lives_that_are_refused() {
    let world = World::new();
    let with_life = |from: i64, to: i64| {
        let mut params = good(world.peer.id());
        clock::set_validity(&mut params, at(NOW + from), at(NOW + to));
        world.check(signed(&params, &world.peer))
    };
    let expired = |end: i64| Err(PeerError::Expired { not_after: at(NOW + end) });
    let early = |start: i64| Err(PeerError::NotYetValid { not_before: at(NOW + start) });
    assert_eq!(with_life(-DAY, -1), expired(-1));
    assert_eq!(with_life(-DAY, 0), Ok(world.peer.id()));
    assert_eq!(with_life(0, DAY), Ok(world.peer.id()));
    assert_eq!(with_life(1, DAY), early(1));
    assert_eq!(with_life(365 * DAY, 366 * DAY), early(365 * DAY));
    assert_eq!(with_life(DAY, -DAY), expired(-DAY), "a life that ends before it begins");
}

#[test]
fn purposes_that_are_refused() {
    let world = World::new();
    let uses = [
        vec![],
        vec![ExtendedKeyUsagePurpose::ClientAuth],
        vec![ExtendedKeyUsagePurpose::ServerAuth],
        vec![ExtendedKeyUsagePurpose::Any],
        vec![ExtendedKeyUsagePurpose::CodeSigning],
    ];
    for uses in uses {
        let mut params = good(world.peer.id());
        params.extended_key_usages = uses.clone();
        let error = world.check(signed(&params, &world.peer));
        assert_eq!(error, Err(PeerError::WrongPurpose), "{uses:?}");
    }
}

#[test]
fn authorities_are_no_leafs() {
    let world = World::new();
    let peer = world.peer.certificate().clone();
    assert_eq!(world.check(peer), Err(PeerError::AuthorityAsLeaf));
    let mut params = good(world.peer.id());
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    assert_eq!(world.check(signed(&params, &world.peer)), Err(PeerError::AuthorityAsLeaf));
}

#[test]
fn unknown_critical_extensions_are_refused() {
    let world = World::new();
    let mut params = good(world.peer.id());
    let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4, 5], vec![5, 0]);
    params.custom_extensions = vec![extension.clone()];
    assert_eq!(world.check(signed(&params, &world.peer)), Ok(world.peer.id()));
    extension.set_criticality(true);
    params.custom_extensions = vec![extension];
    let error = world.check(signed(&params, &world.peer)).unwrap_err();
    assert_eq!(error.code(), "malformed_certificate");
}

#[test]
fn chains_that_are_refused() {
    let world = World::new();
    let leaf = signed(&good(world.peer.id()), &world.peer);
    let peer = world.peer.certificate().clone();
    let other = world.other.certificate().clone();
    assert_eq!(check_peer(&[], &world.me, at(NOW)), Err(PeerError::NoCertificate));
    assert_eq!(check_joiner(&[], at(NOW)), Err(PeerError::NoCertificate));
    assert_eq!(check_joiner(std::slice::from_ref(&leaf), at(NOW)), Err(PeerError::WrongAuthority));
    let swapped = [leaf.clone(), other.clone(), peer.clone()];
    assert_eq!(check_joiner(&swapped, at(NOW)), Err(PeerError::WrongAuthority));
    let long = [leaf.clone(), peer.clone(), other.clone(), other.clone(), other];
    assert_eq!(check_joiner(&long, at(NOW)).unwrap_err().code(), "malformed_certificate");

    // The forged leaf in front decides, whatever good ones stand behind it.
    let forged = signed(&good(world.peer.id()), &world.stranger);
    for chain in [
        vec![forged.clone(), leaf.clone(), peer.clone()],
        vec![forged.clone(), peer.clone(), leaf.clone()],
        vec![forged, world.stranger.certificate().clone(), peer],
    ] {
        assert_eq!(check_peer(&chain, &world.me, at(NOW)), Err(PeerError::WrongAuthority));
        assert_eq!(check_joiner(&chain, at(NOW)), Err(PeerError::WrongAuthority));
    }
}

#[test]
fn a_revoked_peer_is_unknown() {
    let world = World::new();
    let leaf = signed(&good(world.peer.id()), &world.peer);
    assert_eq!(world.check(leaf.clone()), Ok(world.peer.id()));
    world.me.revoke(world.peer.id());
    assert_eq!(world.check(leaf), Err(PeerError::UnknownPeer(world.peer.id())));
}

#[test]
fn damaged_certificates_are_refused_without_a_panic() {
    let world = World::new();
    let leaf = signed(&good(world.peer.id()), &world.peer);
    let authority = world.peer.certificate().clone();
    let mut accepted = 0;
    for at_byte in 0..leaf.len() {
        let mut bytes = leaf.to_vec();
        bytes[at_byte] ^= 0x41;
        accepted +=
            usize::from(check_peer(&[bytes.into(), authority.clone()], &world.me, at(NOW)).is_ok());
        let cut = CertificateDer::from(leaf[..at_byte].to_vec());
        assert!(check_joiner(&[cut, authority.clone()], at(NOW)).is_err());
    }
    assert_eq!(accepted, 0);
    for at_byte in 0..authority.len() {
        let mut bytes = authority.to_vec();
        bytes[at_byte] ^= 0x41;
        // What a joiner shows is checked by its key alone, so it need not fail; it must not panic.
        drop(check_joiner(&[leaf.clone(), bytes.clone().into()], at(NOW)));
        drop(site_id(&bytes.into()));
    }
    let mut longer = leaf.to_vec();
    longer.push(0);
    assert_eq!(world.check(longer.into()).unwrap_err().code(), "malformed_certificate");
    let huge = CertificateDer::from(vec![0x30; 17 * 1024]);
    assert_eq!(world.check(huge).unwrap_err().code(), "malformed_certificate");
}
