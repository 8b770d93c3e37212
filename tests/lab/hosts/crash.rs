//! Daemons that are killed or hang, and hosts that go down.

use std::time::{Duration, Instant};

use van_lab::Lab;

use crate::{answers, asks, tell, wait_for};

/// The longest that a killed daemon may be away.
const AWAY: Duration = Duration::from_secs(10);

#[test]
fn a_killed_daemon_comes_back_as_it_was() {
    let lab = Lab::new();
    let here = lab.public("here", 10);
    let (there, _router) = lab.private("there", 1);
    here.install_accepting();
    let _said = there.install();
    there.link_to(&here);
    let _workload = answers(&there, 7000, "hello");
    let _exposed = there.vanctl("expose 127.0.0.1:7000 --address echo").ok();
    let place = here.wait_import("echo");
    wait_for(&here, &asks(&place, "hello"));
    for host in [&there, &here] {
        let id = host.site_id();
        let start = Instant::now();
        let _killed = host.sh("systemctl kill --signal=KILL vand").ok();
        wait_for(host, "vanctl status");
        tell(&format!("killed daemon at {} answered after {:?}", host.name(), start.elapsed()));
        assert!(start.elapsed() < AWAY, "{:?}", start.elapsed());
        assert_eq!(host.site_id(), id);
        assert_eq!(host.unit("vand", "NRestarts"), "1");
        assert_eq!(here.wait_import("echo"), place, "an address stays");
        wait_for(&here, &asks(&place, "hello"));
    }
}

#[test]
fn the_watchdog_bites_a_daemon_that_hangs_and_only_that() {
    let lab = Lab::new();
    let host = lab.public("hanging", 10);
    let _said = host.install();
    let unit = "[Service]\nWatchdogSec=2s\n";
    host.write("/etc/systemd/system/vand.service.d/watchdog.conf", unit);
    let _restarted = host.sh("systemctl daemon-reload && systemctl restart vand").ok();
    let process = host.unit("vand", "MainPID");
    // Longer than the watchdog's patience, three times.
    let _while = host.sh("sleep 6").ok();
    assert_eq!(host.unit("vand", "MainPID"), process, "it works, so it is left alone");
    let _stopped = host.sh(&format!("kill -STOP {process}")).ok();
    wait_for(&host, "journalctl -q -u vand -o cat --grep 'Watchdog timeout'");
    wait_for(&host, "vanctl status");
    assert_ne!(host.unit("vand", "MainPID"), process);
}

#[test]
fn hosts_that_go_down_come_back_into_the_network() {
    let lab = Lab::new();
    let mut here = lab.public("here", 10);
    let (mut there, _router) = lab.private("there", 1);
    here.install_accepting();
    let _said = there.install();
    there.link_to(&here);
    let unit = "[Service]\nExecStart=socat TCP-LISTEN:7000,bind=127.0.0.1,reuseaddr,fork SYSTEM:'echo hello'\n\
                [Install]\nWantedBy=multi-user.target\n";
    there.write("/etc/systemd/system/workload.service", unit);
    let _started = there.sh("systemctl enable --now workload 2>&1").ok();
    let _exposed = there.vanctl("expose 127.0.0.1:7000 --address echo").ok();
    let place = here.wait_import("echo");
    wait_for(&here, &asks(&place, "hello"));

    here.reboot();
    here.wait_links(1);
    assert_eq!(here.wait_import("echo"), place, "an address stays");
    wait_for(&here, &asks(&place, "hello"));

    there.reboot();
    wait_for(&here, &asks(&place, "hello"));

    there.cut_power();
    there.boot();
    let start = Instant::now();
    wait_for(&here, &asks(&place, "hello"));
    tell(&format!(
        "a host without power served {:.1} s after its boot",
        start.elapsed().as_secs_f64()
    ));
}
