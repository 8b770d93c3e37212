//! `AccessGrant`: a token that this site is to issue.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use van_model::Cost;

use crate::invalid::{Invalid, in_range};
use crate::link::cost;
use crate::status::Condition;

/// An AccessGrant has this site issue a token. The token is put into a Secret; whoever gets it may link.
/// Deleting the grant revokes what is left of it.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "vand.dev",
    version = "v1alpha1",
    kind = "AccessGrant",
    namespaced,
    status = "AccessGrantStatus",
    shortname = "vgrant",
    category = "vand",
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Secret","type":"string","jsonPath":".status.secret"}"#,
    printcolumn = r#"{"name":"Expires","type":"string","jsonPath":".status.expires"}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct AccessGrantSpec {
    /// How many sites may redeem the token, 1 to 10000. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10000))]
    pub uses: i64,
    /// The token's life in seconds, 1 to 31536000 (365 days). Default: 900.
    #[serde(default = "quarter")]
    #[schemars(range(min = 1, max = 31536000))]
    pub expires_seconds: i64,
    /// Cost of links made with it, 1 to 65535. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub cost: Option<i64>,
    /// The Secret that gets the token under the key token. Default: the grant's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

fn one() -> i64 {
    1
}

fn quarter() -> i64 {
    900
}

/// What is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessGrantStatus {
    /// Ready: the token is in the Secret and can be redeemed.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// The generation that was last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The Secret with the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Until when the token can be redeemed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// The sites that redeemed it.
    #[serde(default)]
    pub redeemed_by: Vec<String>,
}

/// A grant that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// How many sites may redeem the token.
    pub uses: u32,
    /// The token's life.
    pub expires_seconds: u64,
    /// Cost of links made with it.
    pub cost: Option<Cost>,
}

impl AccessGrantSpec {
    /// The numbers of the token.
    ///
    /// # Errors
    /// One that is out of range.
    pub fn checked(&self) -> Result<Granted, Invalid> {
        let uses = in_range("spec.uses", self.uses, "from 1 to 10000")?;
        let expires_seconds =
            in_range("spec.expiresSeconds", self.expires_seconds, "from 1 to 31536000")?;
        Ok(Granted { uses, expires_seconds, cost: cost(self.cost)? })
    }
}
