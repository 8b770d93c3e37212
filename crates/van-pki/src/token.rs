//! The one-time right to link to a site.

use jiff::Timestamp;
use van_model::{Cost, HostPort, Name, SiteId};

use crate::{Secret, token_line, token_yaml};

/// The longest text in which a token is looked for, in bytes.
const MAX_TEXT: usize = 16 * 1024;

/// A right to link to the site that issued it, as it is handed to the other site's operator.
///
/// Its line form is `van1.` and base64url of a versioned binary form with length and checksum; its
/// other form is the Kubernetes resource `AccessToken`, which carries that line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The site that issued it; redeeming it is pinned to this id.
    pub issuer: SiteId,
    /// Where that site is reached, 1 to 16 places; only the first 16 are written.
    pub endpoints: Vec<HostPort>,
    /// What admits the newcomer.
    pub secret: Secret,
    /// When the issuer stops accepting it; written in whole seconds, rounded down.
    pub expires: Timestamp,
    /// How many sites may redeem it in all, at least 1.
    pub uses: u32,
    /// Its name at the issuer.
    pub name: Name,
    /// The cost of links made with it. `None`: 1.
    pub cost: Option<Cost>,
}

/// Why a text is not a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is nothing in it.
    #[error("reading the token: it is empty: give the file that `vanctl token create` wrote")]
    Empty,
    /// It is something else.
    #[error(
        "reading the token: this is no token: it is one line that begins with \"van1.\", \
         or the YAML of an AccessToken"
    )]
    NotAToken,
    /// Its end is missing.
    #[error("reading the token: its end is missing: copy the whole of it once more")]
    Truncated,
    /// Its checksum or its form is wrong.
    #[error("reading the token: it was damaged on its way: copy it once more, or make a new one")]
    Damaged,
    /// It is of another version of the network.
    #[error(
        "reading the token: it is of version {0:?}, this vand reads \"van1\": \
         make a new one with a vand that fits"
    )]
    OtherVersion(String),
    /// It is longer than any token.
    #[error(
        "reading the token: {len} bytes are too many, a token has at most 16384: is it the right file?"
    )]
    TooLong {
        /// Bytes found.
        len: usize,
    },
    /// A YAML document that isn't an `AccessToken` with a token in it.
    #[error("reading the token: the YAML is no AccessToken with `spec.token`: {0}")]
    Yaml(String),
}

impl TokenError {
    /// The short stable word for logs, metrics and the API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "token_empty",
            Self::NotAToken => "not_a_token",
            Self::Truncated => "token_truncated",
            Self::Damaged => "token_damaged",
            Self::OtherVersion(_) => "token_version",
            Self::TooLong { .. } => "token_too_long",
            Self::Yaml(_) => "token_yaml",
        }
    }
}

impl Token {
    /// The most endpoints that a token carries.
    pub const MAX_ENDPOINTS: usize = 16;

    /// Writes the token as one line, without a line feed.
    pub fn encode(&self) -> String {
        token_line::encode(self)
    }

    /// Reads a token from its line (white space around and within it is passed over) or from the
    /// YAML of an `AccessToken`; at most 16 KiB.
    pub fn decode(text: &str) -> Result<Self, TokenError> {
        if text.len() > MAX_TEXT {
            return Err(TokenError::TooLong { len: text.len() });
        }
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            return Err(TokenError::Empty);
        }
        if token_yaml::is_yaml(text) {
            return token_yaml::decode(text);
        }
        token_line::decode(text)
    }

    /// Writes the token as the Kubernetes resource `AccessToken`.
    pub fn to_access_token_yaml(&self) -> String {
        token_yaml::encode(self)
    }

    /// Whether the issuer no longer accepts it at `now`, by this site's clock.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires
    }
}
