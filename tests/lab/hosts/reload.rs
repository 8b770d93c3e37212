//! A configuration that changes while the daemon runs.

use van_lab::Lab;

#[test]
fn a_reload_applies_what_is_good_and_fails_for_what_is_bad() {
    let lab = Lab::new();
    let host = lab.public("reloading", 10);
    let _said = host.install();
    let process = host.unit("vand", "MainPID");
    let connectors = || host.ask("connector status")["items"].as_array().unwrap().len();
    assert_eq!(connectors(), 0);

    let connector = "[[connector]]\nname = \"db\"\ntarget = \"127.0.0.1:5432\"\n";
    host.write("/etc/vand/conf.d/db.toml", connector);
    let _reloaded = host.sh("systemctl reload vand").ok();
    assert_eq!(connectors(), 1);

    host.write("/etc/vand/conf.d/bad.toml", "[site]\nnmae = \"x\"\n");
    host.write("/etc/vand/conf.d/db.toml", "");
    let refused = host.sh("systemctl reload vand");
    assert_ne!(refused.status, 0, "{refused:?}");
    assert_eq!(connectors(), 1, "the old configuration goes on");
    assert_eq!(host.unit("vand", "ActiveState"), "active");
    assert_eq!(host.unit("vand", "MainPID"), process);
    let log = host.sh("journalctl --no-pager -q -u vand -o cat").ok();
    assert!(log.contains("/etc/vand/conf.d/bad.toml:2:") && log.contains("did you mean"), "{log}");

    let _mended = host.sh("rm /etc/vand/conf.d/bad.toml && systemctl reload vand").ok();
    assert_eq!(connectors(), 0);
    assert_eq!(host.unit("vand", "MainPID"), process);
}

#[test]
fn a_bad_configuration_stops_the_start_and_says_where() {
    let lab = Lab::new();
    let host = lab.public("bad", 10);
    let _said = host.install();
    host.write("/etc/vand/conf.d/bad.toml", "[accept]\nlisten = [\"nowhere\"]\n");
    let refused = host.sh("systemctl restart vand");
    assert_ne!(refused.status, 0);
    let log = host.sh("journalctl --no-pager -q -u vand -o cat").ok();
    assert!(log.contains("/etc/vand/conf.d/bad.toml:2:"), "{log}");
    // It is tried again for as long as it takes, and nobody has to come back for it.
    let _mended = host.sh("rm /etc/vand/conf.d/bad.toml").ok();
    crate::wait_for(&host, "vanctl status");
}
