//! The messages of OTLP's traces (opentelemetry-proto 1.x, `trace.proto` and `trace_service.proto`), as
//! far as they are written here.

use prost::{Message, Oneof};

/// `ExportTraceServiceRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct Request {
    /// Spans by what made them.
    #[prost(message, repeated, tag = "1")]
    pub resource_spans: Vec<ResourceSpans>,
}

/// `ExportTraceServiceResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct Response {
    /// Absent: all were taken.
    #[prost(message, optional, tag = "1")]
    pub partial_success: Option<PartialSuccess>,
}

/// What of a request was not taken.
#[derive(Clone, PartialEq, Message)]
pub struct PartialSuccess {
    /// How many spans.
    #[prost(int64, tag = "1")]
    pub rejected_spans: i64,
    /// Why.
    #[prost(string, tag = "2")]
    pub error_message: String,
}

/// Spans of one resource.
#[derive(Clone, PartialEq, Message)]
pub struct ResourceSpans {
    /// What made them.
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    /// The spans by scope.
    #[prost(message, repeated, tag = "2")]
    pub scope_spans: Vec<ScopeSpans>,
}

/// What makes spans.
#[derive(Clone, PartialEq, Message)]
pub struct Resource {
    /// What it is.
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
}

/// Spans of one scope.
#[derive(Clone, PartialEq, Message)]
pub struct ScopeSpans {
    /// The part of the software.
    #[prost(message, optional, tag = "1")]
    pub scope: Option<Scope>,
    /// The spans.
    #[prost(message, repeated, tag = "2")]
    pub spans: Vec<Span>,
}

/// `InstrumentationScope`.
#[derive(Clone, PartialEq, Message)]
pub struct Scope {
    /// The part's name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its version.
    #[prost(string, tag = "2")]
    pub version: String,
}

/// One span.
#[derive(Clone, PartialEq, Message)]
pub struct Span {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    /// 8 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub span_id: Vec<u8>,
    /// `tracestate` as it was.
    #[prost(string, tag = "3")]
    pub trace_state: String,
    /// 8 bytes; empty: it is the first of its trace.
    #[prost(bytes = "vec", tag = "4")]
    pub parent_span_id: Vec<u8>,
    /// What is done.
    #[prost(string, tag = "5")]
    pub name: String,
    /// One of [`kind`].
    #[prost(int32, tag = "6")]
    pub kind: i32,
    /// Nanoseconds since 1970.
    #[prost(fixed64, tag = "7")]
    pub start_time_unix_nano: u64,
    /// Nanoseconds since 1970.
    #[prost(fixed64, tag = "8")]
    pub end_time_unix_nano: u64,
    /// What is known of it.
    #[prost(message, repeated, tag = "9")]
    pub attributes: Vec<KeyValue>,
    /// How it went; absent: not said.
    #[prost(message, optional, tag = "15")]
    pub status: Option<Status>,
    /// The context's flags, and in bits 8 and 9 whether the parent was at another process.
    #[prost(fixed32, tag = "16")]
    pub flags: u32,
}

/// How a span went.
#[derive(Clone, PartialEq, Message)]
pub struct Status {
    /// Why it failed.
    #[prost(string, tag = "2")]
    pub message: String,
    /// [`FAILED`] where it did.
    #[prost(int32, tag = "3")]
    pub code: i32,
}

/// The code of [`Status`] for what failed.
pub const FAILED: i32 = 2;

/// Kinds of spans.
pub mod kind {
    /// A request that was served.
    pub const SERVER: i32 = 2;
    /// A request that was made.
    pub const CLIENT: i32 = 3;
}

/// One attribute.
#[derive(Clone, PartialEq, Message)]
pub struct KeyValue {
    /// Its name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its value.
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

/// An attribute's value.
#[derive(Clone, PartialEq, Message)]
pub struct AnyValue {
    /// Which of the kinds that are used here.
    #[prost(oneof = "Value", tags = "1, 3")]
    pub value: Option<Value>,
}

/// What a value is.
#[derive(Clone, PartialEq, Oneof)]
pub enum Value {
    /// A text.
    #[prost(string, tag = "1")]
    Text(String),
    /// A whole number.
    #[prost(int64, tag = "3")]
    Number(i64),
}

impl KeyValue {
    /// An attribute that is a text.
    pub fn text(key: &str, text: impl Into<String>) -> Self {
        Self::new(key, Value::Text(text.into()))
    }

    /// An attribute that is a number.
    pub fn number(key: &str, number: impl Into<i64>) -> Self {
        Self::new(key, Value::Number(number.into()))
    }

    fn new(key: &str, value: Value) -> Self {
        Self { key: key.into(), value: Some(AnyValue { value: Some(value) }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As OpenTelemetry's library for Python encodes it.
    const OTHERS: &str = "0ab2010a180a160a0c736572766963652e6e616d6512060a0476616e641295010a060a016e1201761\
        28a010a100102030405060708090a0b0c0d0e0f10120815161718191a1b1c1a03613d3122081f202122232425262a07474554\
        202f763130023901000000000000004102000000000000004a110a0875726c2e7061746812050a032f76314a200a19687474\
        702e726573706f6e73652e7374617475735f636f6465120318f7037a0512016d1802850101030000";

    /// The same of an answer.
    const OTHERS_ANSWER: &str = "0a080803120466756c6c";

    fn bytes(text: &str) -> Vec<u8> {
        let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(byte).collect()
    }

    #[test]
    fn messages_are_those_of_others() {
        let span = Span {
            trace_id: (1..=16).collect(),
            span_id: (21..=28).collect(),
            trace_state: "a=1".into(),
            parent_span_id: (31..=38).collect(),
            name: "GET /v1".into(),
            kind: kind::SERVER,
            start_time_unix_nano: 1,
            end_time_unix_nano: 2,
            attributes: vec![
                KeyValue::text("url.path", "/v1"),
                KeyValue::number("http.response.status_code", 503),
            ],
            status: Some(Status { message: "m".into(), code: FAILED }),
            flags: 0x301,
        };
        let scope = Some(Scope { name: "n".into(), version: "v".into() });
        let resource = Resource { attributes: vec![KeyValue::text("service.name", "vand")] };
        let scope_spans = vec![ScopeSpans { scope, spans: vec![span] }];
        let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans }];
        let request = Request { resource_spans };
        assert_eq!(request.encode_to_vec(), bytes(OTHERS));
        assert_eq!(Request::decode(bytes(OTHERS).as_slice()), Ok(request));
        let answer = Response::decode(bytes(OTHERS_ANSWER).as_slice()).unwrap();
        let partial = PartialSuccess { rejected_spans: 3, error_message: "full".into() };
        assert_eq!(answer.partial_success, Some(partial));
    }
}
