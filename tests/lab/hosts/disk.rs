//! A disk that is full.

use van_lab::Lab;

use crate::{answers, asks, wait_for};

#[test]
fn a_full_disk_refuses_changes_and_stops_no_traffic() {
    let lab = Lab::new();
    let here = lab.public("here", 10);
    let (there, _router) = lab.private("there", 1);
    here.install_accepting();
    let small = "[Mount]\nWhat=tmpfs\nWhere=/var/lib/vand\nType=tmpfs\nOptions=size=256k,mode=700,uid=vand,gid=vand\n";
    there.write("/etc/systemd/system/var-lib-vand.mount", small);
    let _said = there.install();
    let _mounted = there
        .sh("systemctl daemon-reload; systemctl stop vand; systemctl start var-lib-vand.mount vand")
        .ok();
    there.link_to(&here);
    let _workload = answers(&there, 7000, "hello");
    let _exposed = there.vanctl("expose 127.0.0.1:7000 --address echo").ok();
    let place = here.wait_import("echo");
    wait_for(&here, &asks(&place, "hello"));

    let _full = there.sh("cat /dev/zero >/var/lib/vand/ballast 2>/dev/null; test $(df --output=avail /var/lib/vand | tail -1) = 0").ok();
    let refused = there.vanctl("listener create front 127.0.0.1:8080 --wait 0").fails(1);
    assert!(refused.contains("the disk is full"), "{refused}");
    let _works = here.sh(&asks(&place, "hello")).ok();
    assert_eq!(there.unit("vand", "NRestarts"), "0");

    let _room = there.sh("rm /var/lib/vand/ballast").ok();
    let _made = there.vanctl("listener create front 127.0.0.1:8080 --wait 0").ok();
    let _works = here.sh(&asks(&place, "hello")).ok();
}
