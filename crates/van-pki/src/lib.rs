//! Sites' identities, and the TLS between sites that rests on them.
//!
//! A site has an [`Authority`]: a key and a certificate of its own. The site's id is a hash of that
//! key, so it can't be forged and nobody hands it out. The authority issues a [`Leaf`] for a day at
//! a time; an [`Identity`] presents the current one in handshakes. Peers pin each other's authority
//! ([`Peers`]), first met through a [`Token`]; a [`Voucher`] lets sites further away follow that.
//!
//! Four TLS configurations, two for each ALPN:
//!
//! | ALPN | dialler | acceptor | admits |
//! |---|---|---|---|
//! | `van/1` | [`session_client_config`] | [`session_server_config`] | pinned peers |
//! | `van-join/1` | [`join_client_config`] | [`join_server_config`] | who shows an authority of its own |
//!
//! Invariants:
//! - A peer's id is read from the very leaf that was verified, and verified against the one
//!   authority that the id names: no authority speaks for another site.
//! - A resumed handshake skips rustls' certificate check, so [`check_peer`] runs after every one.
//! - Nothing here remembers that a peer was good: each check asks [`Peers`] again.
//! - This crate is pure. It knows no runtime, socket, file or clock; the time is an argument. Only
//!   keys, secrets and tickets take randomness, from the TLS provider.

mod authority;
mod bundle;
mod certificate;
mod clock;
mod error;
mod identity;
mod leaf;
mod peer;
mod secret;
mod signature;
#[cfg(test)]
mod tests;
mod ticket;
mod tls;
mod token;
mod token_line;
mod token_yaml;
mod verifier;
mod voucher;

pub use authority::Authority;
pub use bundle::Bundle;
pub use certificate::{sha256, site_id};
pub use error::PkiError;
pub use identity::Identity;
pub use leaf::Leaf;
pub use peer::{PeerError, PeerIdentity, Peers, check_alpn, check_joiner, check_peer};
pub use rustls::pki_types::CertificateDer;
pub use rustls::time_provider::TimeProvider;
pub use secret::{Secret, SecretHash, SecretHashError};
pub use signature::verify;
pub use tls::{
    ALPN_JOIN, ALPN_SESSION, join_client_config, join_server_config, session_client_config,
    session_server_config,
};
pub use token::{Token, TokenError};
pub use voucher::{Voucher, VoucherKind};
