//! The RPM package, as far as a Debian host can tell: files, scripts, upgrade, erase.

use van_lab::{Host, Lab};

use crate::wait_for;

/// Debian's rpm knows no package of Debian, so what is needed can't be looked up.
#[track_caller]
fn rpm(host: &Host, line: &str) -> String {
    host.sh(&format!("rpm {line} --nodeps 2>&1")).ok()
}

#[test]
fn an_rpm_is_installed_upgraded_and_erased() {
    let lab = Lab::new();
    let host = lab.public("red", 10);
    host.copy_in(&Lab::rpm(false), "/srv/vand.rpm");
    host.copy_in(&Lab::rpm(true), "/srv/newer.rpm");
    let said = rpm(&host, "--install /srv/vand.rpm");
    assert!(said.contains("Go on with: systemctl enable --now vand"), "{said}");
    let _started = host.sh("systemctl enable --now vand 2>&1").ok();
    let (id, process) = (host.site_id(), host.unit("vand", "MainPID"));
    assert_eq!(host.sh("stat -c '%a %U' /var/lib/vand").ok().trim(), "700 vand");
    assert_eq!(host.sh("rpm --verify --nodeps vand").ok(), "");

    host.write("/etc/vand/vand.toml", "[site]\nlabels = { mine = \"yes\" }\n");
    let _said = rpm(&host, "--upgrade /srv/newer.rpm");
    wait_for(&host, "vanctl status");
    assert_ne!(host.unit("vand", "MainPID"), process);
    assert_eq!(host.site_id(), id);
    assert_eq!(host.ask("site show")["spec"]["labels"]["mine"], "yes", "own changes stay");

    let _said = rpm(&host, "--erase vand");
    assert_eq!(host.sh("pgrep -c vand").stdout.trim(), "0");
    let _state = host.sh("test -d /var/lib/vand && test ! -e /usr/bin/vand").ok();
}
