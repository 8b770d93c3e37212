//! Rights that are given by drop-ins of the package.

use van_lab::Lab;

use crate::{answers, asks, wait_for};

#[test]
fn a_drop_in_gives_imported_services_a_subnet_of_their_own() {
    let lab = Lab::new();
    let here = lab.public("here", 10);
    let (there, _router) = lab.private("there", 1);
    here.install_accepting();
    let _said = there.install();
    there.link_to(&here);
    let _workload = answers(&there, 7000, "hello");
    let _exposed = there.vanctl("expose 127.0.0.1:7000 --address echo").ok();
    let place = here.wait_import("echo");
    assert!(place.starts_with("127.77."), "{place}");

    let give = "install -D -m 644 -t /etc/systemd/system/vand.service.d \
                /usr/share/vand/vand.service.d/subnet.conf && systemctl daemon-reload";
    let _given = here.sh(give).ok();
    let _restarted = here.sh("systemctl restart vand").ok();
    let _report = here.sh("systemd-analyze security --no-pager --threshold=18 vand").ok();
    here.wait_links(1);
    wait_for(&here, "vanctl -o json service status | grep -q 198.18.");
    let place = here.wait_import("echo");
    wait_for(&here, &asks(&place, "hello"));
    // The addresses are the host's for as long as the daemon runs.
    assert!(here.sh("ip route show table local").ok().contains("198.18.0.0/16"));
}

#[test]
fn a_drop_in_lets_the_daemon_ask_podman_and_nobody_else() {
    let lab = Lab::new();
    let host = lab.public("containers", 10);
    let _said = host.install();
    let ask = "curl -sf --unix-socket /run/podman/podman.sock http://podman/_ping";
    let _enabled = host.sh("systemctl enable --now podman.socket 2>&1").ok();
    let as_vand = format!("runuser -u vand -- {ask}");
    assert_ne!(host.sh(&as_vand).status, 0, "nothing is given by itself");
    let _made = host.vanctl("connector create pg container/pg:5432 --wait 0").ok();
    let reason = |text: &str| format!("vanctl connector status pg | grep -qF '{text}'");
    wait_for(&host, &reason("vand may not open /run/podman/podman.sock: man vand.toml"));

    let give = "install -D -m 644 -t /etc/systemd/system/podman.socket.d \
                /usr/share/vand/podman.socket.d/vand.conf && systemctl daemon-reload && \
                systemctl restart podman.socket";
    let _given = host.sh(give).ok();
    assert_eq!(wait_for(&host, &as_vand), "OK");
    wait_for(&host, &reason("there is no container pg"));
    assert_ne!(host.sh(&format!("runuser -u op -- {ask}")).status, 0);
}
