//! `AccessToken`: a right to link to another site, as `vanctl token create -o yaml` prints it.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use van_model::TokenSpec;

use crate::invalid::Invalid;
use crate::link::{cost, object_name};
use crate::status::Condition;

/// An AccessToken makes a link to the site that issued it. Whoever has it may link once; the cluster's
/// rights decide who reads it here.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "vand.dev",
    version = "v1alpha1",
    kind = "AccessToken",
    namespaced,
    status = "AccessTokenStatus",
    shortname = "vtoken",
    category = "vand",
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Peer","type":"string","jsonPath":".status.peer"}"#,
    printcolumn = r#"{"name":"Expires","type":"string","jsonPath":".spec.expires"}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct AccessTokenSpec {
    /// The token: one line that begins with van1.
    pub token: String,
    /// Cost of the path over the link, 1 to 65535. Default: the token's, else 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub cost: Option<i64>,
    /// The id of the site that issued it, for people; the token counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Until when it can be redeemed, for people; the token counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// How many sites may redeem it, for people; the issuer counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<i64>,
    /// Where the issuer is reached, for people; the token counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
}

/// What is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessTokenStatus {
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

impl AccessTokenSpec {
    /// The link as the daemon wants it.
    ///
    /// # Errors
    /// A name that is no label, a cost out of range.
    pub fn to_spec(&self, object: &str) -> Result<van_model::LinkSpec, Invalid> {
        Ok(van_model::LinkSpec {
            name: object_name(object)?,
            token: TokenSpec::Text(self.token.trim().to_owned()),
            cost: cost(self.cost)?,
            proxy: None,
        })
    }
}
