//! Answers: JSON documents, errors and streams.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use van_model::api::ErrorBody;
use van_model::{ApiError, ErrorCode};

/// A body that is known, or one that is streamed.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;
/// An answer.
pub(crate) type Answer = Response<Body>;

fn with_body(status: StatusCode, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// Writes a document on one line.
pub(crate) fn line<T: Serialize>(document: &T) -> Bytes {
    let mut text = serde_json::to_vec(document).unwrap_or_else(|error| {
        // Only a number or a key that JSON can't hold leads here: our own mistake.
        tracing::error!(%error, "can't write an API document");
        br#"{"error":{"code":"internal","message":"the document can't be written as JSON"}}"#.into()
    });
    text.push(b'\n');
    text.into()
}

/// A document.
pub(crate) fn document<T: Serialize>(status: StatusCode, document: &T) -> Answer {
    with_body(status, Full::new(line(document)).boxed_unsync())
}

/// What Prometheus reads.
pub(crate) fn metrics(text: String) -> Answer {
    let mut answer = with_body(StatusCode::OK, Full::new(Bytes::from(text)).boxed_unsync());
    let kind =
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

/// A sentence.
pub(crate) fn sentence(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let mut answer = with_body(status, Full::new(text.into()).boxed_unsync());
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

/// An answer without a body: it is done.
pub(crate) fn done() -> Answer {
    let mut answer = Response::new(Full::new(Bytes::new()).boxed_unsync());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

/// A failure.
pub(crate) fn failure(error: ApiError) -> Answer {
    let status =
        StatusCode::from_u16(error.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    document(status, &ErrorBody { error })
}

/// A path that exists, but not for this method.
pub(crate) fn wrong_method(error: ApiError, allow: &'static str) -> Answer {
    debug_assert_eq!(error.code, ErrorCode::Invalid);
    let mut answer = failure(error);
    *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    answer
}

/// One document a line for as long as the stream goes on.
pub(crate) fn stream<S>(lines: S) -> Answer
where
    S: futures_util::Stream<Item = Bytes> + Send + 'static,
{
    use futures_util::StreamExt;
    let frames = lines.map(|line| Ok(Frame::data(line)));
    with_body(StatusCode::OK, StreamBody::new(frames).boxed_unsync())
}
