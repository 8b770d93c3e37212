//! The parts of a request: its query and its body, read with limits.

use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use van_model::api::{Event, FlowQuery, Severity};
use van_model::{ApiError, ErrorCode};

use crate::route::percent_decode;

/// The largest body: a token or a spec is a few KiB.
pub(crate) const BODY_MAX: usize = 1 << 20;
/// How long a body may take; the socket is local, so a slower peer is stuck.
const BODY_TIME: Duration = Duration::from_secs(10);

/// The longest text of a query: an address or a site's id is shorter.
const TEXT_MAX: usize = 260;

/// What a query may say; other words are passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query {
    /// `watch=1`: stream the document.
    pub(crate) watch: bool,
    /// `after=N`: only events above this sequence.
    pub(crate) after: u64,
    /// `subject=link/x` or `subject=link`: only events about it.
    pub(crate) subject: Option<String>,
    /// `severity=warning`: only events that matter as much or more.
    pub(crate) severity: Option<Severity>,
    /// `address=db`, `site=b` and `limit=N`: only such flows.
    pub(crate) flows: FlowQuery,
    /// `values=1`: with the values of queries.
    pub(crate) values: bool,
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
                "values" => query.values = value == "1",
                "after" => query.after = value.parse().map_err(|_| bad("an event's sequence"))?,
                "subject" => {
                    query.subject = Some(unescaped(value).ok_or_else(|| bad("link/NAME"))?);
                }
                "address" => {
                    query.flows.address = Some(unescaped(value).ok_or_else(|| bad("an address"))?);
                }
                "site" => {
                    let site = unescaped(value).ok_or_else(|| bad("a site's name or id"))?;
                    query.flows.site = Some(site);
                }
                "severity" => {
                    let found = [Severity::Info, Severity::Warning, Severity::Error];
                    let found = found.into_iter().find(|severity| severity.as_str() == value);
                    query.severity = Some(found.ok_or_else(|| bad("info, warning or error"))?);
                }
                "limit" => {
                    let limit = value.parse().ok();
                    let limit = limit.filter(|n| (1..=FlowQuery::MAX_LIMIT).contains(n));
                    query.flows.limit = limit.ok_or_else(|| bad("a number from 1 to 100000"))?;
                }
                _ => {}
            }
        }
        Ok(query)
    }

    /// Whether an event is one of those that are asked for.
    pub(crate) fn wants(&self, event: &Event) -> bool {
        let about = |subject: &String| {
            let rest = event.subject.strip_prefix(subject.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.subject.as_ref().is_none_or(about)
            && self.severity.is_none_or(|least| event.severity >= least)
    }
}

/// A text of a query with its escapes undone.
fn unescaped(value: &str) -> Option<String> {
    let fits = |text: &String| {
        !text.is_empty() && text.len() <= TEXT_MAX && !text.chars().any(char::is_control)
    };
    percent_decode(value).filter(fits)
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
        assert_eq!(query, Query { watch: true, after: 7, ..Query::default() });
        let query = Query::parse(Some("address=db%3A5432&site=b&limit=7&severity=warning"));
        let flows = FlowQuery { address: Some("db:5432".into()), site: Some("b".into()), limit: 7 };
        let severity = Some(Severity::Warning);
        assert_eq!(query, Ok(Query { flows, severity, ..Query::default() }));
        for bad in [
            "limit=0",
            "limit=100001",
            "severity=loud",
            "subject=",
            "site=%0a",
            "site=%f",
            "address=%00",
            &format!("site={}", "x".repeat(300)),
            "watch=2",
            "after=",
            "after=-1",
            "after=1e3",
            "after=99999999999999999999",
        ] {
            assert_eq!(Query::parse(Some(bad)).unwrap_err().code, ErrorCode::Invalid, "{bad}");
        }
    }

    #[test]
    fn events_are_chosen_by_subject_and_severity() {
        let event = |severity, subject: &str| Event {
            sequence: 1,
            time: jiff::Timestamp::UNIX_EPOCH,
            severity,
            reason: "X".into(),
            subject: subject.into(),
            message: String::new(),
        };
        let wants = |query: &str, severity, subject| {
            Query::parse(Some(query)).unwrap().wants(&event(severity, subject))
        };
        assert!(wants("", Severity::Info, "link/a"));
        assert!(wants("subject=link", Severity::Info, "link/a"));
        assert!(wants("subject=link/a", Severity::Info, "link/a"));
        assert!(!wants("subject=link/a", Severity::Info, "link/ab"));
        assert!(!wants("subject=link&severity=error", Severity::Warning, "link/a"));
        assert!(wants("severity=warning", Severity::Error, "link/a"));
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
