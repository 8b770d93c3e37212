//! A transit site that is killed again and again.

use std::time::Duration;

use van_testkit::{DEADLINE, Lab, LabSite, Load, PatternServer, wait_until};

const PORT: u16 = 7001;

/// How often the site is killed: `VAN_KILLS`, by default 20.
fn kills() -> u64 {
    match std::env::var("VAN_KILLS") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("VAN_KILLS={text} is no number")),
        Err(_) => 20,
    }
}

#[test]
fn a_transit_site_is_killed_under_load() {
    let lab = Lab::new();
    let hosts = ["a", "transit", "b"].map(|name| lab.host(name));
    let _cables = [lab.cable(&hosts[0], &hosts[1]), lab.cable(&hosts[1], &hosts[2])];
    let mut sites = lab.sites(&hosts);
    sites[0].dial(&sites[1], 1);
    sites[2].dial(&sites[1], 1);
    let server = hosts[2].within(PatternServer::start);
    sites[2].offer("far", server.port());
    sites[0].listen("far", PORT);
    let load = hosts[0].within(|| Load::start(PORT, 4));
    let flows = |what: &str| {
        let before = load.complete();
        wait_until(DEADLINE, what, || load.complete() >= before + 10);
    };
    for round in 0..kills() {
        flows("flows completed");
        // At another moment of the work each time.
        std::thread::sleep(Duration::from_millis(round * 7 % 50));
        let transit: &mut LabSite = &mut sites[1];
        transit.kill();
        transit.start_again();
    }
    flows("flows completed after the last kill");
    let end = load.end();
    assert_eq!(server.corrupt(), 0, "bytes towards the target were wrong");
    assert_eq!(end.wrong, 0, "bytes towards the client were wrong");
    assert_eq!(end.stalled, 0, "flows stalled: {end:?}");
    // Ingress and egress live, so a broken flow must not pass for a finished one.
    assert_eq!(end.short, 0, "flows ended early in order: {end:?}");
}
