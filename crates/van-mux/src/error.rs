//! Why a session ends and why a stream does.

use std::fmt;

use crate::frame::{FrameType, StreamId};

/// What a peer did that no correct peer does, or that the session can't go on after.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A payload above the limit.
    #[error("the peer sent a frame of {length} bytes, the limit is 16368")]
    FrameTooLong {
        /// As announced.
        length: u16,
    },
    /// A type below 0x80 that this version does not know.
    #[error("the peer sent a frame of unknown type 0x{0:02x}")]
    UnknownType(u8),
    /// A payload that does not have its type's form.
    #[error("the peer sent a malformed {0:?} frame: {1}")]
    Malformed(FrameType, &'static str),
    /// A frame that may not come now, or not on this stream.
    #[error("the peer sent a {0:?} frame on stream {1} where none may come")]
    Unexpected(FrameType, StreamId),
    /// The first frame was not HELLO.
    #[error("the peer's first frame was {0:?}, not Hello")]
    NoHello(Option<FrameType>),
    /// No common protocol version.
    #[error("no common protocol version: this site speaks {ours}, the peer speaks {theirs}")]
    Version {
        /// As `1` or `1 to 3`.
        ours: String,
        /// As `1` or `1 to 3`.
        theirs: String,
    },
    /// A stream id out of turn.
    #[error("the peer opened stream {got}, the next one is {expected}")]
    StreamId {
        /// The one due.
        expected: StreamId,
        /// The one that came.
        got: StreamId,
    },
    /// More data than was granted.
    #[error("the peer sent {sent} bytes on stream {stream} with {credit} granted")]
    CreditExceeded {
        /// Which stream.
        stream: StreamId,
        /// Bytes that came.
        sent: usize,
        /// Bytes that were granted.
        credit: u64,
    },
    /// Credit beyond what a window may be.
    #[error("the peer granted stream {stream} more credit than a window may have")]
    CreditOverflow {
        /// Which stream.
        stream: StreamId,
    },
    /// Too many of a kind of frame in too short a time.
    #[error("the peer sends {0:?} frames faster than the limit")]
    Flood(FrameType),
    /// Nothing came for three seconds.
    #[error("the peer has been silent for {0} ms")]
    Silent(u64),
}

impl ProtocolError {
    /// A short stable word for logs, metrics and the API.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::FrameTooLong { .. } => "frame_too_long",
            Self::UnknownType(_) => "unknown_frame",
            Self::Malformed(..) => "malformed_frame",
            Self::Unexpected(..) => "unexpected_frame",
            Self::NoHello(_) => "no_hello",
            Self::Version { .. } => "version",
            Self::StreamId { .. } => "stream_id",
            Self::CreditExceeded { .. } => "credit_exceeded",
            Self::CreditOverflow { .. } => "credit_overflow",
            Self::Flood(_) => "flood",
            Self::Silent(_) => "silent",
        }
    }
}

macro_rules! codes {
    ($(#[$meta:meta])* $type:ident { $($(#[$vmeta:meta])* $variant:ident = $value:literal $word:literal),+ $(,)? } else $other:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u32)]
        pub enum $type { $($(#[$vmeta])* $variant = $value),+ }

        impl $type {
            /// Reads a code; one of a later version counts as the most general.
            pub const fn from_u32(code: u32) -> Self {
                match code { $($value => Self::$variant,)+ _ => Self::$other }
            }

            /// The word that users see.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

codes! {
    /// Why a stream was reset: a closed list.
    ResetCode {
        /// The target refused the connection.
        Refused = 1 "refused",
        /// No target, or no way to it.
        Unreachable = 2 "unreachable",
        /// The target did not answer in time.
        Timeout = 3 "timeout",
        /// Not allowed.
        Policy = 4 "policy",
        /// A limit is reached.
        Overload = 5 "overload",
        /// The peer broke the protocol.
        Protocol = 6 "protocol",
        /// A fault of this site's own.
        Internal = 7 "internal",
        /// The connection at the other end is gone.
        Gone = 8 "gone",
    } else Internal
}

impl ResetCode {
    /// Whether the code, before ACCEPT, asserts that no byte reached a workload, so that another
    /// target may be tried.
    pub const fn may_try_elsewhere(self) -> bool {
        matches!(self, Self::Refused | Self::Unreachable | Self::Timeout | Self::Overload)
    }
}

codes! {
    /// Why a session takes no new streams.
    GoAwayReason {
        /// The daemon stops or the connection is replaced.
        Shutdown = 1 "shutdown",
        /// Another link to the same site stays.
        Duplicate = 2 "duplicate",
        /// The peer is no longer trusted.
        Revoked = 3 "revoked",
        /// The link was deleted.
        Deleted = 4 "deleted",
        /// The peer broke the protocol.
        Protocol = 5 "protocol",
        /// The peer is this very site.
        SelfLink = 6 "self link",
        /// A limit is reached.
        Overload = 7 "overload",
    } else Shutdown
}
