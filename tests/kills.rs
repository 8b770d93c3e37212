//! Daemons that are killed under load: what comes through is right, and what breaks is told.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use van_testkit::{DEADLINE, Load, LoadEnd, PatternServer, Sites, Vand, wait_until};

/// How often each daemon is killed: `VAN_KILLS`, by default 5.
fn kills() -> usize {
    match std::env::var("VAN_KILLS") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("VAN_KILLS={text} is no number")),
        Err(_) => 5,
    }
}

/// Kills one of the daemons under load, again and again.
fn kill_under_load(which: impl for<'a> Fn(&'a mut Sites, &'a mut Vand) -> &'a mut Vand) -> LoadEnd {
    let server = PatternServer::start();
    let mut sites = Sites::start("");
    let (mut laptop, port) = sites.service(server.port());
    let load = Load::start(port, 4);
    for round in 0..kills() {
        let before = load.complete();
        wait_until(DEADLINE, "flows completed", || load.complete() >= before + 10);
        // At another moment of the work each time.
        std::thread::sleep(Duration::from_millis(round as u64 * 7 % 50));
        let vand = which(&mut sites, &mut laptop);
        vand.kill();
        vand.start_again();
    }
    let before = load.complete();
    wait_until(DEADLINE, "flows completed after the last kill", || load.complete() >= before + 10);
    let end = load.end();
    assert_eq!(server.corrupt(), 0, "bytes towards the workload were wrong");
    assert_eq!(end.wrong, 0, "bytes towards the client were wrong");
    assert_eq!(end.stalled, 0, "flows stalled: {end:?}");
    end
}

#[test]
fn the_egress_is_killed_under_load() {
    let end = kill_under_load(|_, laptop| laptop);
    // The ingress lives, so it must not pass a broken flow off as a finished one.
    assert_eq!(end.short, 0, "{end:?}");
}

#[test]
fn the_ingress_is_killed_under_load() {
    kill_under_load(|sites, _| &mut sites.public);
}
