//! Who waits for whom.

use std::time::Duration;

use van_mux::{MAX_PAYLOAD, Side};

use super::flow::{ENDLESS, Half, Reader, Spec};
use super::pipe::Network;
use super::world::{INITIAL, World};

const NOTHING: Half = Half::plain(0);
const SECOND: Duration = Duration::from_secs(1);

fn bulk(world: &mut World, flows: usize) -> Vec<usize> {
    (0..flows)
        .map(|_| {
            world.flow(Duration::ZERO, Side::Dialler, Spec::new(Half::plain(ENDLESS), NOTHING))
        })
        .collect()
}

fn received(world: &World, flows: &[usize]) -> Vec<u64> {
    flows.iter().map(|flow| world.received(Side::Acceptor, *flow)).collect()
}

#[test]
fn eight_bulk_streams_share_within_ten_percent() {
    for (round_trip, rate) in [(0, 20_000_000), (20, 20_000_000), (100, 10_000_000)] {
        let mut world = World::new(Network::new(round_trip, rate), 1);
        let flows = bulk(&mut world, 8);
        // The windows of all grow first.
        world.pass(SECOND * 3);
        let before = received(&world, &flows);
        world.pass(SECOND * 5);
        let after = received(&world, &flows);
        let shares: Vec<u64> = after.iter().zip(&before).map(|(a, b)| a - b).collect();
        let (low, high) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
        assert!(high - low <= high / 10, "{round_trip} ms: {shares:?}");
        let sum: u64 = shares.iter().sum();
        assert!(sum >= rate * 5 * 9 / 10, "{round_trip} ms: {sum} of {}", rate * 5);
    }
}

/// Milliseconds after which a small message came, with `flows` of bulk beside it.
fn small_message(rate: u64, flows: usize, warm_up: Duration) -> Vec<Duration> {
    // Segments as TCP has them, so that what arrives does not wait for what follows.
    let network = Network { chunk: 1448, ..Network::new(20, rate) };
    let mut world = World::new(network, 1);
    world.batch = MAX_PAYLOAD;
    bulk(&mut world, flows);
    world.pass(warm_up);
    let mut times = Vec::new();
    for _ in 0..20 {
        world.pass(Duration::from_millis(33));
        let small = Spec::new(Half::plain(100), NOTHING);
        let from = world.now;
        let flow = world.flow(Duration::ZERO, Side::Dialler, small);
        assert!(world.run(SECOND * 20, |w| w.closed(Side::Acceptor, flow).is_some()
            || w.received(Side::Acceptor, flow) == 100));
        times.push(world.now - from);
    }
    times
}

#[test]
fn a_small_message_beside_bulk_waits_for_a_few_frames() {
    for (rate, flows) in [(20_000_000, 1), (20_000_000, 8), (1_000_000, 8), (1_000_000, 30)] {
        let frame = Duration::from_secs_f64((MAX_PAYLOAD + 8) as f64 / rate as f64);
        let alone = Duration::from_millis(10);
        let times = small_message(rate, flows, SECOND * 5);
        // A turn alone has four frames; one more is in the socket and one is being cut.
        let worst = times.iter().max().unwrap();
        assert!(*worst <= alone + frame * 6, "{rate} B/s, {flows} flows: {times:?}");
    }
}

#[test]
fn one_stalled_among_a_thousand_does_not_slow_the_rest() {
    let time = |stalled: bool| {
        let mut world = World::new(Network::new(20, 50_000_000), 1);
        let half = Half::plain(20_000);
        let mut flows = Vec::new();
        for _ in 0..999 {
            flows.push(world.flow(Duration::ZERO, Side::Dialler, Spec::new(half, half)));
        }
        let reader = if stalled { Reader::Stalled } else { Reader::Fast };
        let last = Half::plain(1 << 20).read_by(reader);
        let odd = world.flow(Duration::ZERO, Side::Dialler, Spec::new(last, NOTHING));
        assert!(world.run(SECOND * 60, |w| flows.iter().all(|flow| w.finished(*flow))));
        let time = world.now - world.start;
        if stalled {
            world.pass(SECOND * 5);
            assert_eq!(world.received(Side::Acceptor, odd), u64::from(INITIAL));
        }
        time
    };
    let (with, without) = (time(true), time(false));
    assert!(with <= without, "{with:?} with a stalled reader, {without:?} without");
}

#[test]
fn fifty_stalled_readers_hold_their_windows_and_no_more() {
    let mut world = World::new(Network::new(20, 50_000_000), 1);
    let stalled = Half::plain(ENDLESS).read_by(Reader::Stalled);
    let held: Vec<usize> = (0..50)
        .map(|_| world.flow(Duration::ZERO, Side::Dialler, Spec::new(stalled, NOTHING)))
        .collect();
    let flow = bulk(&mut world, 1)[0];
    world.pass(SECOND * 2);
    let before = world.received(Side::Acceptor, flow);
    world.pass(SECOND * 2);
    let rate = (world.received(Side::Acceptor, flow) - before) / 2;
    assert!(rate >= 45_000_000, "{rate} B/s beside stalled readers");
    assert!(received(&world, &held).iter().all(|bytes| *bytes <= u64::from(INITIAL)));
}

#[test]
fn link_state_messages_pass_bulk_and_come_in_order() {
    let mut world = World::new(Network::new(20, 2_000_000), 1);
    bulk(&mut world, 4);
    world.pass(SECOND);
    let messages: Vec<Vec<u8>> =
        [1, 100, 16_368, 16_369, 100_000, 256 * 1024].map(|len| vec![len as u8; len]).into();
    for message in &messages {
        world.ends[0].session.send_route(message);
    }
    let before = world.received(Side::Acceptor, 0);
    let came = world.run(SECOND, |w| w.ends[1].routes.len() == messages.len());
    assert!(came, "{} of {} messages", world.ends[1].routes.len(), messages.len());
    assert!(world.ends[1].routes == messages);
    assert!(world.received(Side::Acceptor, 0) > before, "data goes on beside messages");
}
