//! Keepalive, round-trip times and going away.

use std::time::{Duration, Instant};

use super::{Session, Side};
use crate::bucket::Bucket;
use crate::error::{GoAwayReason, ProtocolError};
use crate::frame::FrameType;

/// A PING goes out when nothing came for so long.
const PING_AFTER: Duration = Duration::from_secs(1);

/// The same where a link's further connection carries no stream: the first one tells that the peer is
/// there.
const IDLE_PING_AFTER: Duration = Duration::from_secs(2);

/// The acceptor waits this much longer, so that one of the two asks and both hear.
const ACCEPTOR_LATER: Duration = Duration::from_millis(250);

/// A round-trip time older than this is measured again, also under traffic.
const SAMPLE_EVERY: Duration = Duration::from_secs(5);

/// The peer is dead when nothing came for so long.
const DEAD_AFTER: Duration = Duration::from_secs(3);

/// PINGs that a peer may send: each second, and at once.
const PINGS: (u32, u32) = (100, 100);

/// A path may change: shorter round trips than this long ago count no more.
const SHORTEST_PERIOD: Duration = Duration::from_secs(15);

/// Taken until the first measurement.
const ROUND_TRIP_UNKNOWN: Duration = Duration::from_millis(50);

/// The session's clockwork.
#[derive(Debug)]
pub(super) struct Life {
    last_heard: Instant,
    /// The PING under way: its number and when it was sent.
    ping: Option<(u64, Instant)>,
    pings_sent: u64,
    last_sample: Instant,
    round_trip: Option<Duration>,
    /// The shortest round trips of the present and the last period: without the queues.
    shortest: [Option<Duration>; 2],
    period: Instant,
    pings: Bucket,
    /// This side said GOAWAY.
    going: bool,
    /// The peer did.
    peer_going: bool,
}

impl Life {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            last_heard: now,
            ping: None,
            pings_sent: 0,
            last_sample: now,
            round_trip: None,
            shortest: [None; 2],
            period: now,
            pings: Bucket::new(now, PINGS.0, PINGS.1),
            going: false,
            peer_going: false,
        }
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.last_heard = now;
    }

    pub(super) fn count_ping(&mut self, now: Instant) -> Result<(), ProtocolError> {
        if self.pings.take(now) { Ok(()) } else { Err(ProtocolError::Flood(FrameType::Ping)) }
    }

    pub(super) fn pong(
        &mut self,
        now: Instant,
        payload: &[u8],
    ) -> Result<Option<Duration>, ProtocolError> {
        let number = payload
            .try_into()
            .map(u64::from_be_bytes)
            .map_err(|_| ProtocolError::Malformed(FrameType::Pong, "not 8 bytes"))?;
        let Some((_, sent)) = self.ping.take_if(|(due, _)| *due == number) else { return Ok(None) };
        let sample = now.saturating_duration_since(sent);
        self.round_trip = Some(sample);
        self.last_sample = now;
        if now.saturating_duration_since(self.period) >= SHORTEST_PERIOD {
            self.shortest = [None, self.shortest[0]];
            self.period = now;
        }
        self.shortest[0] = Some(self.shortest[0].map_or(sample, |s| s.min(sample)));
        Ok(Some(sample))
    }

    pub(super) fn peer_goes_away(&mut self) {
        self.peer_going = true;
    }

    pub(super) fn goes_away(&self) -> bool {
        self.going
    }

    pub(super) fn is_going_away(&self) -> bool {
        self.going || self.peer_going
    }

    /// The time by which windows are measured: what the network takes, not what its queues do, so
    /// that windows don't grow with the queues that they make.
    pub(super) fn shortest_round_trip(&self) -> Duration {
        self.shortest.iter().flatten().min().copied().unwrap_or(ROUND_TRIP_UNKNOWN)
    }
}

impl Session {
    /// Sends a PING now, unless one is under way; [`super::Event::RoundTrip`] tells its answer.
    pub fn ping(&mut self, now: Instant) {
        if self.life.ping.is_none() {
            let number = self.life.pings_sent;
            self.life.pings_sent += 1;
            self.life.ping = Some((number, now));
            self.queue(FrameType::Ping, 0, 0, &number.to_be_bytes());
        }
    }

    /// Takes no new streams from now on; the open ones go on.
    pub fn go_away(&mut self, reason: GoAwayReason) {
        if !std::mem::replace(&mut self.life.going, true) {
            let mut payload = [0; 8];
            payload[..4].copy_from_slice(&(self.next_remote.saturating_sub(2)).to_be_bytes());
            payload[4..].copy_from_slice(&(reason as u32).to_be_bytes());
            self.queue(FrameType::GoAway, 0, 0, &payload);
        }
    }

    /// Whether either side said GOAWAY.
    pub fn is_going_away(&self) -> bool {
        self.life.is_going_away()
    }

    /// The last measured round-trip time.
    pub fn round_trip(&self) -> Option<Duration> {
        self.life.round_trip
    }

    /// When [`Session::handle_timeout`] is due at the latest.
    pub fn next_timeout(&self) -> Instant {
        let life = &self.life;
        let dead = life.last_heard + DEAD_AFTER;
        let quiet = match life.ping {
            Some(_) => dead,
            None => (life.last_heard + self.ping_after()).min(life.last_sample + SAMPLE_EVERY),
        };
        dead.min(quiet)
    }

    /// How long nothing has to come until a PING goes out.
    fn ping_after(&self) -> Duration {
        let number = match self.side {
            Side::Dialler => self.local.connection,
            Side::Acceptor => self.peer.as_ref().map_or(0, |hello| hello.connection),
        };
        let is_idle = number > 0 && self.local_open == 0 && self.remote_open == 0;
        let after = if is_idle { IDLE_PING_AFTER } else { PING_AFTER };
        if self.side == Side::Acceptor { after + ACCEPTOR_LATER } else { after }
    }

    /// Does what time asks for: a PING, or the end of a session whose peer is silent.
    ///
    /// What has come must have been received before, else a late caller blames the peer.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), ProtocolError> {
        let silent = now.saturating_duration_since(self.life.last_heard);
        if silent >= DEAD_AFTER {
            return Err(ProtocolError::Silent(silent.as_millis() as u64));
        }
        let sample_age = now.saturating_duration_since(self.life.last_sample);
        if silent >= self.ping_after() || sample_age >= SAMPLE_EVERY {
            self.ping(now);
        }
        Ok(())
    }
}
