//! A site's identity: 160 bits of its authority's key.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A site's id: the first 160 bits of the SHA-256 of its authority's SubjectPublicKeyInfo (DER).
///
/// Written as 32 characters of lower-case base32 (RFC 4648 §6, no padding), which is a DNS label.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteId([u8; SiteId::BYTES]);

/// Why a text is not a site id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a site id is 32 characters a-z and 2-7, not {0:?}")]
pub struct SiteIdError(String);

impl SiteId {
    /// Bytes of an id.
    pub const BYTES: usize = 20;
    /// Characters of an id's text form.
    pub const TEXT: usize = 32;
    /// Characters that tables show.
    pub const SHORT: usize = 8;
    /// The shortest prefix that may stand for an id.
    pub const MIN_PREFIX: usize = 6;

    /// Makes an id of its 20 bytes.
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The id's 20 bytes.
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// The first 8 characters, as tables show them.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(Self::SHORT);
        text
    }

    /// The one DNS name of this site's leaf certificates: `<id>.site.van`.
    pub fn dns_name(&self) -> String {
        format!("{self}.site.van")
    }

    /// Reads the id out of a leaf certificate's DNS name; the inverse of [`SiteId::dns_name`].
    pub fn from_dns_name(name: &str) -> Result<Self, SiteIdError> {
        name.strip_suffix(".site.van").ok_or_else(|| SiteIdError(name.into()))?.parse()
    }

    /// Whether `prefix` (at least 6 characters) begins this id's text form.
    pub fn has_prefix(&self, prefix: &str) -> bool {
        prefix.len() >= Self::MIN_PREFIX && self.to_string().starts_with(prefix)
    }
}

impl fmt::Display for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE32_NOPAD.encode(&self.0).to_ascii_lowercase())
    }
}

impl fmt::Debug for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SiteId({self})")
    }
}

impl FromStr for SiteId {
    type Err = SiteIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || SiteIdError(text.chars().take(Self::TEXT + 1).collect());
        if text.len() != Self::TEXT || text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(bad());
        }
        let bytes = BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).map_err(|_| bad())?;
        bytes.try_into().map(Self).map_err(|_| bad())
    }
}

impl Serialize for SiteId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SiteId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_is_a_label() {
        let id = SiteId::from_bytes(*b"0123456789abcdefghij");
        let text = id.to_string();
        assert_eq!(text.len(), SiteId::TEXT);
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(SiteId::from_dns_name(&id.dns_name()), Ok(id));
        assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
        assert!(id.has_prefix(&text[..6]) && !id.has_prefix(&text[..5]));
    }

    #[test]
    fn other_spellings_are_refused() {
        let id = SiteId::from_bytes([7; 20]).to_string();
        for bad in
            [id.to_uppercase(), id[1..].into(), format!("{id}a"), "é".repeat(16), "1".repeat(32)]
        {
            assert!(bad.parse::<SiteId>().is_err(), "{bad}");
        }
        assert!(SiteId::from_dns_name(&format!("{id}.site.vans")).is_err());
    }
}
