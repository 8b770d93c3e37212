//! Going away: what is open finishes, what is new is refused.

use std::time::Duration;

use van_mux::{GoAwayReason, ResetCode, Side};

use super::flow::{End, Half, Spec};
use super::pipe::Network;
use super::world::World;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn open_streams_finish_and_new_ones_are_unreachable() {
    let mut world = World::new(Network::new(50, 10_000_000), 1);
    let half = Half::plain(5_000_000);
    let spec = Spec::new(half, half);
    let open: Vec<usize> = (0..6)
        .map(|i| {
            let side = if i % 2 == 0 { Side::Dialler } else { Side::Acceptor };
            world.flow(Duration::ZERO, side, spec)
        })
        .collect();
    world.go_away(SECOND, Side::Acceptor);
    // On its way while GOAWAY is: the dialler could not know.
    let crossing = world.flow(SECOND + Duration::from_millis(10), Side::Dialler, spec);
    let late = world.flow(SECOND * 2, Side::Dialler, spec);
    let own = world.flow(SECOND * 2, Side::Acceptor, spec);
    assert!(world.run(SECOND * 60, |w| w.now > w.start + SECOND * 3 && w.is_over()));
    assert!(open.iter().all(|flow| world.finished(*flow)));
    assert_eq!(world.ends[0].peer_goes, Some(GoAwayReason::Shutdown));
    let closed = world.closed(Side::Dialler, crossing).expect("it was opened and refused");
    assert_eq!(closed.end, End::ResetByPeer(ResetCode::Unreachable));
    assert!(!closed.accepted && world.closed(Side::Acceptor, crossing).is_none());
    assert_eq!((world.streams[late], world.streams[own]), (None, None), "no new streams");
    assert!(world.ends.iter().all(|end| end.session.is_going_away()));
}

#[test]
fn half_close_in_either_order() {
    for (there, back) in [(0, 0), (0, 100_000), (100_000, 0), (1, 1), (65_536, 65_536)] {
        let mut world = World::new(Network::new(10, 10_000_000), 1);
        let spec = Spec::new(Half::plain(there), Half::plain(back));
        let flow = world.flow(Duration::ZERO, Side::Dialler, spec);
        assert!(world.run(SECOND * 5, |w| w.finished(flow)), "{there} there, {back} back");
        for (side, bytes) in [(Side::Acceptor, there), (Side::Dialler, back)] {
            assert_eq!(world.closed(side, flow).unwrap().received, bytes);
        }
    }
}

#[test]
fn data_rides_with_open() {
    let mut world = World::new(Network::new(100, 10_000_000), 1);
    let spec = Spec::new(Half::plain(100), Half::plain(100));
    let flow = world.flow(Duration::ZERO, Side::Dialler, spec);
    let from = world.now;
    assert!(world.run(SECOND * 5, |w| w.finished(flow)));
    let first = world.closed(Side::Acceptor, flow).unwrap().first.unwrap() - from;
    let answer = world.closed(Side::Dialler, flow).unwrap().first.unwrap() - from;
    assert!(first < Duration::from_millis(51), "OPEN costs no round trip: {first:?}");
    assert!(answer < Duration::from_millis(102), "{answer:?}");
}

#[test]
fn a_quiet_session_lives_and_knows_its_round_trip() {
    let mut world = World::new(Network::new(40, 10_000_000), 1);
    world.pass(SECOND * 60);
    for end in &world.ends {
        let sample = end.session.round_trip().expect("PING goes out by itself");
        assert!((40..42).contains(&sample.as_millis()), "{sample:?}");
    }
}
