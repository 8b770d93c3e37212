//! TLS at the edges, with Secrets in the place of files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a listener ends its clients' TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListenerTls {
    /// A Secret of type kubernetes.io/tls with tls.crt and tls.key. It is read again when it changes.
    pub secret: String,
    /// Whether clients have to show a certificate of an authority in the Secret's ca.crt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub verify_clients: bool,
}

/// How a connector starts TLS towards its targets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectorTls {
    /// The name that the targets' certificate must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// A Secret whose ca.crt holds the authorities that the certificate must be of. Default: the
    /// authorities that vand's image trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Whether the Secret's tls.crt and tls.key are shown to the targets.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub client_certificate: bool,
}
