//! What `vanctl tap` tells: requests as they are answered, and flows that open and end.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::FlowRecord;
use crate::{Address, SiteId};

/// What stands for a value that is not shown.
const MASK: &str = "***";

/// Characters of a value that are shown.
const SHOWN: usize = 256;

/// One line of `GET /v1/tap/SERVICE`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TapLine {
    /// A request that is over.
    Request(Box<RequestRecord>),
    /// A flow of a service without requests: as it reached its target, and as it ended.
    Flow(Box<FlowRecord>),
    /// Lines that were dropped since the last, since the reader was slow.
    Lost {
        /// How many.
        count: u64,
    },
}

/// A request as its ingress saw it; secrets are masked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// When its head was there.
    pub started: Timestamp,
    /// The service whose targets were asked, or that of the listener.
    pub address: Address,
    /// Who asked, as far as that is known.
    pub client: Option<String>,
    /// The site of the target.
    pub peer: Option<SiteId>,
    /// That site's name.
    pub peer_name: Option<String>,
    /// The connector that answered; absent: none did.
    pub target: Option<String>,
    /// The method.
    pub method: String,
    /// The path that the client asked for, without the query.
    pub path: String,
    /// The query; values are masked unless they are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The answer's status; 0: the client left before there was one.
    pub status: u16,
    /// Time to the answer's head, in milliseconds.
    pub latency_ms: f64,
    /// Time to the answer's end, in milliseconds.
    pub duration_ms: f64,
    /// Bytes of the request's body.
    pub bytes_sent: u64,
    /// Bytes of the answer's body.
    pub bytes_received: u64,
    /// Fields of the request as the client sent them.
    pub request_headers: Vec<(String, String)>,
    /// Fields of the answer as the client got them.
    pub response_headers: Vec<(String, String)>,
}

/// Whether what stands under a name is not for everybody's eyes.
pub fn is_secret(name: &str) -> bool {
    const NAMES: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];
    const PARTS: [&str; 8] =
        ["token", "secret", "key", "password", "passwd", "credential", "session", "signature"];
    let name = name.to_ascii_lowercase();
    NAMES.contains(&&*name) || PARTS.iter().any(|part| name.contains(part))
}

/// A field's value as it is shown: masked where its name says so, and cut where it is long.
pub fn shown_field(name: &str, value: &[u8]) -> String {
    if is_secret(name) {
        return MASK.into();
    }
    let text = String::from_utf8_lossy(value);
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

/// A query as it is shown: with its values where these are asked for and no secrets.
pub fn shown_query(query: &str, values: bool) -> String {
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        // An escaped name may be a secret's as well.
        Some((name, value)) if values && !is_secret(name) && !name.contains('%') => {
            format!("{name}={value}")
        }
        Some((name, _)) => format!("{name}={MASK}"),
        None if values => pair.to_owned(),
        None => MASK.into(),
    });
    let text = pairs.collect::<Vec<_>>().join("&");
    text.chars().take(4 * SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked() {
        for name in
            ["Authorization", "Cookie", "set-cookie", "X-Api-Key", "x-auth-token", "My-SECRET"]
        {
            assert_eq!(shown_field(name, b"abc"), MASK, "{name}");
        }
        assert_eq!(shown_field("accept", b"text/html"), "text/html");
        assert_eq!(shown_field("accept", &[b'x'; 1000]).chars().count(), SHOWN + 1);
        assert_eq!(shown_query("a=1&token=2&b", false), "a=***&token=***&***");
        assert_eq!(shown_query("a=1&token=2&b&%74oken=3", true), "a=1&token=***&b&%74oken=***");
    }
}
