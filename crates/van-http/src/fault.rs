//! Why a request is not answered by a target.

use http::StatusCode;
use van_mux::ResetCode;

use van_framing::Refusal;

/// Why a request is not answered by a target; the text is the answer's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("{0}")]
    Request(Refusal),
    #[error("CONNECT is not served")]
    Connect,
    #[error("no route leads from here to what is asked for")]
    NoRoute,
    #[error("no target can be reached now")]
    NoTarget,
    #[error("the target could not be reached: {0}")]
    Unreachable(ResetCode),
    #[error("the target did not answer in time")]
    Late,
    #[error("the target closed the connection before it answered")]
    Lost,
    #[error("the target's answer is no valid HTTP")]
    Garbage,
    #[error("the request ended before it was whole")]
    Cut,
}

impl Fault {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Request(refusal) => refusal.status().unwrap_or(StatusCode::BAD_REQUEST),
            Self::Cut => StatusCode::BAD_REQUEST,
            Self::Connect => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::NoTarget => StatusCode::SERVICE_UNAVAILABLE,
            Self::Late | Self::Unreachable(ResetCode::Timeout) => StatusCode::GATEWAY_TIMEOUT,
            Self::Unreachable(_) | Self::Lost | Self::Garbage => StatusCode::BAD_GATEWAY,
        }
    }

    /// The same as gRPC says it (its statuscodes.md).
    pub(crate) fn grpc_status(self) -> &'static str {
        match self {
            Self::NoRoute => "12",
            Self::Late => "4",
            _ => "14",
        }
    }

    /// Whether the client's connection is of no further use.
    pub(crate) fn closes(self) -> bool {
        matches!(self, Self::Request(_) | Self::Cut | Self::Connect)
    }
}
