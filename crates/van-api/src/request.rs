//! The parts of a request: its query and its body, read with limits.

use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use van_model::{ApiError, ErrorCode};

/// The largest body: a token or a spec is a few KiB.
pub(crate) const BODY_MAX: usize = 1 << 20;
/// How long a body may take; the socket is local, so a slower peer is stuck.
const BODY_TIME: Duration = Duration::from_secs(10);

/// What a query may say; other words are passed over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Query {
    /// `watch=1`: stream the document.
    pub(crate) watch: bool,
    /// `after=N`: only events above this sequence.
    pub(crate) after: u64,
}

impl Query {
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, ApiError> {
        let mut query = Self::default();
        for pair in text.unwrap_or_default().split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let bad = |accepted: &str| {
                let value: String = value.chars().take(40).collect();
                ApiError::new(ErrorCode::Invalid, format!("{key}={value:?}: use {accepted}"))
            };
            match key {
                "watch" => {
                    query.watch = match value {
                        "1" | "true" | "" => true,
                        "0" | "false" => false,
                        _ => return Err(bad("watch=1 or watch=0")),
                    };
                }
                "after" => query.after = value.parse().map_err(|_| bad("an event's sequence"))?,
                _ => {}
            }
        }
        Ok(query)
    }
}

/// Reads a body as JSON.
///
/// # Errors
/// A body that is too long, too slow, cut off, or not what is expected.
pub(crate) async fn read_json<T: DeserializeOwned>(body: Incoming) -> Result<T, ApiError> {
    let invalid = |message: String| ApiError::new(ErrorCode::Invalid, message);
    let collected = tokio::time::timeout(BODY_TIME, Limited::new(body, BODY_MAX).collect());
    let bytes = match collected.await {
        Err(_) => return Err(invalid("the request's body took longer than 10 s".into())),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Err(invalid("the request's body is longer than 1 MiB".into()));
        }
        Ok(Err(_)) => return Err(invalid("the request's body ended early".into())),
        Ok(Ok(whole)) => whole.to_bytes(),
    };
    if bytes.is_empty() {
        return Err(invalid("the request has no body: send JSON".into()));
    }
    serde_json::from_slice(&bytes).map_err(|error| invalid(describe(&error)))
}

/// Says what is wrong with a body in the words of JSON, not of the program.
fn describe(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    for (inside, outside) in [
        ("a nonzero u16", "a whole number from 1 to 65535"),
        ("u16", "a whole number from 0 to 65535"),
        ("u32", "a whole number below 2^32"),
        ("u64", "a whole number"),
    ] {
        text = text.replace(inside, outside);
    }
    while let Some(start) = text.find("struct ") {
        let end = text[start + 7..].find([' ', ',']).map_or(text.len(), |at| start + 7 + at);
        text.replace_range(start..end, "an object");
    }
    format!("the request's body is not as expected: {text}")
}

#[cfg(test)]
mod tests {
    use van_model::api::{ConnectorView, Put, TokenCreate};

    use super::*;

    #[test]
    fn queries() {
        assert_eq!(Query::parse(None), Ok(Query::default()));
        let query = Query::parse(Some("watch=1&x=y&after=7&")).unwrap();
        assert_eq!(query, Query { watch: true, after: 7 });
        for bad in ["watch=2", "after=", "after=-1", "after=1e3", "after=99999999999999999999"] {
            assert_eq!(Query::parse(Some(bad)).unwrap_err().code, ErrorCode::Invalid, "{bad}");
        }
    }

    #[test]
    fn messages_name_no_types() {
        let wrong =
            |text: &str| describe(&serde_json::from_str::<Put<ConnectorView>>(text).unwrap_err());
        for text in [
            "3",
            "{}",
            r#"{"spec":3}"#,
            r#"{"spec":{"target":"a:1","service_port":0}}"#,
            r#"{"spec":{"target":"a:1","service_port":"x"}}"#,
            r#"{"spec":{"target":"a:1","wieght":1}}"#,
            "{",
        ] {
            let message = wrong(text);
            for word in ["struct", "u16", "Put", "View"] {
                assert!(!message.contains(word), "{message}");
            }
        }
        assert!(
            wrong(r#"{"spec":{"target":"a:1","wieght":1}}"#).contains("unknown field `wieght`")
        );
        let token = serde_json::from_str::<TokenCreate>(r#"{"spec":{"uses":-1}}"#).unwrap_err();
        assert!(describe(&token).contains("a whole number below 2^32"), "{}", describe(&token));
    }
}
