//! Closed sets of words: a site's mode, a service's protocol, a target's check.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is none of the accepted words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not one of {accepted}")]
pub struct ParseWordError {
    /// What was found.
    pub found: String,
    /// The accepted words.
    pub accepted: &'static str,
}

macro_rules! words {
    ($(#[$meta:meta])* $type:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal),+ $(,)? } accepted $accepted:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub enum $type { $($(#[$vmeta])* $variant),+ }

        impl $type {
            /// The accepted words, as an error shows them.
            pub const ACCEPTED: &'static str = $accepted;

            /// The word in configuration and JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl FromStr for $type {
            type Err = ParseWordError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(ParseWordError { found: text.into(), accepted: Self::ACCEPTED }),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

words! {
    /// A site's part in the network.
    Mode {
        #[default]
        /// Accepts links, floods records and carries others' traffic.
        Interior = "interior",
        /// Dials interior sites only and carries nobody else's traffic.
        Edge = "edge",
    } accepted "interior, edge"
}

words! {
    /// What a service speaks.
    Protocol {
        #[default]
        /// Bytes both ways.
        Tcp = "tcp",
        /// HTTP/1.1, chosen by request.
        Http = "http",
        /// HTTP/2 and gRPC, chosen by stream.
        Http2 = "http2",
        /// Datagrams.
        Udp = "udp",
    } accepted "tcp, http, http2, udp"
}

words! {
    /// How a target is chosen for a new flow.
    Strategy {
        #[default]
        /// The least cost of the path and open flows per target, together.
        Balanced = "balanced",
        /// Targets at this site while there are any, else as balanced.
        LocalFirst = "local-first",
        /// Targets of the lowest priority number that answers; of several addresses the first that
        /// has a target.
        Failover = "failover",
        /// In proportion to weights, whatever the cost.
        Weighted = "weighted",
    } accepted "balanced, local-first, failover, weighted"
}

/// How a connector's target is watched: `tcp`, `http:/path` or `none`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Check {
    /// A TCP connection that is opened and closed.
    #[default]
    Tcp,
    /// An HTTP GET of this path answered below 400.
    Http(Box<str>),
    /// Not watched: taken for healthy.
    None,
}

impl Check {
    /// The accepted forms, as an error shows them.
    pub const ACCEPTED: &'static str = "tcp, http:/path, none";
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => f.pad("tcp"),
            Self::Http(path) => write!(f, "http:{path}"),
            Self::None => f.pad("none"),
        }
    }
}

impl FromStr for Check {
    type Err = ParseWordError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "tcp" => Ok(Self::Tcp),
            "none" => Ok(Self::None),
            _ => match text.strip_prefix("http:") {
                Some(path)
                    if path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic()) =>
                {
                    Ok(Self::Http(path.into()))
                }
                _ => Err(ParseWordError { found: text.into(), accepted: Self::ACCEPTED }),
            },
        }
    }
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Check {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip() {
        for word in ["tcp", "http", "http2", "udp"] {
            assert_eq!(word.parse::<Protocol>().unwrap().as_str(), word);
        }
        let error = "tpc".parse::<Protocol>().unwrap_err();
        assert_eq!(error.to_string(), r#""tpc" is not one of tcp, http, http2, udp"#);
        for word in ["tcp", "none", "http:/healthz?x=1"] {
            assert_eq!(word.parse::<Check>().unwrap().to_string(), word);
        }
        assert!(
            "http:healthz".parse::<Check>().is_err() && "http:/a\r\nb".parse::<Check>().is_err()
        );
    }
}
