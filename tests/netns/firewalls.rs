//! Hosts that can't be dialled.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use van_testkit::{Host, Lab, LabSite, PatternServer};

use crate::checks;

/// The port of both services here, at listeners and targets alike.
const UP: u16 = 7001;
const DOWN: u16 = 7002;

fn can_dial(from: &Host, to: impl Into<IpAddr>) -> bool {
    let place = SocketAddr::new(to.into(), 8263);
    from.within(|| TcpStream::connect_timeout(&place, Duration::from_millis(300)).is_ok())
}

/// Offers a service on each of two sites, and uses each from the other.
#[track_caller]
fn both_ways(one: &LabSite, other: &LabSite) {
    let servers = [one, other].map(|site| site.host.within(PatternServer::start));
    one.offer("up", servers[0].port());
    other.offer("down", servers[1].port());
    other.listen("up", UP);
    one.listen("down", DOWN);
    checks(other, UP);
    checks(one, DOWN);
    for server in servers {
        assert_eq!((server.served(), server.corrupt()), (1, 0));
    }
}

#[test]
fn one_side_can_dial_and_both_offer() {
    let lab = Lab::new();
    let [inside, outside] = ["inside", "outside"].map(|name| lab.host(name));
    let cable = lab.cable(&inside, &outside);
    inside.only_dials();
    let [inside, outside] = [&inside, &outside].map(|host| lab.site(host));
    assert!(!can_dial(&outside.host, cable.address(&inside.host)));
    inside.dial(&outside, 1);
    both_ways(&inside, &outside);
}

#[test]
fn a_site_behind_nat_uses_and_offers() {
    let lab = Lab::new();
    let [inside, router, outside] = ["inside", "router", "outside"].map(|name| lab.host(name));
    let lan = lab.cable(&inside, &router);
    let wan = lab.cable(&router, &outside);
    router.forward();
    inside.route_by(lan.address(&router));
    router.firewall(&format!(
        "table ip nat {{
            chain leaving {{ type nat hook postrouting priority srcnat; oifname {wan} masquerade; }}
            chain passing {{ type filter hook forward priority filter; iifname {wan} ct state new drop; }}
        }}",
        wan = wan.device()
    ));
    // Even who knows the way gets nowhere.
    outside.route_by(wan.address(&router));
    let [inside, outside] = [&inside, &outside].map(|host| lab.site(host));
    assert!(!can_dial(&outside.host, lan.address(&inside.host)));
    inside.dial(&outside, 1);
    both_ways(&inside, &outside);
}

#[test]
fn two_insides_meet_at_a_relay() {
    let lab = Lab::new();
    let [one, relay, other] = ["one", "relay", "other"].map(|name| lab.host(name));
    let left = lab.cable(&one, &relay);
    let right = lab.cable(&relay, &other);
    one.only_dials();
    other.only_dials();
    let sites = lab.sites(&[one, relay, other]);
    let [one, relay, other] = &sites[..] else { unreachable!("three hosts are three sites") };
    assert!(!can_dial(&relay.host, left.address(&one.host)));
    assert!(!can_dial(&relay.host, right.address(&other.host)));
    assert!(!can_dial(&one.host, right.address(&other.host)));
    one.dial(relay, 1);
    other.dial(relay, 1);
    both_ways(one, other);
}
