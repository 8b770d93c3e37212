//! A token's one-time secret, and what is kept of it.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::{constant_time, digest};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroize;

/// What secrets are hashed with, so that the hash counts for nothing else.
const CONTEXT: &[u8] = b"vand token secret 1";

/// 256 random bits that admit a site; wiped from memory when dropped, never shown.
#[derive(Clone)]
pub struct Secret([u8; Secret::BYTES]);

impl Secret {
    /// Bytes of a secret.
    pub const BYTES: usize = 32;

    /// Makes a secret of the system's randomness.
    pub fn generate() -> Self {
        let mut bytes = [0; Self::BYTES];
        aws_lc_rs::rand::fill(&mut bytes).expect("the system gives randomness");
        Self(bytes)
    }

    /// Takes a secret that came over a connection or out of a token.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The secret itself, to be sent to the token's issuer and to nobody else.
    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// What the issuer keeps instead of the secret.
    pub fn hash(&self) -> SecretHash {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(CONTEXT);
        context.update(&self.0);
        let hash = context.finish();
        SecretHash(hash.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl PartialEq for Secret {
    /// Compares in a time that doesn't depend on the bytes.
    fn eq(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for Secret {}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The SHA-256 of a [`Secret`], as hexadecimal text in files.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretHash([u8; 32]);

/// Why a text is not a [`SecretHash`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a secret's hash is 64 characters 0-9 and a-f")]
pub struct SecretHashError;

impl SecretHash {
    /// Whether this is the secret's hash, in a time that doesn't depend on either.
    pub fn matches(&self, secret: &Secret) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &secret.hash().0).is_ok()
    }
}

impl fmt::Display for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<hash of a secret>")
    }
}

impl FromStr for SecretHash {
    type Err = SecretHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| SecretHashError)?;
        bytes.try_into().map(Self).map_err(|_| SecretHashError)
    }
}

impl Serialize for SecretHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SecretHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_match_their_hash_and_stay_hidden() {
        let (one, two) = (Secret::generate(), Secret::generate());
        assert!(one != two && one.hash().matches(&one) && !one.hash().matches(&two));
        assert_eq!(format!("{one:?}"), "<secret>");
        let kept = serde_json::to_string(&one.hash()).unwrap();
        assert_eq!(serde_json::from_str::<SecretHash>(&kept).unwrap(), one.hash());
        assert!(!kept.contains(&HEXLOWER.encode(one.as_bytes())));
    }

    #[test]
    fn other_texts_are_no_hashes() {
        for bad in ["", "00", &"g".repeat(64), &"A".repeat(64), &"0".repeat(66)] {
            assert_eq!(bad.parse::<SecretHash>(), Err(SecretHashError), "{bad:?}");
        }
    }
}
