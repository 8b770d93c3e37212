//! Chains, stars and edges.

use std::time::Duration;

use van_testkit::{DEADLINE, FlowEnd, Host, Lab, PatternServer, Quality, wait_until};

use crate::checks;

/// The port of every listener here.
const PORT: u16 = 7001;

fn hosts<const N: usize>(lab: &Lab, names: [&str; N]) -> [Host; N] {
    names.map(|name| lab.host(name))
}

#[test]
fn a_chain_of_three_hops_over_long_and_lossy_cables() {
    let lab = Lab::new();
    let hosts = hosts(&lab, ["a", "b", "c", "d"]);
    let quality = Quality { delay: Duration::from_millis(5), loss: 10 };
    let _cables: Vec<_> =
        hosts.windows(2).map(|pair| lab.slow_cable(&pair[0], &pair[1], quality)).collect();
    let sites = lab.sites(&hosts);
    for pair in sites.windows(2) {
        pair[0].dial(&pair[1], 1);
    }
    let server = hosts[3].within(PatternServer::start);
    sites[3].offer("far", server.port());
    sites[0].listen("far", PORT);
    checks(&sites[0], PORT);
    assert_eq!((server.served(), server.corrupt()), (1, 0));
}

#[test]
fn a_hub_joins_ten_spokes() {
    let lab = Lab::new();
    let hub = lab.host("hub");
    let spokes: Vec<_> = (0..10).map(|n| lab.host(&format!("spoke{n}"))).collect();
    let _cables: Vec<_> = spokes.iter().map(|spoke| lab.cable(spoke, &hub)).collect();
    spokes.iter().for_each(Host::only_dials);
    let hub = lab.site(&hub);
    let spokes = lab.sites(&spokes);
    for spoke in &spokes {
        spoke.dial(&hub, 1);
    }
    wait_until(DEADLINE, "everybody reached everybody", || {
        spokes.iter().chain([&hub]).all(|site| site.reached() == 10)
    });
    // Each offers what its neighbour in the circle uses.
    let mut servers = Vec::new();
    for (n, spoke) in spokes.iter().enumerate() {
        let server = spoke.host.within(PatternServer::start);
        spoke.offer(&format!("s{n}"), server.port());
        servers.push(server);
    }
    for (n, spoke) in spokes.iter().enumerate() {
        spoke.listen(&format!("s{}", (n + 1) % spokes.len()), PORT);
    }
    spokes.iter().for_each(|spoke| checks(spoke, PORT));
    assert!(servers.iter().all(|server| server.served() == 1 && server.corrupt() == 0));
}

#[test]
fn an_edge_uses_the_best_of_two_uplinks_and_carries_nobody_elses_traffic() {
    let lab = Lab::new();
    let [near, edge, far] = hosts(&lab, ["near", "edge", "far"]);
    let cables = [lab.cable(&near, &edge), lab.cable(&edge, &far)];
    let edge = lab.edge(&edge);
    let mut sites = lab.sites(&[near, far]);
    edge.dial(&sites[0], 1);
    edge.dial(&sites[1], 5);
    let server = edge.host.within(PatternServer::start);
    let far_server = sites[1].host.within(PatternServer::start);
    edge.offer("edge", server.port());
    sites[1].offer("far", far_server.port());
    // Both uplinks lead to the edge, and nothing leads through it.
    for site in &sites {
        site.listen("edge", PORT);
        checks(site, PORT);
        assert_eq!(site.reached(), 1, "{}", site.host.name());
    }
    sites[0].listen_with("far", PORT + 1, "");
    edge.listen("far", PORT + 1);
    checks(&edge, PORT + 1);
    assert!(!sites[0].is_accepting(PORT + 1));
    assert!(matches!(sites[0].flow(PORT + 1, 1, 10, 10), FlowEnd::Broken(_)));

    // The other uplink serves when one is gone.
    sites[0].kill();
    wait_until(DEADLINE, "the other uplink served", || {
        matches!(edge.flow(PORT + 1, 1, 1000, 1000), FlowEnd::Complete)
    });
    checks(&sites[1], PORT);
    assert_eq!((server.corrupt(), far_server.corrupt()), (0, 0));
    drop(cables);
}

/// Two sites between which two routers have a narrow cable, and a flow of megabytes from each.
#[track_caller]
fn narrow(prepare: impl FnOnce(&[Host; 4])) {
    let lab = Lab::new();
    let hosts = hosts(&lab, ["a", "left", "right", "b"]);
    let [a, left, right, b] = &hosts;
    let cables = [lab.cable(a, left), lab.cable(left, right), lab.cable(right, b)];
    // The sites' own cables are wide: only on the way can they learn what fits.
    cables[1].set_mtu(1280);
    left.forward();
    right.forward();
    a.route_by(cables[0].address(left));
    left.route_by(cables[1].address(right));
    right.route_by(cables[1].address(left));
    b.route_by(cables[2].address(right));
    prepare(&hosts);
    let [a, b] = [a, b].map(|host| lab.site(host));
    a.dial(&b, 1);
    let servers = [&a, &b].map(|site| site.host.within(PatternServer::start));
    a.offer("a", servers[0].port());
    b.offer("b", servers[1].port());
    a.listen("b", PORT);
    b.listen("a", PORT);
    for site in [&a, &b] {
        let end = site.flow(PORT, 9, 5_000_000, 5_000_000);
        assert!(matches!(end, FlowEnd::Complete), "{end:?}");
    }
}

#[test]
fn a_router_tells_that_packets_are_too_long_for_the_next_cable() {
    narrow(|_| {});
}

#[test]
fn a_router_swallows_packets_that_are_too_long_for_the_next_cable() {
    narrow(|[_, left, right, _]| {
        for router in [left, right] {
            router.firewall(
                "table inet mute {
                    chain out { type filter hook output priority 0; meta l4proto icmp drop; }
                }",
            );
        }
    });
}
