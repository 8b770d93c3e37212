//! The API's socket, which systemd opens.

use van_lab::Lab;

#[test]
fn a_command_waits_for_a_daemon_that_is_away() {
    let lab = Lab::new();
    let host = lab.public("waiting", 10);
    let _said = host.install();
    assert_eq!(host.unit("vand.socket", "ActiveState"), "active");
    let id = host.site_id();
    // Nobody finds the door locked while it restarts, however often.
    let knock =
        "while :; do vanctl -q status 2>&1 >/dev/null | grep -i -e refused -e 'no such file'; done";
    let knocking = host.start(knock);
    for _ in 0..5 {
        let _restarted = host.sh("systemctl restart vand").ok();
    }
    assert_eq!(knocking.output(), "");
    drop(knocking);
    // The first command starts it again, as the site that it was.
    let _stopped = host.sh("systemctl stop vand 2>&1").ok();
    assert_eq!(host.site_id(), id);
    // Without the socket it is off, and says so at once.
    let _off = host.sh("systemctl disable --now vand.socket vand 2>&1").ok();
    let said = host.vanctl("status").fails(3);
    assert!(said.contains("hint:"), "{said}");
}

#[test]
fn the_journal_explains_messages() {
    let lab = Lab::new();
    let host = lab.public("telling", 10);
    let _said = host.install();
    let catalog = host.sh("journalctl --no-pager --list-catalog").ok();
    assert!(catalog.lines().any(|line| line.contains("vand")), "{catalog}");
}

#[test]
fn ports_that_systemd_keeps_refuse_nobody_while_the_daemon_restarts() {
    let lab = Lab::new();
    let host = lab.public("open", 10);
    host.write("/etc/vand/conf.d/accept.toml", "[accept]\nlisten = [\"[::]:8263\"]\n");
    let _said = host.install();
    let put = "install -m 644 -t /etc/systemd/system /usr/share/vand/vand-ports.socket && \
               systemctl daemon-reload && systemctl stop vand 2>/dev/null; \
               systemctl enable --now vand-ports.socket vand 2>&1";
    let _put = host.sh(put).ok();
    let knock = "while socat -u OPEN:/dev/null TCP:127.0.0.1:8263,connect-timeout=20; do :; done";
    let mut knocking = host.start(knock);
    for _ in 0..5 {
        let _restarted = host.sh("systemctl restart vand").ok();
    }
    assert!(knocking.status().is_none(), "{}", knocking.output());
    // Who came while it was away is served: a site can link.
    let (other, _router) = lab.private("other", 1);
    let _said = other.install();
    other.link_to(&host);
    assert_eq!(host.unit("vand", "NRestarts"), "0");
}
