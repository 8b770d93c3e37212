//! Redeeming a token: one question and one answer over `van-join/1`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use rustls::pki_types::CertificateDer;
use tokio::time::timeout;
use van_model::{Mode, SiteId};
use van_pki::{Secret, Voucher, VoucherKind};

use crate::establish::{Handshake, HandshakeError};

/// The most bytes of a message; both carry a certificate at most.
const MAX_MESSAGE: usize = 32 * 1024;

/// Time for question and answer.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);

/// What a newcomer asks; its authority stands in the TLS chain.
#[derive(Debug)]
pub struct JoinRequest {
    /// The token's secret.
    pub secret: Secret,
    /// The newcomer's site name.
    pub name: String,
    /// Interior or edge.
    pub mode: Mode,
    /// Whether it is to be forgotten a day after its last link.
    pub ephemeral: bool,
}

/// What the issuer answers to a newcomer that it pins.
#[derive(Debug, Clone)]
pub struct Admission {
    /// The newcomer's id signed by the issuer.
    pub voucher: Voucher,
    /// The issuer's site name.
    pub name: String,
}

/// Why a newcomer is not admitted. Towards a stranger, unknown, expired and used up are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinRefusal {
    /// The secret opens nothing: unknown, expired, used up, revoked, or its bearer is revoked.
    #[error("the token is unknown to its issuer, expired, or used up")]
    Refused,
    /// The newcomer was revoked, and the token is older than that. It is told [`Self::Refused`].
    #[error("it was revoked here, and only a token that was made since admits it again")]
    Revoked,
    /// The organisation's bundle does not admit the newcomer. It is told [`Self::Refused`].
    #[error("its authority is not one that [identity] bundle admits")]
    NotOfTheBundle,
    /// Too many attempts.
    #[error("too many attempts from this address; the issuer answers again in a minute")]
    TooMany,
    /// The issuer could not keep what it must.
    #[error("the issuer can't admit sites now: its state can't be written")]
    Unavailable,
}

