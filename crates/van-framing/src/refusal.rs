//! Why a client's bytes are not taken for HTTP.

use http::StatusCode;

/// What is wrong with a client's bytes; the text is the answer's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request line is not `METHOD TARGET HTTP/1.x`, each a valid token.
    #[error("the request line is malformed")]
    RequestLine,
    /// A version that is not spoken.
    #[error("the version is neither HTTP/1.0 nor HTTP/1.1")]
    Version,
    /// The target's form is none that the method may have.
    #[error("the request's target is malformed")]
    Target,
    /// A field's name or value has bytes that it must not have.
    #[error("a header field is malformed")]
    Field,
    /// A line that goes on in the next.
    #[error("a header field is folded")]
    Folded,
    /// CR or LF on its own, or NUL.
    #[error("a line does not end with CR LF")]
    LineEnd,
    /// None, several, or a malformed one.
    #[error("there must be one valid Host field")]
    Host,
    /// Not one number.
    #[error("Content-Length is not one number")]
    ContentLength,
    /// Other than exactly `chunked`, or in HTTP/1.0.
    #[error("Transfer-Encoding is not chunked alone, or not of this version")]
    TransferEncoding,
    /// Both ways to tell a body's length.
    #[error("Content-Length and Transfer-Encoding exclude one another")]
    TwoLengths,
    /// A chunk's size, extension or end.
    #[error("a chunk of the body is malformed")]
    Chunk,
    /// A trailer that is malformed or must not be one.
    #[error("the trailers are malformed")]
    Trailer,
    /// Bytes of the new protocol before the old one was left.
    #[error("bytes came before the protocol was switched")]
    EarlyBytes,
    /// More than 64 KiB or 100 fields.
    #[error("the header is too large")]
    TooLarge,
    /// The header did not come in time.
    #[error("the header did not come in time")]
    Slow,
    /// No request came for so long.
    #[error("the connection was idle")]
    Idle,
}

impl Refusal {
    /// The status to answer with; `None`: the connection just closes.
    pub const fn status(self) -> Option<StatusCode> {
        match self {
            Self::Idle => None,
            Self::Slow => Some(StatusCode::REQUEST_TIMEOUT),
            Self::TooLarge => Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
            Self::Version => Some(StatusCode::HTTP_VERSION_NOT_SUPPORTED),
            _ => Some(StatusCode::BAD_REQUEST),
        }
    }
}
