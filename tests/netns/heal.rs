//! What flows notice when a site of a ring dies, a cable falls silent one way, or a site flaps.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use van_testkit::{DEADLINE, LabSite, Talk, TalkEnd, wait_until};

use crate::ring::{LEFT, RIGHT, Ring};
use crate::tell;

/// How soon a flow whose path is dead is closed at both ends: a link that says nothing is found in
/// 3 s, and a busy machine needs some more.
const PROMPT: Duration = Duration::from_secs(8);

/// A conversation on each path.
fn talks(ring: &Ring) -> [Talk; 2] {
    [LEFT, RIGHT].map(|port| ring.client().talk(port).unwrap())
}

/// Checks that the conversation on the left path is reset at the client and at the target, and that
/// both sites say why.
#[track_caller]
fn is_reset(ring: &Ring, mut talk: Talk) {
    assert_eq!(talk.wait_end(PROMPT), TalkEnd::Reset);
    wait_until(PROMPT, "the target's end was reset", || ring.left.broken() == 1);
    for site in [&ring.sites[0], &ring.sites[2]] {
        wait_until(DEADLINE, &format!("{} said why", site.host.name()), || {
            ends(site, "left").contains(&json!("link_lost"))
        });
    }
    // The conversation on the other path is the one that is open.
    assert!(ends(ring.client(), "right").contains(&Value::Null));
}

/// How the flows of a service ended at a site, as its users are told; open ones are null.
fn ends(site: &LabSite, address: &str) -> Vec<Value> {
    let (_, flows) = site.vand.get("/v1/flows").unwrap();
    let flows = flows["items"].as_array().unwrap().iter();
    flows.filter(|flow| flow["address"] == address).map(|flow| flow["end"].clone()).collect()
}

#[test]
fn a_site_of_a_ring_dies() {
    let mut ring = Ring::start();
    let [dying, mut living] = talks(&ring);
    ring.sites[1].kill();
    is_reset(&ring, dying);
    wait_until(DEADLINE, "the other way served", || ring.client().talk(LEFT).is_ok());
    living.say().unwrap();
    assert_eq!(ring.right.broken(), 0);
}

#[test]
fn a_cable_of_a_ring_falls_silent_one_way() {
    for towards in [0, 1] {
        let ring = Ring::start();
        let [dying, mut living] = talks(&ring);
        ring.cables[0].silence_towards(&ring.sites[towards].host);
        is_reset(&ring, dying);
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
