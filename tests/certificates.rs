//! Certificates: an organisation's authorities, and what a stranger may show at a link port.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::io::Read as _;
use std::net::TcpStream;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use van_pki::{ALPN_JOIN, ALPN_SESSION, Authority};
use van_testkit::{
    DEADLINE, Echo, Sites, Vand, echo_lines, echoes, free_port, temp_dir, wait_until,
};

/// An organisation's own authority, which issues one to each site.
struct Organisation(CertifiedIssuer<'static, KeyPair>);

fn authority_params(name: &str, below: u8) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params
}

impl Organisation {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(authority_params(name, 1), key).unwrap())
    }

    /// Issues an authority to a site, writes the three files of its `[identity]` and returns that
    /// section.
    fn identity(&self, dir: &Path, site: &str) -> String {
        let key = KeyPair::generate().unwrap();
        let params = authority_params(&format!("site {site}"), 0);
        let ca = params.signed_by(&key, &self.0).unwrap().pem();
        let mut section = String::from("[identity]\n");
        for (name, pem) in [("ca", ca), ("key", key.serialize_pem()), ("bundle", self.0.pem())] {
            let path = dir.join(format!("{site}-{name}.pem"));
            fs::write(&path, pem).unwrap();
            section += &format!("{name} = \"{}\"\n", path.display());
        }
        section
    }

    /// What it issued to a site.
    fn issued(dir: &Path, site: &str) -> Authority {
        let read = |name: &str| fs::read(dir.join(format!("{site}-{name}.pem"))).unwrap();
        Authority::from_pem(&read("ca"), &read("key")).unwrap()
    }
}

/// What `vand` tells of those whom it refused, oldest first.
fn refusals(vand: &Vand) -> String {
    let events = vand.ctl("events").ok();
    events.lines().filter(|line| line.contains("Refused")).map(|line| format!("{line}\n")).collect()
}

/// A token for one more site, and what that site is told when it can't link with it.
#[track_caller]
fn refused(public: &Vand, name: &str, other: &Vand) -> String {
    let token = public.token(name, "");
    let ran = other.ctl(&format!("link create {} --wait 20s", token.display()));
    assert!([1, 5].contains(&ran.status), "{ran:?}");
    let status = ran.status;
    ran.fails(status)
}

#[test]
fn sites_of_an_organisation_link_and_others_are_refused() {
    let (files, echo, port) = (temp_dir(), Echo::start(), free_port());
    let (ours, theirs) = (Organisation::new("ours"), Organisation::new("theirs"));
    let sites = Sites::start(&ours.identity(files.path(), "public"));
    let laptop = sites.linked("laptop", &ours.identity(files.path(), "laptop"));
    laptop.ctl(&format!("expose 127.0.0.1:{} --address echo", echo.port())).ok();
    sites.public.ctl(&format!("listener create echo 127.0.0.1:{port}")).ok();
    wait_until(DEADLINE, "the service was there", || echoes(port));

    // Whoever has a good token and no authority of the organisation's.
    let other = sites.other("stranger", "");
    let id = other.get("/v1/status").unwrap().1["id"].as_str().unwrap().to_owned();
    let told = refused(&sites.public, "stranger", &other);
    assert!(told.contains("the token is"), "a stranger learns nothing more: {told}");
    let refusal = format!("site {}", &id[..8]);
    wait_until(DEADLINE, "the refusal was told", || refusals(&sites.public).contains(&refusal));

    // A site of another organisation does not trust this one either, and says so before it asks.
    let other = sites.other("foreign", &theirs.identity(files.path(), "foreign"));
    let told = refused(&sites.public, "foreign", &other);
    assert!(told.contains("bundle does not admit the other site"), "{told}");
    let peers = sites.public.get("/v1/peers").unwrap().1;
    assert_eq!(peers["items"].as_array().unwrap().len(), 1, "{peers}");
    echo_lines(port, 20).unwrap();
}

#[test]
fn a_site_of_an_organisation_refuses_to_join_others() {
    let files = temp_dir();
    let ours = Organisation::new("ours");
    let sites = Sites::start("");
    let laptop = sites.other("laptop", &ours.identity(files.path(), "laptop"));
    refused(&sites.public, "laptop", &laptop);
    let why = "bundle does not admit the other site";
    assert!(laptop.log().contains(why), "{}", laptop.log());
    let peers = laptop.get("/v1/peers").unwrap().1;
    assert!(peers["items"].as_array().unwrap().is_empty(), "{peers}");
    assert_eq!(laptop.get("/v1/status").unwrap().1["links_up"], 0);
}

/// Somebody at the link port of a site, who can show what he likes.
struct Client {
    port: u16,
    roots: RootCertStore,
    server: ServerName<'static>,
}

/// A byte of a session, or why there is none.
type Ended = std::io::Result<usize>;

