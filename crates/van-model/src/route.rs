//! Which of a listener's requests go to which addresses, as the Gateway API's HTTPRoute has it.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Address, AddressChoice, HostPattern, Protocol};

/// One of a listener's routes: what a request must have, where it goes, and what is changed in it.
///
/// Of several that match, the first wins by: the more specific host, an exact path, the longer prefix,
/// a method, more header fields, more of the query, the earlier place in the list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RouteSpec {
    /// The host that is asked for. Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostPattern>,
    /// How the path begins, by whole elements: `/api` is no prefix of `/apis`. Compared as it is sent.
    /// Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The whole path, without the query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_exact: Option<String>,
    /// The method, in capitals as it is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Header fields and their whole values; names in lower case.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Parameters of the query and their whole values; of several of one name the first counts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// Where such requests go, each with its share; at least one.
    pub to: Vec<RouteTarget>,
    /// The host that targets hear of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewrite_host: Option<String>,
    /// What stands for the matched path: for the prefix, or for the whole of an exact path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewrite_path: Option<String>,
    /// Header fields that a request gets, in the place of those that it has; names in lower case.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub set_headers: BTreeMap<String, String>,
    /// Header fields that are taken out of a request; names in lower case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove_headers: Vec<String>,
    /// Time for the head of an answer, in milliseconds; then the client gets 504. Default: 5 min.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// What is wrong with a route: the key, and why with what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {why}")]
pub struct RouteError {
    /// The key of the route.
    pub key: &'static str,
    /// What is wrong, and what would be right.
    pub why: String,
}

/// An address that a route leads to: `ADDRESS` or `ADDRESS=WEIGHT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTarget {
    /// The service's name in the network.
    pub address: Address,
    /// Its share of the route's requests, 0..=65535; 0: none. Default: 1.
    pub weight: u16,
}

impl RouteSpec {
    /// The least and the most of `timeout`, in milliseconds: 1 ms and an hour.
    pub const TIMEOUT: (u64, u64) = (1, 3_600_000);
    /// The most routes of a listener.
    pub const MOST: usize = 256;
    /// The most entries of each list and table of a route.
    pub const MOST_ENTRIES: usize = 16;
    /// Characters of a path or value.
    const LONGEST: usize = 1024;
    /// Fields that belong to a connection or say where a message ends: HTTP's own to write.
    const OWN: [&str; 11] = [
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];

    /// Says what is wrong for a listener of this protocol.
    pub fn check(&self, protocol: Protocol) -> Result<(), RouteError> {
        match protocol {
            Protocol::Udp => return wrong("to", "datagrams have no routes; take routes out"),
            Protocol::Tcp => self.check_tcp()?,
            Protocol::Http | Protocol::Http2 => {}
        }
        self.check_to()?;
        self.check_matches()?;
        self.check_changes()
    }

    /// Of TLS that is passed on, nothing is known but the name of the server.
    fn check_tcp(&self) -> Result<(), RouteError> {
        let hint = "protocol \"tcp\" routes by the TLS server name: only host and to are known; \
                    take it out, or set protocol = \"http\"";
        let only = Self { host: self.host.clone(), to: self.to.clone(), ..Self::default() };
        match self.differing(&only) {
            Some(key) => wrong(key, hint),
            None if self.host.is_none() => {
                wrong("host", "a route of protocol \"tcp\" needs a host")
            }
            None => Ok(()),
        }
    }

