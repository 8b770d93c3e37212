//! TLS at the edges: what a listener and a connector say of it.

use serde::{Deserialize, Serialize};

/// `tls` of a listener: how it ends its clients' TLS. Files are paths or `credential:NAME`, in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerTls {
    /// The certificate, with the chain behind it.
    pub certificate: String,
    /// Its key.
    pub key: String,
    /// Authorities of which clients need a certificate. `None`: clients show none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<String>,
}

/// `tls` of a connector: how it starts TLS towards its target. Files are paths or `credential:NAME`, in
/// PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectorTls {
    /// The name that the target's certificate must have. `None`: the target's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Authorities that the target's certificate must be of. `None`: those that the host trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// A certificate to show the target; only with its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl ConnectorTls {
    /// Says what does not go together.
    ///
    /// # Errors
    /// A certificate without a key, or a key without a certificate.
    pub fn check(&self) -> Result<(), String> {
        match (&self.certificate, &self.key) {
            (Some(_), None) => Err("tls.certificate needs tls.key, the file with its key".into()),
            (None, Some(_)) => {
                Err("tls.key needs tls.certificate, the file it is the key of".into())
            }
            _ => Ok(()),
        }
    }
}
