//! Names of services that appear on a host: for itself, and for its containers.

use van_lab::{Host, Lab, Router};

use crate::container::{image, within};
use crate::wait_for;

/// Asks the service as an application does, by its name.
const ASK: &str = "curl -sf --max-time 10 http://backend.van.internal:8080";

/// A name of the world, which is no business of vand's.
const WORLD: &str = "getent hosts www.example";

/// The world's name server, with one name in it.
const WORLD_SERVER: &str = r#"
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("203.0.113.10", 53))
while True:
    query, peer = server.recvfrom(1500)
    end = 12
    while query[end]:
        end += query[end] + 1
    known = query[12:end + 1].lower() == b"\3www\7example\0"
    answers = known and query[end + 1:end + 3] == b"\0\1"
    code = 0 if known else 3
    counts = b"\0\1\0" + bytes([answers]) + b"\0\0\0\0"
    answer = b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4\xcb\0\x71\x63" if answers else b""
    server.sendto(query[:2] + bytes([0x85, 0x80 | code]) + counts + query[12:end + 5] + answer, peer)
"#;

/// A host that offers a service, and one at which it appears; the world's names are answered there.
fn pair(lab: &Lab) -> (Host, Host, Router) {
    let here = lab.public("here", 10);
    let (there, router) = lab.private("there", 1);
    here.write("/opt/world.py", WORLD_SERVER);
    let _serves = here.sh("systemd-run --quiet --unit=world python3 /opt/world.py").ok();
    let _told = here.sh("resolvectl dns host0 203.0.113.10 && resolvectl domain host0 '~.'").ok();
    wait_for(&here, WORLD);

    there.write("/srv/www/index.html", "hello");
    let run = "python3 -m http.server --directory /srv/www --bind 127.0.0.1 7000";
    let _serves = there.sh(&format!("systemd-run --quiet --unit=www {run}")).ok();
    here.install_accepting();
    let _said = there.install();
    there.link_to(&here);
    let line = "connector create backend 127.0.0.1:7000 --service-port 8080 --wait 30s";
    let _offered = there.vanctl(line).ok();
    (here, there, router)
}

/// Gives the daemon the right to an own subnet, as the package says it is given.
fn give_subnet(host: &Host) {
    let give = "install -D -m 644 -t /etc/systemd/system/vand.service.d \
                /usr/share/vand/vand.service.d/subnet.conf && systemctl daemon-reload && \
                systemctl restart vand";
    let _given = host.sh(give).ok();
}

#[track_caller]
fn nothing_is_left(host: &Host) {
    let files = "/run/systemd/resolved.conf.d/vand.conf \
                 /etc/containers/containers.conf.d/50-vand.conf";
    wait_for(host, &format!("! ls {files} 2>/dev/null"));
    wait_for(host, "! getent hosts backend.van.internal");
    assert!(!host.sh("ip route show table local").ok().contains("198.18."));
    wait_for(host, WORLD);
}

#[test]
fn names_work_for_the_host_and_for_containers_of_every_network() {
    let lab = Lab::new();
    let (here, _there, _router) = pair(&lab);
    image(&here);
    let _made = here.sh("podman network create own").ok();

    // Without the right, for the host alone.
    assert_eq!(wait_for(&here, ASK), "hello");
    assert!(here.wait_import("backend").starts_with("127.77."));
    let reads = "! ls /etc/containers/containers.conf.d/50-vand.conf";
    let _nothing_of_podman = here.sh(reads).ok();
    let check = here.vanctl("check --group dns").stdout;
    assert!(check.contains("127.77.0.0/16") && check.contains("CAP_NET_ADMIN"), "{check}");

    give_subnet(&here);
    wait_for(&here, "getent hosts backend.van.internal | grep -q ^198.18.");
    assert_eq!(wait_for(&here, ASK), "hello");
    wait_for(&here, WORLD);
    for network in ["podman", "own"] {
        assert_eq!(wait_for(&here, &within(network, ASK)), "hello", "in network {network}");
        let _the_rest_of_the_world = here.sh(&within(network, WORLD)).ok();
        let unknown = here.sh(&within(network, "getent hosts other.van.internal"));
        assert_eq!((unknown.status, &*unknown.stdout), (2, ""), "in network {network}");
    }
    let place = here.wait_import("backend");
    let address = place.split(':').next().unwrap();
    let back = here.sh(&format!("resolvectl query {address}")).ok();
    assert!(back.contains("backend.van.internal"), "{back}");
    let check = here.vanctl("check --group dns").ok();
    assert!(check.contains("this host resolves backend.van.internal"), "{check}");
    assert_eq!(here.unit("vand-names.service", "Result"), "success");

    // The same after an end and a start in one go; nothing after its end, and after the package's.
    let _restarted = here.sh("systemctl restart vand").ok();
    assert_eq!(wait_for(&here, &within("own", ASK)), "hello");
    let _stopped = here.sh("systemctl stop vand.socket vand").ok();
    nothing_is_left(&here);
    let _started = here.sh("systemctl start vand.socket vand").ok();
    assert_eq!(wait_for(&here, ASK), "hello");
    let _removed = here.sh("apt-get remove --yes vand 2>&1").ok();
    nothing_is_left(&here);
    let _container = here.sh(&within("own", WORLD)).ok();
}

#[test]
fn without_resolved_everything_else_works_and_the_operator_is_told() {
    let lab = Lab::new();
    let (here, _there, _router) = pair(&lab);
    image(&here);
    let _made = here.sh("podman network create own").ok();
    let away = "systemctl mask --now systemd-resolved 2>&1 && rm /etc/resolv.conf && \
                echo 'nameserver 203.0.113.10' >/etc/resolv.conf";
    let _away = here.sh(away).ok();
    give_subnet(&here);
    here.wait_links(1);
    wait_for(&here, "vanctl -o json service status | grep -q 198.18.");
    let place = here.wait_import("backend");
    assert_eq!(wait_for(&here, &format!("curl -sf http://{place}")), "hello");
    let asked = "dig +short @198.18.0.1 backend.van.internal";
    assert_eq!(format!("{}:8080", wait_for(&here, asked).trim()), place);

    let warned = "journalctl -q -o cat -p warning -u vand-names | \
                  grep 'systemd-resolved.service does not run'";
    let said = wait_for(&here, warned);
    assert!(said.contains("answered at 198.18.0.1, port 53"), "{said}");
    assert_eq!(here.unit("vand-names.service", "Result"), "success");
    let check = here.vanctl("check --group dns").stdout;
    assert!(check.contains("can't resolve backend.van.internal"), "{check}");
    // Containers reach the service, and nothing of their own names is spoilt.
    for network in ["podman", "own"] {
        let curl = format!("curl -sf http://{place}");
        assert_eq!(here.sh(&within(network, &curl)).ok(), "hello", "in network {network}");
        let _the_rest_of_the_world = here.sh(&within(network, WORLD)).ok();
    }
}
