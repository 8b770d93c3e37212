//! The certificates of a run: one authority, one leaf for each end, all ECDSA P-256.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};

/// The name that both leafs carry beside `localhost`.
pub const NAME: &str = "bench.test";

/// Files of one end: certificate, key, and both in one.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// The certificate alone.
    pub certificate: PathBuf,
    /// The key alone.
    pub key: PathBuf,
    /// Certificate and key in one file.
    pub both: PathBuf,
}

/// The certificates of a run, as files.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The authority that signed both leafs.
    pub authority: PathBuf,
    /// The leaf of the side that accepts links.
    pub server: Leaf,
    /// The leaf of the side that dials links.
    pub client: Leaf,
}

impl Certificates {
    /// Makes them in the folder `dir`.
    ///
    /// # Errors
    /// Where a key can't be made or a file can't be written.
    pub fn make(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "van-bench authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let issuer = CertifiedIssuer::self_signed(params, key)?;
        let authority = dir.join("authority.pem");
        fs::write(&authority, issuer.pem())?;
        let server = leaf(dir, "server", &issuer)?;
        let client = leaf(dir, "client", &issuer)?;
        Ok(Self { authority, server, client })
    }
}

fn leaf(dir: &Path, name: &str, issuer: &CertifiedIssuer<'_, KeyPair>) -> Result<Leaf> {
    let names = vec![NAME.to_owned(), "localhost".to_owned()];
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, NAME);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = params.signed_by(&key, issuer)?.pem();
    let key = key.serialize_pem();
    let leaf = Leaf {
        certificate: dir.join(format!("{name}.crt")),
        key: dir.join(format!("{name}.key")),
        both: dir.join(format!("{name}.pem")),
    };
    fs::write(&leaf.certificate, &certificate)?;
    fs::write(&leaf.key, &key)?;
    fs::write(&leaf.both, format!("{certificate}{key}"))?;
    Ok(leaf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_are_made() {
        let dir = tempfile::tempdir().unwrap();
        let certificates = Certificates::make(dir.path()).unwrap();
        let both = fs::read_to_string(&certificates.server.both).unwrap();
        assert!(both.contains("BEGIN CERTIFICATE") && both.contains("PRIVATE KEY"));
        assert!(fs::read_to_string(&certificates.authority).unwrap().contains("CERTIFICATE"));
    }
}
