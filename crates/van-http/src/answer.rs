//! Answers of our own, where no target answers.

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response, StatusCode, Version};

use crate::body::Reply;
use crate::fault::Fault;
use van_framing::Refusal;

/// Whether a message is gRPC's, whose errors travel in fields of their own.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.starts_with(b"application/grpc"))
}

/// The answer to a request that no target answers.
pub(crate) fn of(fault: Fault, grpc: bool, version: Version) -> Response<Reply> {
    let text = format!("{fault}\n");
    let mut response = Response::new(Reply::Text(None));
    let headers = response.headers_mut();
    if grpc {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from_static(fault.grpc_status()));
        if let Ok(message) = HeaderValue::from_str(text.trim_end()) {
            headers.insert("grpc-message", message);
        }
        return response;
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if fault.closes() && version < Version::HTTP_2 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if fault == Fault::Connect {
        let served = "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS";
        headers.insert(ALLOW, HeaderValue::from_static(served));
    }
    *response.status_mut() = fault.status();
    *response.body_mut() = Reply::Text(Some(Bytes::from(text)));
    response
}

/// The bytes that end a connection whose requests are not HTTP; `None`: nothing is said.
pub(crate) fn last(refusal: Refusal) -> Option<Vec<u8>> {
    let status: StatusCode = refusal.status()?;
    let body = format!("{refusal}\n");
    let head = format!(
        "HTTP/1.1 {} {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        status.as_u16(),
        status.canonical_reason().unwrap_or("Error"),
        body.len()
    );
    Some((head + &body).into_bytes())
}
