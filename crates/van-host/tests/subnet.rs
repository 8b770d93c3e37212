//! A network of this host's own, in a network namespace of the test's own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::{TcpListener, TcpStream};
use std::process::Command;

use van_host::{Subnet, SubnetError};

fn ip(words: &str) -> String {
    let ran = Command::new("ip").args(words.split(' ')).output().unwrap();
    assert!(ran.status.success(), "ip {words}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn every_address_is_the_hosts_own_until_it_is_given_back() {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)
        .expect("this test needs root: it makes a network namespace");
    ip("link set lo up");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let net = "198.18.0.0/16".parse().unwrap();
    runtime.block_on(async {
        let subnet = Subnet::take(net, None).await.unwrap();
        let again = Subnet::take(net, None).await.unwrap();
        again.leave().await.unwrap();
        let listener = TcpListener::bind("198.18.77.5:4000").unwrap();
        TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(ip("route show table local").contains("local 198.18.0.0/16 dev lo"));

        let inside = Subnet::take("198.18.9.0/24".parse().unwrap(), None).await.unwrap_err();
        assert!(matches!(inside, SubnetError::InUse { other, .. } if other == net), "{inside}");
        subnet.leave().await.unwrap();
        assert!(!ip("route show table local").contains("198.18"));
        TcpListener::bind("198.18.77.6:4000").unwrap_err();

        ip("link add br0 type bridge");
        ip("addr add 198.18.3.1/24 dev br0");
        ip("link set br0 up");
        let taken = Subnet::take(net, None).await.unwrap_err();
        assert!(matches!(taken, SubnetError::InUse { .. }), "{taken}");
    });
}
