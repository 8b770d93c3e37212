//! The four TLS configurations.

use std::sync::{Arc, LazyLock};

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::server::NoServerSessionStorage;
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};
use van_model::SiteId;

use crate::identity::WithProtocol;
use crate::ticket::{ClientTickets, ServerTickets};
use crate::verifier::{PeerVerifier, Trust};
use crate::{Identity, Peers};

/// The ALPN of sessions between peers.
pub const ALPN_SESSION: &[u8] = b"van/1";
/// The ALPN of a token's redemption.
pub const ALPN_JOIN: &[u8] = b"van-join/1";

/// Tickets after a full handshake: enough for the connections that a link starts with.
const TICKETS: usize = 2;

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    let mut cipher_suites = vec![
        cipher_suite::TLS13_AES_128_GCM_SHA256,
        cipher_suite::TLS13_AES_256_GCM_SHA384,
        cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    if !has_aes() {
        cipher_suites.rotate_right(1);
    }
    let kx_groups = vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1];
    Arc::new(CryptoProvider { cipher_suites, kx_groups, ..default_provider() })
});

/// The one TLS provider: aws-lc-rs, post-quantum key exchange first, the fastest cipher first.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}

/// Whether the processor has AES instructions.
fn has_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    false
}

/// Makes the configuration for dialling one pinned peer; keep it for all connections to that peer,
/// so that the second and later ones resume.
///
/// After each handshake the caller runs [`crate::check_alpn`] and [`crate::check_peer`].
pub fn session_client_config(
    identity: &Arc<Identity>,
    peer: SiteId,
    peers: Arc<dyn Peers>,
    clock: Arc<dyn TimeProvider>,
) -> Arc<ClientConfig> {
    let verifier = PeerVerifier::new(Trust::Pinned(peers), Some(peer));
    let mut config = client_config(identity, verifier, Arc::clone(&clock), ALPN_SESSION);
    config.resumption = Resumption::store(ClientTickets::new(clock));
    Arc::new(config)
}

/// Makes the configuration for redeeming a token at its issuer, known by its id alone.
///
/// After the handshake the caller runs [`crate::check_alpn`] and [`crate::check_joiner`].
pub fn join_client_config(
    identity: &Arc<Identity>,
    issuer: SiteId,
    clock: Arc<dyn TimeProvider>,
) -> Arc<ClientConfig> {
    let verifier = PeerVerifier::new(Trust::Shown, Some(issuer));
    let mut config = client_config(identity, verifier, clock, ALPN_JOIN);
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// Makes the configuration for accepting sessions from pinned peers.
///
/// After each handshake the caller runs [`crate::check_peer`].
pub fn session_server_config(
    identity: &Arc<Identity>,
    peers: Arc<dyn Peers>,
    clock: Arc<dyn TimeProvider>,
) -> Arc<ServerConfig> {
    let verifier = PeerVerifier::new(Trust::Pinned(peers), None);
    let mut config = server_config(identity, verifier, Arc::clone(&clock), ALPN_SESSION);
    config.ticketer = ServerTickets::new(clock);
    config.send_tls13_tickets = TICKETS;
    Arc::new(config)
}

/// Makes the configuration for accepting a token's redemption from any site that proves to have an
/// authority of its own. The connection may carry a redemption and nothing else.
///
/// After the handshake the caller runs [`crate::check_joiner`].
pub fn join_server_config(
    identity: &Arc<Identity>,
    clock: Arc<dyn TimeProvider>,
) -> Arc<ServerConfig> {
    let verifier = PeerVerifier::new(Trust::Shown, None);
    let mut config = server_config(identity, verifier, clock, ALPN_JOIN);
    config.send_tls13_tickets = 0;
    Arc::new(config)
}

fn client_config(
    identity: &Arc<Identity>,
    verifier: Arc<PeerVerifier>,
    clock: Arc<dyn TimeProvider>,
    alpn: &[u8],
) -> ClientConfig {
    let mut config = ClientConfig::builder_with_details(provider(), clock)
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(Arc::<Identity>::clone(identity));
    config.alpn_protocols = vec![alpn.to_vec()];
    config.enable_early_data = false;
    config
}

fn server_config(
    identity: &Arc<Identity>,
    verifier: Arc<PeerVerifier>,
    clock: Arc<dyn TimeProvider>,
    alpn: &[u8],
) -> ServerConfig {
    let mut config = ServerConfig::builder_with_details(provider(), clock)
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has TLS 1.3")
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(WithProtocol(Arc::clone(identity))));
    config.alpn_protocols = vec![alpn.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    config.send_half_rtt_data = false;
    config
}
