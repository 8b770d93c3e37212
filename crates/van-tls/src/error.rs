//! Why TLS can't be had.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// What failed, why, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("reading {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is larger than anything of its kind.
    #[error("{path} has more than {most} bytes: is it the right file?")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        most: u64,
    },
    /// A file does not hold what it should.
    #[error("{path} holds no {what} in PEM")]
    Empty {
        /// The file.
        path: PathBuf,
        /// What is looked for.
        what: &'static str,
    },
    /// A credential was named and the service manager gave none.
    #[error(
        "the service manager gave no credentials: add LoadCredential={0}:/path to the unit, or write a \
         path"
    )]
    Credential(String),
    /// The key is of another certificate, or the certificate can't be used.
    #[error(
        "the key in {key} and the certificate in {certificate} can't be used together: {source}"
    )]
    Pair {
        /// Where the certificate is.
        certificate: PathBuf,
        /// Where its key is.
        key: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// Authorities can't be used.
    #[error("the authorities in {path} can't be used: {why}")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The system trusts nobody.
    #[error(
        "this host has no certificates of authorities ({0}): install ca-certificates, or set tls.ca to \
         a file"
    )]
    NoSystem(String),
    /// The library refuses a configuration.
    #[error("TLS can't be set up: {0}")]
    Setup(#[from] rustls::Error),
    /// A name that no certificate can have.
    #[error("{0:?} is neither a DNS name nor an address: set tls.server_name")]
    Name(String),
    /// There is nothing to serve with.
    #[error("TLS is not ready: {0}")]
    NotReady(String),
    /// The other end failed the handshake, or its certificate is not good.
    #[error("TLS: {0}")]
    Handshake(io::Error),
    /// The other end took too long.
    #[error("TLS: no end of the handshake within {0:?}")]
    Late(Duration),
}
