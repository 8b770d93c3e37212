//! vand in a container, by the quadlets that come with it, and an application in quadlets with labels.

use van_lab::{Host, Lab};
use van_testkit::program;

use crate::{answers, asks, wait_for};

/// What the example's image is here, where no registry can be reached: a web server.
const EXAMPLE: &str = "FROM scratch\nCOPY busybox /bin/busybox\n\
                       ENTRYPOINT [\"/bin/busybox\", \"httpd\", \"-f\", \"-p\", \"80\", \"-h\", \"/bin\"]\n";

/// Builds the image and puts the quadlets in place, as their README says.
fn put_in_place(host: &Host) {
    host.copy_folder(&Lab::container(), "/srv/vand");
    let _built = host.sh("podman build --quiet --tag localhost/vand /srv/vand").ok();
    let put = "install -D -m 644 -t /etc/containers/systemd /srv/vand/vand.container \
               /srv/vand/vand.volume /srv/vand/example/*";
    let _put = host.sh(put).ok();
    let generator = "/usr/lib/systemd/system-generators/podman-system-generator --dryrun 2>&1";
    let said = host.sh(generator).ok();
    for unit in ["vand.service", "vand-volume.service", "shop-web@.service", "shop-db.service"] {
        assert!(said.contains(&format!("---{unit}---")), "{said}");
    }
    for complaint in ["unsupported", "rror", "arning"] {
        assert!(!said.contains(complaint), "{said}");
    }
    let _started = host.sh("systemctl daemon-reload && systemctl start vand 2>&1").ok();
}

#[test]
fn a_site_in_a_container_links_and_offers_by_labels() {
    let lab = Lab::new();
    let here = lab.public("here", 10);
    let (there, _router) = lab.private("there", 1);
    here.install_accepting();
    put_in_place(&there);
    assert_eq!(there.unit("vand", "Type"), "notify");
    let owner = "ps -o uid= -p $(podman inspect vand --format '{{.State.Pid}}')";
    assert_eq!(there.sh(owner).ok().trim(), "8263");
    let vanctl = |line: &str| there.sh(&format!("podman exec --interactive vand vanctl {line}"));

    there.write("/srv/token", &here.vanctl("token create").ok());
    let _linked = vanctl("link create - </srv/token").ok();
    let id = vanctl("-o json status").json()["id"].clone();
    let _workloads = (answers(&there, 7000, "hello"), answers(&here, 7001, "welcome"));
    let _offered = vanctl("expose 127.0.0.1:7000 --address echo").ok();
    wait_for(&here, &asks(&here.wait_import("echo"), "hello"));
    let _offered = here.vanctl("expose 127.0.0.1:7001 --address back").ok();
    let _listens = vanctl("listener create back 127.0.0.1:7002").ok();
    wait_for(&there, &asks("127.0.0.1:7002", "welcome"));

    labels_offer(&there, &here);
    assert_eq!(vanctl("-o json status").json()["id"], id, "a new container is the same site");
    wait_for(&here, &asks(&here.wait_import("echo"), "hello"));
}

/// Starts the example's front twice, as it is shipped; its image is one of here.
fn labels_offer(there: &Host, here: &Host) {
    let busybox = program("busybox", "busybox-static");
    there.write("/srv/nginx/Containerfile", EXAMPLE);
    there.copy_in(busybox.get_program().as_ref(), "/srv/nginx/busybox");
    let build = "podman build --quiet --tag docker.io/library/nginx:stable /srv/nginx";
    let _built = there.sh(build).ok();
    let give =
        "install -D -m 644 -t /etc/containers/systemd/vand.container.d /srv/vand/podman.conf";
    let _given = there.sh(give).ok();
    let config = "[podman]\nexpose_labels = true\nsockets = [\"/run/podman/podman.sock\"]\n";
    there.write("/etc/vand/vand.toml", config);
    let restart = "systemctl enable --now podman.socket 2>&1 && systemctl daemon-reload && \
                   systemctl restart vand 2>&1";
    let _restarted = there.sh(restart).ok();
    let _started = there.sh("systemctl start shop-web@1 shop-web@2 2>&1").ok();
    let place = here.wait_import("shop");
    wait_for(here, &format!("curl -sf --output /dev/null http://{place}/busybox"));
    wait_for(here, "vanctl service status shop | grep -q 'there: 2'");
}