impl Client {
    /// Shows a chain at the link port, none if it is empty, and waits for the first byte of a
    /// session or for the end.
    fn show(&self, alpn: &[u8], chain: &[&CertificateDer<'static>], key: &KeyPair) -> Ended {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(self.roots.clone());
        let mut config = if chain.is_empty() {
            config.with_no_client_auth()
        } else {
            let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
            let chain = chain.iter().map(|c| (*c).clone()).collect();
            config.with_client_auth_cert(chain, key).unwrap()
        };
        config.alpn_protocols = vec![alpn.to_vec()];
        let session = ClientConnection::new(Arc::new(config), self.server.clone()).unwrap();
        let socket = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        StreamOwned::new(session, socket).read(&mut [0; 1])
    }
}

/// A leaf with this name, signed by `issuer`, whose life is these hours from now.
fn leaf(name: &str, issuer: &Authority, key: &KeyPair, hours: Range<i64>) -> Certificate {
    let issuer_key = KeyPair::from_pem(&issuer.key_pem()).unwrap();
    let issuer = Issuer::from_ca_cert_der(issuer.certificate(), issuer_key).unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    let at = |hours: i64| {
        let moment = Timestamp::now() + SignedDuration::from_hours(hours);
        SystemTime::from(moment).into()
    };
    (params.not_before, params.not_after) = (at(hours.start), at(hours.end));
    params.signed_by(key, &issuer).unwrap()
}

#[test]
fn nobody_gets_in_with_a_bad_certificate() {
    let (files, echo, port) = (temp_dir(), Echo::start(), free_port());
    let ours = Organisation::new("ours");
    let sites = Sites::start(&ours.identity(files.path(), "public"));
    // A pinned site whose key this test has, and one that shows whether public goes on serving.
    let mut laptop = sites.linked("laptop", &ours.identity(files.path(), "laptop"));
    let other = sites.linked("other", &ours.identity(files.path(), "other"));
    assert!(laptop.terminate(DEADLINE).success());
    other.ctl(&format!("expose 127.0.0.1:{} --address echo", echo.port())).ok();
    sites.public.ctl(&format!("listener create echo 127.0.0.1:{port}")).ok();
    wait_until(DEADLINE, "the service was there", || echoes(port));

    let public = Organisation::issued(files.path(), "public");
    let site = Organisation::issued(files.path(), "laptop");
    let stranger = Authority::generate(Timestamp::now()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(public.certificate().clone()).unwrap();
    let server = public.id().dns_name().try_into().unwrap();
    let client = Client { port: sites.link_port(), roots, server };

    let key = KeyPair::generate().unwrap();
    let name = site.id().dns_name();
    let make =
        |name: &str, issuer: &Authority, hours| leaf(name, issuer, &key, hours).der().clone();
    let good = make(&name, &site, -1..24);
    let forged = make(&name, &stranger, -1..24);
    let expired = make(&name, &site, -50..-2);
    let early = make(&name, &site, 2..26);
    let unknown = make(&stranger.id().dns_name(), &stranger, -1..24);
    let claimed = make(&other_name(&other), &site, -1..24);
    let nameless = make("www.example.com", &site, -1..24);
    let (ca, root, wrong) = (site.certificate(), ours.0.der(), stranger.certificate());

    let not_signed = "not signed by";
    // What is shown, for which protocol, and the words of which one is told.
    let cases: &[(&str, &[u8], &[&CertificateDer<'static>], &str)] = &[
        ("none", ALPN_SESSION, &[], "no certificate"),
        ("expired", ALPN_SESSION, &[&expired, ca], "certificate expired"),
        ("not yet valid", ALPN_SESSION, &[&early, ca], "valid from"),
        ("of the wrong authority", ALPN_SESSION, &[&forged, wrong], not_signed),
        ("forged, before the true authority", ALPN_SESSION, &[&forged, ca], not_signed),
        ("forged, before a good chain", ALPN_SESSION, &[&forged, &good, ca, root], not_signed),
        ("of an unknown site", ALPN_SESSION, &[&unknown, wrong], "not a peer"),
        ("in another site's name", ALPN_SESSION, &[&claimed, ca], not_signed),
        ("without a site's name", ALPN_SESSION, &[&nameless, ca], "one name"),
        ("an authority's own", ALPN_SESSION, &[ca], "isn't made for"),
        ("expired, to join", ALPN_JOIN, &[&expired, ca], "certificate expired"),
        ("forged, to join", ALPN_JOIN, &[&forged, ca], not_signed),
        ("alone, to join", ALPN_JOIN, &[&good], not_signed),
    ];
    let site_key = KeyPair::from_pem(&site.key_pem()).unwrap();
    for (what, alpn, chain, why) in cases {
        let before = refusals(&sites.public).len();
        let key = if chain == &[ca] { &site_key } else { &key };
        let ended = client.show(alpn, chain, key);
        assert!(!matches!(ended, Ok(1..)), "a certificate {what} got in: {ended:?}");
        wait_until(DEADLINE, &format!("the certificate {what} was told to be refused"), || {
            refusals(&sites.public).get(before..).is_some_and(|told| told.contains(why))
        });
        echo_lines(port, 2).unwrap();
    }
    let ended = client.show(ALPN_SESSION, &[&good, ca], &key);
    assert!(matches!(ended, Ok(1)), "the good one gets in: {ended:?}");
    echo_lines(port, 20).unwrap();
}

fn other_name(vand: &Vand) -> String {
    format!("{}.site.van", vand.get("/v1/status").unwrap().1["id"].as_str().unwrap())
}