    /// The first key, of those that not every protocol has, in which two routes differ.
    fn differing(&self, other: &Self) -> Option<&'static str> {
        let keys = [
            ("path", self.path == other.path),
            ("path_exact", self.path_exact == other.path_exact),
            ("method", self.method == other.method),
            ("headers", self.headers == other.headers),
            ("query", self.query == other.query),
            ("rewrite_host", self.rewrite_host == other.rewrite_host),
            ("rewrite_path", self.rewrite_path == other.rewrite_path),
            ("set_headers", self.set_headers == other.set_headers),
            ("remove_headers", self.remove_headers == other.remove_headers),
            ("timeout", self.timeout_ms == other.timeout_ms),
        ];
        keys.into_iter().find(|(_, same)| !same).map(|(key, _)| key)
    }

    fn check_to(&self) -> Result<(), RouteError> {
        if self.to.is_empty() || self.to.len() > Self::MOST_ENTRIES {
            return wrong("to", "a route leads to 1 to 16 addresses; write to = \"ADDRESS\"");
        }
        if self.to.iter().all(|to| to.weight == 0) {
            return wrong("to", "every weight is 0; give one address a weight of 1 or more");
        }
        let twice = |(n, to): (usize, &RouteTarget)| {
            self.to[..n].iter().any(|earlier| earlier.address == to.address)
        };
        if self.to.iter().enumerate().any(twice) {
            return wrong("to", "an address stands there twice; give it one weight");
        }
        Ok(())
    }

    fn check_matches(&self) -> Result<(), RouteError> {
        for (key, path) in [("path", &self.path), ("path_exact", &self.path_exact)] {
            if path.as_deref().is_some_and(|path| !is_path(path)) {
                return wrong(key, "a path begins with / and has no ?, # or blank");
            }
        }
        if self.path.is_some() && self.path_exact.is_some() {
            return wrong("path_exact", "path says how it begins already; keep one of the two");
        }
        let is_token = |text: &str| (1..=64).contains(&text.len()) && text.bytes().all(is_tchar);
        if self.method.as_deref().is_some_and(|m| !is_token(m) || m.bytes().any(is_lower)) {
            return wrong("method", "a method is written in capitals, as \"GET\"");
        }
        check_fields("headers", &self.headers)?;
        if self.headers.contains_key("host") {
            return wrong("headers", "the host has a key of its own; write host = \"NAME\"");
        }
        let fits = |(name, value): (&String, &String)| !name.is_empty() && is_value(value);
        if self.query.len() > Self::MOST_ENTRIES || !self.query.iter().all(fits) {
            return wrong("query", "at most 16 names with values of visible characters");
        }
        Ok(())
    }

    fn check_changes(&self) -> Result<(), RouteError> {
        let is_host = |host: &str| {
            let name = host.rsplit_once(':').map_or(host, |(name, port)| {
                if port.parse::<NonZeroU16>().is_ok() { name } else { "" }
            });
            !name.starts_with('*') && name.parse::<HostPattern>().is_ok()
        };
        if self.rewrite_host.as_deref().is_some_and(|host| !is_host(host)) {
            return wrong("rewrite_host", "accepted: a host name, with :PORT where one is meant");
        }
        if self.rewrite_path.as_deref().is_some_and(|path| !is_path(path)) {
            return wrong("rewrite_path", "a path begins with / and has no ?, # or blank");
        }
        check_fields("set_headers", &self.set_headers)?;
        if self.remove_headers.len() > Self::MOST_ENTRIES
            || !self.remove_headers.iter().all(|name| is_field(name))
        {
            return wrong("remove_headers", "at most 16 names of header fields, in lower case");
        }
        let own = |name: &String| Self::OWN.contains(&name.as_str());
        for (key, found) in [
            ("set_headers", self.set_headers.keys().any(own)),
            ("remove_headers", self.remove_headers.iter().any(own)),
        ] {
            if found {
                let why = "a field of the connection or of the message's end can't be changed; \
                           the host is changed by rewrite_host";
                return wrong(key, why);
            }
        }
        let range = Self::TIMEOUT.0..=Self::TIMEOUT.1;
        if self.timeout_ms.is_some_and(|ms| !range.contains(&ms)) {
            return wrong("timeout", "accepted: 1ms to 1h");
        }
        Ok(())
    }

    /// The addresses that get a share, each with its weight.
    pub fn choices(&self) -> Vec<AddressChoice> {
        let share = |to: &RouteTarget| {
            let weight = NonZeroU16::new(to.weight)?;
            Some(AddressChoice { address: to.address.clone(), weight })
        };
        self.to.iter().filter_map(share).collect()
    }

    /// Time for the head of an answer, where the route sets one.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout_ms.map(Duration::from_millis)
    }
}

fn wrong(key: &'static str, why: &str) -> Result<(), RouteError> {
    Err(RouteError { key, why: why.into() })
}

fn check_fields(key: &'static str, fields: &BTreeMap<String, String>) -> Result<(), RouteError> {
    if fields.len() > RouteSpec::MOST_ENTRIES {
        return wrong(key, "at most 16 header fields");
    }
    match fields.iter().find(|(name, value)| !is_field(name) || !is_value(value)) {
        Some((name, _)) => {
            let name: String = name.chars().take(60).collect();
            let why = format!(
                "{name:?} is no name of a header field in lower case with a value of visible \
                 characters"
            );
            Err(RouteError { key, why })
        }
        None => Ok(()),
    }
}

fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase()
}

