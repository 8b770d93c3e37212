//! Containers offer themselves by labels.

use van_testkit::{DEADLINE, program, wait_until};

use crate::{Site, toml};

/// Labels of a web server.
const WEB: [&str; 4] = ["--label", "van.address=web", "--label", "van.port=8080"];

#[test]
fn labelled_containers_come_balance_and_go() {
    let mut site = Site::start("expose_labels = true");
    for name in ["one", "two"] {
        site.engine.serve(name, &[&WEB[..], &["--label", "van.protocol=http"]].concat());
    }
    let healthy = |name: &str| site.is_healthy(&format!("podman-{name}"));
    wait_until(DEADLINE, "both were offered", || healthy("one") && healthy("two"));
    let connector = site.connector("podman-one").unwrap();
    assert_eq!(
        (&connector["source"], &connector["spec"]["address"]),
        (&"podman".into(), &"web".into())
    );
    let answers: Vec<String> = (0..8).map(|_| site.ask().unwrap()).collect();
    for name in ["one", "two"] {
        assert!(answers.iter().any(|answer| answer == name), "{answers:?}");
    }
    // Whoever made it decides: a container's labels are not changed over the API.
    let said = site.vand.ctl("connector delete podman-one").fails(1);
    assert!(said.contains("comes from a container's labels"), "{said}");
    let listed = site.vand.ctl("connector status -o wide").ok();
    assert!(listed.contains("podman"), "{listed}");

    let _name = site.engine.run(&["rm", "--force", "--time", "0", "one"]);
    wait_until(DEADLINE, "it is gone", || site.connector("podman-one").is_none());
    assert_eq!(site.ask().unwrap(), "two");
    let without = toml(&site.engine, "");
    site.vand.reload(&without);
    wait_until(DEADLINE, "labels say nothing any more", || site.connector("podman-two").is_none());
    let with = toml(&site.engine, "expose_labels = true");
    site.vand.reload(&with);
    wait_until(DEADLINE, "they do again", || site.is_healthy("podman-two"));
}

#[test]
fn junk_and_contradicting_labels_are_told_and_the_rest_goes_on() {
    let site = Site::start("expose_labels = true");
    site.engine.serve("good", &WEB);
    wait_until(DEADLINE, "it was offered", || site.is_healthy("podman-good"));
    let other = [&WEB[..], &["--label", "van.protocol=http2"]].concat();
    site.engine.serve("other", &other);
    wait_until(DEADLINE, "the contradiction was told", || {
        site.told("LabelsRefused", "web is offered by connector podman-good already, as tcp")
    });
    site.engine.serve("junk", &["--label", "van.address=No Name", "--label", "van.port=x"]);
    wait_until(DEADLINE, "the junk was told", || {
        site.told("LabelsRefused", "label van.address: \"No Name\" can't be used; accepted:")
    });
    site.engine.serve("portless", &["--label", "van.address=web"]);
    wait_until(DEADLINE, "the missing port was told", || {
        site.told("LabelsRefused", "label van.port is missing")
    });
    for name in ["other", "junk", "portless"] {
        assert!(site.connector(&format!("podman-{name}")).is_none(), "{name}");
    }
    let checked = site.vand.ctl("check --group podman").ok();
    for text in ["podman/labels/junk", "podman/labels/other", "4 are of interest"] {
        assert!(checked.contains(text), "{text}: {checked}");
    }
    assert_eq!(site.ask().unwrap(), "good");
}

#[test]
fn a_labelled_name_server_in_a_container_is_asked() {
    let site = Site::start("expose_labels = true");
    let labels = ["van.address=names", "van.port=5300", "van.protocol=udp"];
    let labels = labels.iter().flat_map(|label| ["--label", label]);
    // The host's own program, and all that it is linked with.
    let server = program("dnsmasq", "dnsmasq-base");
    let folders = ["/usr:/usr:ro", "/usr/lib:/lib:ro", "/usr/lib64:/lib64:ro", "/etc:/etc:ro"];
    let folders = folders.iter().flat_map(|folder| ["--volume", folder]);
    let mut words = vec!["run", "--detach", "--stop-signal", "KILL", "--name", "names"];
    words.extend(labels.chain(folders));
    words.extend(["served", server.get_program().to_str().unwrap()]);
    words.extend(["--keep-in-foreground", "--port=5300", "--no-resolv", "--no-hosts"]);
    words.extend(["--user=root", "--group=root", "--pid-file=", "--conf-file=/dev/null"]);
    words.push("--address=/vand.test/192.0.2.7");
    let _id = site.engine.run(&words);
    wait_until(DEADLINE, "it was offered", || site.is_healthy("podman-names"));
    let connector = site.connector("podman-names").unwrap();
    assert_eq!(connector["spec"]["protocol"], "udp");
    site.vand.ctl("listener create names 127.0.0.1:7002 --protocol udp").ok();
    let ask = || {
        let mut dig = program("dig", "bind9-dnsutils");
        dig.args(["@127.0.0.1", "-p", "7002", "+short", "+tries=3", "+timeout=2", "vand.test"]);
        site.engine.host.run(dig, b"").ok()
    };
    assert_eq!(ask().trim(), "192.0.2.7");
    let _name = site.engine.run(&["rm", "--force", "--time", "0", "names"]);
    wait_until(DEADLINE, "it is gone", || site.connector("podman-names").is_none());
}
