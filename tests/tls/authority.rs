//! An authority for certificates of workloads and clients, as files.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;

/// Issues certificates into a folder of its own.
pub(crate) struct Authority {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(dir.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { dir, issuer: Issuer::new(params, key) }
    }

    /// The file with its own certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// A certificate for these names, and its key; files of the same name are replaced.
    pub(crate) fn issue(&self, file: &str, names: &[&str]) -> (PathBuf, PathBuf) {
        self.issue_until(file, names, 2999)
    }

    /// The same until the end of a year.
    pub(crate) fn issue_until(&self, file: &str, names: &[&str], year: i32) -> (PathBuf, PathBuf) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, file);
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(year, 12, 31);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let of = |end: &str| self.dir.path().join(format!("{file}.{end}"));
        fs::write(of("key"), key.serialize_pem()).unwrap();
        fs::write(of("crt"), certificate.pem()).unwrap();
        (of("crt"), of("key"))
    }
}
