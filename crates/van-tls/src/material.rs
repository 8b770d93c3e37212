//! Certificates, keys and authorities out of files.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::error::TlsError;

/// Bytes of one file; a bundle of all public authorities has a fifth of it.
const MOST: u64 = 1 << 20;

/// What a file that the service manager hands over is written as.
const CREDENTIAL: &str = "credential:";

/// Where a file is: a path, or a credential's place.
pub(crate) fn place(text: &str) -> Result<PathBuf, TlsError> {
    let Some(name) = text.strip_prefix(CREDENTIAL) else { return Ok(text.into()) };
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY");
    folder
        .map(|folder| Path::new(&folder).join(name))
        .ok_or_else(|| TlsError::Credential(name.into()))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::Read { path: path.into(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MOST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MOST {
        return Err(TlsError::TooLarge { path: path.into(), most: MOST });
    }
    Ok(bytes)
}

/// A certificate with its chain, and its key.
pub(crate) struct Pair {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    /// When the first certificate expires, in seconds since 1970.
    pub(crate) not_after: Option<i64>,
}

pub(crate) fn pair(certificate: &Path, key: &Path) -> Result<Pair, TlsError> {
    let chain = certificates(certificate)?;
    let empty = || TlsError::Empty { path: key.into(), what: "private key" };
    let key = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|_| empty())?;
    let leaf = chain.first().and_then(|leaf| X509Certificate::from_der(leaf).ok());
    let not_after = leaf.map(|(_, leaf)| leaf.validity().not_after.timestamp());
    Ok(Pair { chain, key, not_after })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let empty = || TlsError::Empty { path: path.into(), what: "certificate" };
    found.ok().filter(|found| !found.is_empty()).ok_or_else(empty)
}

/// The authorities of a file.
pub(crate) fn authorities(path: &Path) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| TlsError::Authorities { path: path.into(), why: error.to_string() })?;
    }
    Ok(Arc::new(roots))
}

/// The authorities that the host trusts.
pub(crate) fn of_system() -> Result<Arc<RootCertStore>, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found.errors.first().map_or("none found".into(), ToString::to_string);
        return Err(TlsError::NoSystem(why));
    }
    Ok(Arc::new(roots))
}

/// What does the arithmetic.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(default_provider())
}
