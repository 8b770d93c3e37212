//! Host names that requests are for: one name, or all below one.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of the longest host name (RFC 1035, 2.3.4).
const MAX: usize = 253;

/// A host name or `*.NAME`, which stands for every name below NAME and not NAME itself.
///
/// The greater of two patterns is the more specific: one name before a wildcard, then the longer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPattern(Box<str>);

/// A text that is no host pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no host name; write it as \"shop.example.org\" or \"*.example.org\", without a port"
)]
pub struct HostPatternError(pub String);

impl HostPattern {
    /// Whether a host is meant, as a client names it: in either case, with or without a port and a
    /// last dot.
    pub fn matches(&self, host: &str) -> bool {
        let host = without_port(host);
        let host = host.strip_suffix('.').unwrap_or(host);
        match self.0.strip_prefix('*') {
            None => host.eq_ignore_ascii_case(&self.0),
            Some(suffix) => {
                let at = host.len().checked_sub(suffix.len()).filter(|at| *at > 0);
                let end = at.and_then(|at| host.as_bytes().get(at..));
                end.is_some_and(|end| end.eq_ignore_ascii_case(suffix.as_bytes()))
            }
        }
    }

    /// The pattern's text, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn is_wildcard(&self) -> bool {
        self.0.starts_with('*')
    }
}

/// A host without its port; an address of IPv6 keeps its brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

impl Ord for HostPattern {
    fn cmp(&self, other: &Self) -> Ordering {
        let rank = |pattern: &Self| (!pattern.is_wildcard(), pattern.0.len());
        rank(self).cmp(&rank(other)).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for HostPattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.to_ascii_lowercase();
        let name = lower.strip_prefix("*.").unwrap_or(&lower);
        let fits = |label: &str| {
            let ends = !label.starts_with('-') && !label.ends_with('-');
            let known = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            (1..=63).contains(&label.len()) && ends && label.bytes().all(known)
        };
        if lower.len() <= MAX && name.split('.').all(fits) {
            Ok(Self(lower.into()))
        } else {
            Err(HostPatternError(text.chars().take(80).collect()))
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for HostPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for HostPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> HostPattern {
        text.parse().unwrap()
    }

    #[test]
    fn one_name_or_all_below_one() {
        let one = pattern("Shop.Example.org");
        for host in ["shop.example.org", "SHOP.example.ORG:8443", "shop.example.org."] {
            assert!(one.matches(host), "{host}");
        }
        for host in ["a.shop.example.org", "example.org", "", "shop.example.org.evil", ":80"] {
            assert!(!one.matches(host), "{host}");
        }
        let all = pattern("*.example.org");
        for host in ["a.example.org", "A.B.Example.Org:1", "a.example.org."] {
            assert!(all.matches(host), "{host}");
        }
        for host in ["example.org", ".example.org", "aexample.org", "ä.org", "", "*"] {
            assert!(!all.matches(host), "{host}");
        }
    }

    #[test]
    fn the_more_specific_is_greater() {
        let mut all = ["*.org", "a.b.example.org", "*.b.example.org", "z.org"].map(pattern);
        all.sort();
        let order = all.each_ref().map(HostPattern::as_str);
        assert_eq!(order, ["*.org", "*.b.example.org", "z.org", "a.b.example.org"]);
    }

    #[test]
    fn other_texts_are_refused() {
        let long = format!("{}.org", "a.".repeat(130));
        for bad in ["", "*", "*.", "a..b", "*a.org", "a.*.org", "-a.org", "a:80", "a b", &long] {
            assert!(bad.parse::<HostPattern>().is_err(), "{bad:?}");
        }
    }
}
