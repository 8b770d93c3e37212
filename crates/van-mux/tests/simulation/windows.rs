//! Windows that follow need.

use std::time::Duration;

use van_mux::Side;

use super::flow::{ENDLESS, Half, Reader, Spec, Supply};
use super::pipe::Network;
use super::world::{BUDGET, INITIAL, World};

const NOTHING: Half = Half::plain(0);
const SECOND: Duration = Duration::from_secs(1);

fn bulk(network: Network, half: Half) -> World {
    let mut world = World::new(network, 1);
    world.flow(Duration::ZERO, Side::Dialler, Spec::new(half, NOTHING));
    world
}

#[test]
fn grow_until_the_pipe_is_full() {
    for (round_trip, rate) in
        [(1, 100_000_000), (20, 60_000_000), (100, 30_000_000), (300, 10_000_000)]
    {
        let mut world = bulk(Network::new(round_trip, rate), Half::plain(ENDLESS));
        // Eight doublings take a round trip and some each.
        world.pass(Duration::from_millis(round_trip * 24 + 500));
        let before = world.received(Side::Acceptor, 0);
        world.pass(SECOND * 3);
        let got = (world.received(Side::Acceptor, 0) - before) / 3;
        assert!(got >= rate * 9 / 10, "{round_trip} ms: {got} of {rate} B/s");
    }
}

#[test]
fn a_slow_reader_gets_no_more_than_it_needs() {
    let slow = Reader::Slow { period: Duration::from_millis(10), bytes: 1000 };
    let mut world = bulk(Network::new(20, 50_000_000), Half::plain(ENDLESS).read_by(slow));
    world.pass(SECOND * 20);
    let flow = world.ends[1].flows.values().next().unwrap();
    assert!(flow.sink.most_held <= u64::from(INITIAL), "{} bytes held", flow.sink.most_held);
    assert_eq!(world.budgets[1].left(), BUDGET, "its window never grew");
}

#[test]
fn a_reader_that_stops_holds_its_window_and_no_more() {
    let mut world = bulk(Network::new(20, 50_000_000), Half::plain(ENDLESS));
    world.pass(SECOND * 2);
    let window = u64::from(INITIAL) + BUDGET - world.budgets[1].left();
    let flow = world.ends[1].flows.values_mut().next().unwrap();
    flow.sink.reader = Reader::Stalled;
    world.pass(SECOND * 5);
    let held = world.ends[1].flows.values().next().unwrap().sink.held;
    assert!(held <= window, "{held} bytes in a window of {window}");
    assert!(window <= 16 << 20);
}

#[test]
fn shrink_after_rests_and_give_the_budget_back() {
    // Bursts of 4 MiB with rests: a burst's deliveries come in many pieces.
    let burst = 4 << 20;
    let supply = Supply::Steps { period: SECOND * 4, bytes: burst };
    let half = Half { bytes: ENDLESS, supply, reader: Reader::Fast };
    let mut world = bulk(Network::new(20, 50_000_000), half);
    world.pass(SECOND * 3);
    assert_eq!(world.received(Side::Acceptor, 0), burst);
    let grown = BUDGET - world.budgets[1].left();
    assert!(grown > 0, "the burst grew the window");
    // The first bytes after the rest say that there was one.
    assert!(world.run(SECOND * 4, |w| w.received(Side::Acceptor, 0) > burst));
    let left = BUDGET - world.budgets[1].left();
    assert!(left < grown, "{left} bytes beyond the first window after a rest, {grown} before");
}

#[test]
fn the_budget_of_a_session_bounds_all_windows() {
    let mut world = World::new(Network::new(100, 400_000_000), 1);
    for _ in 0..32 {
        let spec = Spec::new(Half::plain(ENDLESS), NOTHING);
        world.flow(Duration::ZERO, Side::Dialler, spec);
    }
    world.pass(SECOND * 2);
    let taken = BUDGET - world.budgets[1].left();
    assert!(taken > 0 && taken <= 64 << 20, "{taken} bytes");
    let [dialler, acceptor] = world.ends;
    drop(dialler);
    drop(acceptor);
    assert_eq!(world.budgets[1].left(), BUDGET, "a session that ends gives all back");
}

#[test]
fn flows_that_went_quiet_give_way() {
    // Four flows fill the session's budget in one burst each, then rest.
    let mut world = World::new(Network::new(100, 800_000_000), 1);
    let supply = Supply::Steps { period: SECOND * 3600, bytes: 200 << 20 };
    let half = Half { bytes: ENDLESS, supply, reader: Reader::Fast };
    for _ in 0..4 {
        world.flow(Duration::ZERO, Side::Dialler, Spec::new(half, NOTHING));
    }
    world.pass(SECOND * 8);
    assert_eq!(BUDGET - world.budgets[1].left(), 4 * ((16 << 20) - u64::from(INITIAL)));
    let late = Spec::new(Half::plain(ENDLESS), NOTHING);
    world.flow(Duration::ZERO, Side::Dialler, late);
    world.pass(SECOND * 4);
    let before = world.received(Side::Acceptor, 4);
    world.pass(SECOND);
    let got = world.received(Side::Acceptor, 4) - before;
    assert!(got >= 100_000_000, "{got} B/s with a window of 16 MiB and 100 ms");
}
