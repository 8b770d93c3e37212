//! `Link`: a link that this site dials.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use van_model::{Cost, Name, TokenSpec};

use crate::invalid::{Invalid, in_range};
use crate::status::Condition;

/// A Link is dialled from this site to another, with the token in a Secret. An AccessToken makes a link
/// by itself; a Link is for those who keep tokens in Secrets, or set a proxy.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "vand.dev",
    version = "v1alpha1",
    kind = "Link",
    namespaced,
    status = "LinkStatus",
    shortname = "vlink",
    category = "vand",
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Peer","type":"string","jsonPath":".status.peer"}"#,
    printcolumn = r#"{"name":"Cost","type":"integer","jsonPath":".spec.cost"}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct LinkSpec {
    /// The Secret with the token; it is needed until the token is redeemed.
    pub token_secret: SecretKey,
    /// Cost of the path over this link, 1 to 65535. Default: the token's, else 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub cost: Option<i64>,
    /// An HTTP proxy that is asked to CONNECT, as http://[user[:password]@]host:port. Default: that of
    /// vand's environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
}

/// One key of a Secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKey {
    /// The Secret's name.
    pub name: String,
    /// The key in it. Default: token.
    #[serde(default = "token")]
    pub key: String,
}

fn token() -> String {
    "token".into()
}

/// What is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkStatus {
    /// Ready: the link is up.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// The generation that was last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The other site's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
}

impl LinkSpec {
    /// The link as the daemon wants it; `token`: what the Secret's key holds.
    ///
    /// # Errors
    /// A name that is no label, a cost out of range.
    pub fn to_spec(&self, object: &str, token: String) -> Result<van_model::LinkSpec, Invalid> {
        Ok(van_model::LinkSpec {
            name: object_name(object)?,
            token: TokenSpec::Text(token),
            cost: cost(self.cost)?,
            proxy: self.proxy.clone(),
        })
    }
}

pub(crate) fn cost(cost: Option<i64>) -> Result<Option<Cost>, Invalid> {
    let read = |number: i64| -> Result<Cost, Invalid> {
        let number: u16 = in_range("spec.cost", number, "from 1 to 65535")?;
        Cost::new(number).ok_or_else(|| Invalid::new("spec.cost", "0 is not from 1 to 65535"))
    };
    cost.map(read).transpose()
}

/// The name of a resource of the daemon that has the object's.
pub(crate) fn object_name(object: &str) -> Result<Name, Invalid> {
    object.parse().map_err(|why| Invalid::new("metadata.name", why))
}
