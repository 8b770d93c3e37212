//! Names of resources and addresses of services.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not a [`Name`] or an [`Address`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("a name can't be empty")]
    Empty,
    /// The text is longer than the limit.
    #[error("a name has at most {limit} characters, this one has {len}")]
    TooLong {
        /// Characters allowed.
        limit: usize,
        /// Characters found.
        len: usize,
    },
    /// A character that may not stand where it does.
    #[error("{0:?}: use a-z, 0-9 and '-', with a letter or digit at both ends")]
    Character(String),
    /// The port behind a service's name is not 1..=65535.
    #[error("{0:?}: the port behind ':' must be 1 to 65535")]
    Port(String),
}

fn check_label(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > Name::MAX {
        return Err(NameError::TooLong { limit: Name::MAX, len: text.len() });
    }
    let inner = text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if !inner || text.starts_with('-') || text.ends_with('-') {
        return Err(NameError::Character(text.into()));
    }
    Ok(())
}

macro_rules! text_type {
    ($type:ident) => {
        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// The name of a site, link, listener, connector or token: an RFC 1123 label, at most 63 characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

text_type!(Name);

impl Name {
    /// The most characters that a name may have.
    pub const MAX: usize = 63;

    /// Makes a name of any text: lower case, other characters become `-`, cut at 63 characters.
    ///
    /// Returns `None` where nothing usable is left. For defaults made from a host's name.
    pub fn from_lossy(text: &str) -> Option<Self> {
        let mapped: String = text
            .chars()
            .map(|c| c.to_ascii_lowercase())
            .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
            .take(Self::MAX)
            .collect();
        mapped.trim_matches('-').parse().ok()
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        check_label(text)?;
        Ok(Self(text.into()))
    }
}

/// The name of a service in the whole network: labels joined by dots, at most 253 characters,
/// and for a service with several ports `name:port`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(Box<str>);

text_type!(Address);

impl Address {
    /// The most characters that an address may have, without its port.
    pub const MAX: usize = 253;

    /// The name without a port.
    pub fn name(&self) -> &str {
        self.0.split_once(':').map_or(&*self.0, |(name, _)| name)
    }

    /// The port of `name:port`.
    pub fn port(&self) -> Option<u16> {
        self.0.split_once(':').and_then(|(_, port)| port.parse().ok())
    }
}

impl FromStr for Address {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        };
        if name.len() > Self::MAX {
            return Err(NameError::TooLong { limit: Self::MAX, len: name.len() });
        }
        name.split('.').try_for_each(check_label)?;
        if let Some(port) = port
            && (!port.parse::<u16>().is_ok_and(|p| p > 0) || port.starts_with(['+', '0']))
        {
            return Err(NameError::Port(text.into()));
        }
        Ok(Self(text.into()))
    }
}

impl From<Name> for Address {
    fn from(name: Name) -> Self {
        Self(name.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        for good in ["a", "db-host", "0", &"x".repeat(63)] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", "a:1", "ä", "a b", &"x".repeat(64)] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn addresses() {
        let address: Address = "db-0.db:5432".parse().unwrap();
        assert_eq!((address.name(), address.port()), ("db-0.db", Some(5432)));
        assert_eq!("backend".parse::<Address>().unwrap().port(), None);
        for bad in ["a..b", "a:", "a:0", "a:65536", "a:+1", "a:01", "a:1:2", ".a", "Backend"] {
            assert!(bad.parse::<Address>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn lossy_names() {
        assert_eq!(
            Name::from_lossy("Anna's MacBook.local").unwrap().as_str(),
            "anna-s-macbook-local"
        );
        assert_eq!(Name::from_lossy("--_"), None);
    }
}
