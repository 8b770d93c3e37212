//! What flows notice when a site of a ring dies, a cable falls silent one way, or a site flaps.

use std::time::{Duration, Instant};

use van_testkit::{DEADLINE, Talk, TalkEnd, Witness, wait_until};

use crate::ring::{LEFT, RIGHT, Ring};
use crate::tell;

/// How soon a flow whose path is dead is closed at both ends: a link that says nothing is found in
/// 3 s, and a busy machine needs some more.
const PROMPT: Duration = Duration::from_secs(8);

/// A conversation on each path.
fn talks(ring: &Ring) -> [Talk; 2] {
    [LEFT, RIGHT].map(|port| ring.client().talk(port).unwrap())
}

/// Checks that a conversation is reset at the client and ends at the witness too.
#[track_caller]
fn is_reset(mut talk: Talk, witness: &Witness, gone: usize) {
    assert_eq!(talk.wait_end(PROMPT), TalkEnd::Reset);
    wait_until(PROMPT, "the target's end was reset", || witness.broken() > gone);
}

#[test]
fn a_site_of_a_ring_dies() {
    let mut ring = Ring::start();
    let [dying, mut living] = talks(&ring);
    let gone = ring.left.broken();
    ring.sites[1].kill();
    is_reset(dying, &ring.left, gone);
    wait_until(DEADLINE, "the other way served", || ring.client().talk(LEFT).is_ok());
    living.say().unwrap();
    assert_eq!(ring.right.broken(), 0);
}

#[test]
fn a_cable_of_a_ring_falls_silent_one_way() {
    for towards in [0, 1] {
        let ring = Ring::start();
        let [dying, mut living] = talks(&ring);
        let gone = ring.left.broken();
        ring.cables[0].silence_towards(&ring.sites[towards].host);
        is_reset(dying, &ring.left, gone);
        wait_until(DEADLINE, "the other way served", || ring.client().talk(LEFT).is_ok());
        living.say().unwrap();
        assert_eq!(ring.right.broken(), 0);
        ring.cables[0].heal_towards(&ring.sites[towards].host);
        wait_until(DEADLINE, "the link was back", || {
            ring.client().vand.get("/v1/status").is_some_and(|(_, s)| s["links_up"] == 2)
        });
        living.say().unwrap();
    }
}

#[test]
fn a_site_of_a_ring_flaps_every_two_seconds() {
    let mut ring = Ring::start();
    let [_, mut living] = talks(&ring);
    let start = Instant::now();
    for round in 1..=10 {
        match round % 2 {
            1 => ring.sites[1].kill(),
            _ => ring.sites[1].start_again(),
        }
        let end = start + round * Duration::from_secs(2);
        // Some time after each flap flows work, whichever way they take, until the next.
        let healed = wait_until(Duration::from_secs(2), "a new flow worked", || {
            ring.client().talk(LEFT).is_ok()
        });
        wait_until(DEADLINE, "the next flap was due", || {
            living.say().unwrap();
            Instant::now() >= end
        });
        tell(&format!("flap {round}: flows worked again after {healed:?}"));
    }
    assert_eq!(ring.right.broken(), 0);
    wait_until(DEADLINE, "flows were steady", || (0..50).all(|_| ring.client().talk(LEFT).is_ok()));
}