/// Why redeeming failed.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// No TLS session.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The issuer said no.
    #[error("{0}")]
    Refused(JoinRefusal),
    /// The answer makes no sense.
    #[error("the issuer's answer can't be read")]
    Malformed,
    /// No answer.
    #[error("the issuer did not answer within {} s", EXCHANGE_TIMEOUT.as_secs())]
    Timeout,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Question {
    #[n(0)]
    secret: ByteVec,
    #[n(1)]
    name: String,
    #[n(2)]
    edge: bool,
    #[n(3)]
    ephemeral: bool,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Answer {
    /// 0: admitted; 1: refused; 2: too many attempts; 3: unavailable.
    #[n(0)]
    code: u8,
    #[n(1)]
    name: Option<String>,
    #[n(2)]
    signature: Option<ByteVec>,
}

/// Asks to be admitted; `issuer` is who the TLS session proved to be there.
pub(crate) async fn redeem(
    mut session: Handshake,
    issuer: SiteId,
    newcomer: SiteId,
    request: &JoinRequest,
) -> Result<Admission, JoinError> {
    let question = Question {
        secret: request.secret.as_bytes().to_vec().into(),
        name: request.name.clone(),
        edge: request.mode == Mode::Edge,
        ephemeral: request.ephemeral,
    };
    let exchange = async {
        session.send(&framed(&question)).await?;
        session.receive(unframed::<Answer>).await
    };
    let answer = timeout(EXCHANGE_TIMEOUT, exchange).await.map_err(|_| JoinError::Timeout)??;
    let answer = answer.ok_or(JoinError::Malformed)?;
    session.close().await;
    match answer {
        Answer { code: 0, name: Some(name), signature: Some(signature) } if name.len() <= 253 => {
            let signature = signature.into();
            let kind = VoucherKind::Admission;
            let voucher = Voucher { subject: newcomer, signer: issuer, kind, signature };
            Ok(Admission { voucher, name })
        }
        Answer { code: 1, .. } => Err(JoinError::Refused(JoinRefusal::Refused)),
        Answer { code: 2, .. } => Err(JoinError::Refused(JoinRefusal::TooMany)),
        Answer { code: 3, .. } => Err(JoinError::Refused(JoinRefusal::Unavailable)),
        _ => Err(JoinError::Malformed),
    }
}

/// Answers one newcomer.
pub(crate) async fn answer(
    session: &mut Handshake,
    decide: impl FnOnce(&JoinRequest) -> Result<Admission, JoinRefusal>,
) -> Result<Result<(), JoinRefusal>, JoinError> {
    let exchange = session.receive(unframed::<Question>);
    let question = timeout(EXCHANGE_TIMEOUT, exchange).await.map_err(|_| JoinError::Timeout)??;
    let question = question.ok_or(JoinError::Malformed)?;
    let secret: Vec<u8> = question.secret.into();
    let request = JoinRequest {
        secret: Secret::from_bytes(secret.try_into().map_err(|_| JoinError::Malformed)?),
        name: question.name.chars().filter(|c| !c.is_control()).take(63).collect(),
        mode: if question.edge { Mode::Edge } else { Mode::Interior },
        ephemeral: question.ephemeral,
    };
    let decision = decide(&request);
    let (code, admission) = match &decision {
        Ok(admission) => (0, Some(admission)),
        Err(JoinRefusal::Refused | JoinRefusal::Revoked | JoinRefusal::NotOfTheBundle) => (1, None),
        Err(JoinRefusal::TooMany) => (2, None),
        Err(JoinRefusal::Unavailable) => (3, None),
    };
    let answer = Answer {
        code,
        name: admission.map(|a| a.name.clone()),
        signature: admission.map(|a| a.voucher.signature.clone().into()),
    };
    session.send(&framed(&answer)).await?;
    Ok(decision.map(|_| ()))
}

/// `length u16 · CBOR`.
fn framed(message: &impl Encode<()>) -> Vec<u8> {
    let body = minicbor::to_vec(message).expect("writing to a vector can't fail");
    let length = u16::try_from(body.len()).expect("names and secrets are far below 64 KiB");
    [&length.to_be_bytes()[..], &body].concat()
}

/// `None`: more is needed; `Some(None)`: it makes no sense.
fn unframed<T: for<'b> Decode<'b, ()>>(bytes: &[u8]) -> Option<Option<T>> {
    let (length, body) = bytes.split_first_chunk()?;
    let length = usize::from(u16::from_be_bytes(*length));
    if length > MAX_MESSAGE {
        return Some(None);
    }
    body.get(..length).map(|body| minicbor::decode(body).ok())
}

/// A site that redeemed a token, as the dialler learns it.
#[derive(Debug, Clone)]
pub struct Joined {
    /// The issuer, now to be pinned.
    pub issuer: SiteId,
    /// Its authority.
    pub authority: CertificateDer<'static>,
    /// What it answered.
    pub admission: Admission,
}

/// Counts failed attempts by source, so that secrets can't be guessed.
#[derive(Debug, Default)]
pub(crate) struct Limiter(BTreeMap<IpAddr, (u32, Instant)>);

/// Failed attempts of a source within [`PERIOD`] before it is not heard any more.
const ATTEMPTS: u32 = 10;

const PERIOD: Duration = Duration::from_secs(60);

/// Sources remembered; more at once are an attack, and all wait together.
const SOURCES: usize = 4096;

impl Limiter {
    /// Whether this source is heard now; the attempt counts at once, so that many at the same time
    /// gain nothing.
    pub(crate) fn admits(&mut self, source: IpAddr, now: Instant) -> bool {
        self.0.retain(|_, (_, since)| now.saturating_duration_since(*since) < PERIOD);
        if self.0.len() >= SOURCES && !self.0.contains_key(&source) {
            return false;
        }
        let (count, _) = self.0.entry(source).or_insert((0, now));
        *count = count.saturating_add(1);
        *count <= ATTEMPTS
    }

    /// Takes back an attempt that was admitted.
    pub(crate) fn succeeded(&mut self, source: IpAddr) {
        if let Some((count, _)) = self.0.get_mut(&source) {
            *count = count.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guesser_is_not_heard_for_a_minute() {
        let (mut limiter, now) = (Limiter::default(), Instant::now());
        let (bad, good): (IpAddr, IpAddr) = ([1, 1, 1, 1].into(), [2, 2, 2, 2].into());
        for _ in 0..ATTEMPTS {
            assert!(limiter.admits(bad, now));
        }
        assert!(!limiter.admits(bad, now) && limiter.admits(good, now));
        limiter.succeeded(good);
        for _ in 0..ATTEMPTS {
            assert!(limiter.admits(good, now));
        }
        assert!(limiter.admits(bad, now + PERIOD));
    }

    #[test]
    fn messages_are_cut_at_their_length() {
        let answer = framed(&Answer { code: 1, name: None, signature: None });
        for cut in 0..answer.len() {
            assert!(unframed::<Answer>(&answer[..cut]).is_none(), "cut at {cut}");
        }
        assert_eq!(unframed::<Answer>(&answer).unwrap().unwrap().code, 1);
        assert!(unframed::<Answer>(&[0xff, 0xff, 0]).unwrap().is_none());
        assert!(unframed::<Answer>(&[0, 1, 0xff]).unwrap().is_none());
    }
}
