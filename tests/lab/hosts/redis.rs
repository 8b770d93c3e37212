//! Redis with Sentinel over three hosts that only know each other's services.

use van_lab::{Host, Lab};

use crate::wait_for;

const NAMES: [&str; 3] = ["one", "two", "three"];
const REDIS: u16 = 6379;
const SENTINEL: u16 = 26379;

/// Where the services of member `n` are found, the same at every host.
fn place(n: usize) -> String {
    format!("127.1.0.{}", n + 1)
}

fn offer(host: &Host, n: usize) {
    for port in [REDIS, SENTINEL] {
        let address = format!("{}-{port}", NAMES[n]);
        let _offered =
            host.vanctl(&format!("expose 127.0.0.1:{port} --address {address} --wait 0")).ok();
    }
}

fn listen(host: &Host, n: usize, other: usize) {
    for port in [REDIS, SENTINEL] {
        let address = format!("{}-{port}", NAMES[other]);
        let line = format!("listener create {address} {}:{port} --address {address}", place(other));
        let _made = host.vanctl(&line).ok();
    }
    assert_ne!(n, other);
}

fn start(host: &Host, n: usize) {
    let own = place(n);
    let redis = format!(
        "bind 127.0.0.1 {own}\nport {REDIS}\ndir /var/lib/redis\nsave \"\"\nreplica-announce-ip {own}\n{}",
        if n == 0 { String::new() } else { format!("replicaof {} {REDIS}\n", place(0)) }
    );
    host.write("/etc/redis/lab.conf", &redis);
    let sentinel = format!(
        "bind 127.0.0.1 {own}\nport {SENTINEL}\ndir /tmp\nsentinel announce-ip {own}\n\
         sentinel announce-port {SENTINEL}\nsentinel monitor shop {} {REDIS} 2\n\
         sentinel down-after-milliseconds shop 2000\nsentinel failover-timeout shop 10000\n",
        place(0)
    );
    host.write("/etc/redis/lab-sentinel.conf", &sentinel);
    let _own = host.sh("chown redis: /etc/redis /etc/redis/lab*.conf").ok();
    for (unit, line) in [
        ("lab-redis", "/usr/bin/redis-server /etc/redis/lab.conf"),
        ("lab-sentinel", "/usr/bin/redis-sentinel /etc/redis/lab-sentinel.conf"),
    ] {
        let run = format!("systemd-run --quiet --unit={unit} --uid=redis {line}");
        let _started = host.sh(&run).ok();
    }
    wait_for(host, &format!("redis-cli -h {own} ping"));
}

/// The primary, as the sentinel of a host knows it.
fn primary(host: &Host) -> String {
    let line = format!("redis-cli -p {SENTINEL} sentinel get-master-addr-by-name shop");
    host.sh(&line).stdout.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn redis_fails_over_between_hosts() {
    let lab = Lab::new();
    let one = lab.public("one", 10);
    let (two, _second) = lab.private("two", 1);
    let (three, _third) = lab.private("three", 2);
    let hosts = [one, two, three];
    for host in &hosts {
        host.accept_links();
        let _said = host.install();
    }
    hosts[1].link_to(&hosts[0]);
    hosts[2].link_to(&hosts[0]);
    for (n, host) in hosts.iter().enumerate() {
        offer(host, n);
        for other in (0..3).filter(|other| *other != n) {
            listen(host, n, other);
        }
    }
    for (n, host) in hosts.iter().enumerate() {
        start(host, n);
    }
    let replicas =
        format!("redis-cli -p {REDIS} info replication | grep -c state=online | grep -qx 2");
    wait_for(&hosts[0], &replicas);
    let sentinels = format!("redis-cli -p {SENTINEL} sentinel ckquorum shop | grep -q '3 usable'");
    wait_for(&hosts[0], &sentinels);
    assert_eq!(primary(&hosts[1]), place(0));
    let write =
        format!("redis-cli -h {} set order 17 && redis-cli -p {REDIS} wait 2 10000", place(0));
    let _written = hosts[0].sh(&write).ok();

    let _gone = hosts[0].sh("systemctl kill --signal=KILL lab-redis").ok();
    let moved = format!(
        "redis-cli -p {SENTINEL} sentinel get-master-addr-by-name shop | head -1 | grep -vx {}",
        place(0)
    );
    let now = wait_for(&hosts[2], &moved);
    // A client at the first host finds the new primary through the network, with what was written.
    let read = format!("test \"$(redis-cli -h {} get order)\" = 17", now.trim());
    wait_for(&hosts[0], &read);
    wait_for(&hosts[0], &format!("redis-cli -h {} set order 18 | grep -qx OK", now.trim()));
}