/// Characters of methods and names of fields (RFC 9110, 5.6.2).
fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_field(name: &str) -> bool {
    let fits = |byte: u8| is_tchar(byte) && !byte.is_ascii_uppercase();
    (1..=256).contains(&name.len()) && name.bytes().all(fits)
}

fn is_value(value: &str) -> bool {
    let visible = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    value.len() <= RouteSpec::LONGEST && value.bytes().all(visible) && value.trim() == value
}

fn is_path(path: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && byte != b'?' && byte != b'#';
    path.len() <= RouteSpec::LONGEST && path.starts_with('/') && path.bytes().all(fits)
}

impl std::str::FromStr for RouteTarget {
    type Err = crate::AddressChoiceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, weight) = text.split_once('=').map_or((text, None), |(a, w)| (a, Some(w)));
        let weight = match weight {
            Some(weight) => {
                weight.parse().map_err(|_| crate::AddressChoiceError::Share(weight.into()))?
            }
            None => 1,
        };
        Ok(Self { address: address.parse()?, weight })
    }
}

impl std::fmt::Display for RouteTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.weight {
            1 => write!(f, "{}", self.address),
            weight => write!(f, "{}={weight}", self.address),
        }
    }
}

impl Serialize for RouteTarget {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RouteTarget {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(json: &str) -> RouteSpec {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn good_routes() {
        for json in [
            r#"{"to": ["api"]}"#,
            r#"{"host": "*.example.org", "path": "/", "to": ["api=90", "next=10", "old=0"]}"#,
            r#"{"path_exact": "/a%20b", "method": "GET", "headers": {"x-canary": "1"},
                "query": {"v": ""}, "to": ["api:80"], "rewrite_host": "api.local:8080",
                "rewrite_path": "/", "set_headers": {"x-a": "b c"}, "remove_headers": ["x-b"],
                "timeout_ms": 30000}"#,
        ] {
            let route = route(json);
            assert_eq!(route.check(Protocol::Http), Ok(()), "{json}");
            let again = serde_json::to_string(&route).unwrap();
            assert_eq!(serde_json::from_str::<RouteSpec>(&again).unwrap(), route);
        }
        let shares = route(r#"{"to": ["a=90", "b=10", "c=0"]}"#).choices();
        assert_eq!(shares.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a=90", "b=10"]);
    }

    #[test]
    fn each_mistake_names_its_key() {
        for (key, json) in [
            ("to", r#"{"path": "/"}"#),
            ("to", r#"{"to": ["a=0"]}"#),
            ("to", r#"{"to": ["a=1", "a=2"]}"#),
            ("path", r#"{"to": ["a"], "path": "api"}"#),
            ("path", r#"{"to": ["a"], "path": "/a?b"}"#),
            ("path_exact", r#"{"to": ["a"], "path": "/a", "path_exact": "/a"}"#),
            ("method", r#"{"to": ["a"], "method": "get"}"#),
            ("headers", r#"{"to": ["a"], "headers": {"X-Upper": "1"}}"#),
            ("headers", r#"{"to": ["a"], "headers": {"host": "a"}}"#),
            ("query", r#"{"to": ["a"], "query": {"": "1"}}"#),
            ("rewrite_host", r#"{"to": ["a"], "rewrite_host": "*.a"}"#),
            ("rewrite_host", r#"{"to": ["a"], "rewrite_host": "a:b"}"#),
            ("rewrite_path", r#"{"to": ["a"], "rewrite_path": "a b"}"#),
            ("set_headers", r#"{"to": ["a"], "set_headers": {"content-length": "1"}}"#),
            ("set_headers", r#"{"to": ["a"], "set_headers": {"x": "a\nb"}}"#),
            ("remove_headers", r#"{"to": ["a"], "remove_headers": ["host"]}"#),
            ("timeout", r#"{"to": ["a"], "timeout_ms": 0}"#),
        ] {
            assert_eq!(route(json).check(Protocol::Http).unwrap_err().key, key, "{json}");
        }
    }

    #[test]
    fn streams_are_routed_by_host_only_and_datagrams_not_at_all() {
        let by_host = route(r#"{"host": "a.b", "to": ["a=9", "b"]}"#);
        assert_eq!(by_host.check(Protocol::Tcp), Ok(()));
        assert!(by_host.check(Protocol::Udp).is_err());
        let more = RouteSpec { timeout_ms: Some(1), ..by_host };
        assert_eq!(more.check(Protocol::Tcp).unwrap_err().key, "timeout");
        assert_eq!(route(r#"{"to": ["a"]}"#).check(Protocol::Tcp).unwrap_err().key, "host");
    }
}
