//! Why a link is not up, in words.

use std::time::Duration;

use van_mux::GoAwayReason;

use super::Dialler;
use crate::connect::ConnectError;
use crate::connection::EndReason;
use crate::establish::HandshakeError;
use crate::join::{JoinError, JoinRefusal};

/// A refusal by the issuer is asked about again after this: the operator may have mended it there.
const REFUSED_WAIT: Duration = Duration::from_secs(30);

/// Why an attempt ended.
#[derive(Debug)]
pub(super) enum Failure {
    Connect(ConnectError),
    Handshake(HandshakeError),
    Join(JoinError),
    Ended(EndReason),
    /// The peer does not know this site and there is nothing to redeem.
    Unknown,
    /// This site has revoked the peer.
    Revoked,
    /// This site may not trust the peer.
    NotTrusted(String),
    Pin(String),
}

/// One word, a sentence, what the user can do, and how long to wait where the usual wait does not fit.
pub(super) type Explanation = (&'static str, String, Option<String>, Option<Duration>);

/// Why a connection that was up is so no longer.
pub(super) fn ended(reason: &EndReason) -> Explanation {
    match reason {
        EndReason::WentAway(GoAwayReason::SelfLink)
        | EndReason::PeerWentAway(GoAwayReason::SelfLink) => self_link(),
        EndReason::PeerWentAway(GoAwayReason::Revoked) => (
            "Revoked",
            "the peer has revoked this site".into(),
            Some(new_token()),
            Some(REFUSED_WAIT),
        ),
        other => ("ConnectionLost", other.to_string(), None, None),
    }
}

fn self_link() -> Explanation {
    let message = "the token was made by this very site".to_owned();
    let hint = "make the token at the other site".to_owned();
    ("SelfLink", message, Some(hint), Some(REFUSED_WAIT))
}

fn new_token() -> String {
    "make a new token there with 'vanctl token create' and create the link again with it".into()
}

impl Failure {
    /// For people, and how long to wait.
    pub(super) fn explain(&self, dialler: &Dialler) -> Explanation {
        let peer = &dialler.spec.peer;
        // A site trusts itself where it runs several routers.
        if *peer == dialler.links.local().id && dialler.links.peers.authority(peer).is_none() {
            return self_link();
        }
        let place = || dialler.spec.endpoints.first().map(ToString::to_string).unwrap_or_default();
        match self {
            Self::Connect(error) => {
                let hint =
                    "check that the other site runs, accepts links and can be reached from here";
                ("Unreachable", error.to_string(), Some(hint.into()), None)
            }
            Self::Handshake(error) => {
                let hint =
                    format!("check that {} is a vand of the site that made the token", place());
                ("HandshakeFailed", error.to_string(), Some(hint), None)
            }
            Self::Join(JoinError::Refused(JoinRefusal::Refused)) => {
                ("Refused", JoinRefusal::Refused.to_string(), Some(new_token()), Some(REFUSED_WAIT))
            }
            Self::Join(JoinError::Refused(JoinRefusal::TooMany)) => {
                ("TooManyAttempts", JoinRefusal::TooMany.to_string(), None, Some(REFUSED_WAIT))
            }
            Self::Join(error) => ("JoinFailed", error.to_string(), None, None),
            Self::Ended(reason) => ended(reason),
            Self::Unknown => {
                let message =
                    "the two sites do not know each other, and there is no token to redeem";
                ("Refused", message.into(), Some(new_token()), Some(REFUSED_WAIT))
            }
            Self::Revoked => {
                let message = "this site has revoked the peer; no token of the peer brings it back";
                let hint = "delete the link with 'vanctl link delete', or end the revocation \
                            with 'vanctl peer trust'"
                    .to_owned();
                ("Revoked", message.into(), Some(hint), Some(REFUSED_WAIT))
            }
            Self::NotTrusted(error) => {
                let hint = "check [identity] bundle, or link sites of one organisation".to_owned();
                ("Refused", error.clone(), Some(hint), Some(REFUSED_WAIT))
            }
            Self::Pin(error) => ("StateNotWritten", error.clone(), None, None),
        }
    }
}
