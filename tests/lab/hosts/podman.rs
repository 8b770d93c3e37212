//! Containers of podman on booted hosts: hello-world with a frontend and three backends, and those of a
//! user without root.

use std::time::Duration;

use van_lab::{Host, Lab};
use van_testkit::{program, wait_until};

use crate::{PATIENCE, tell, wait_for};

/// What every backend's container runs: a web server that says its name.
const BACKEND: &str = "busybox mkdir -p /www; echo hello from $NAME >/www/index.html; \
                       exec busybox httpd -f -p 8080 -h /www";

/// The frontend's page asks a backend.
const PAGE: &str = "#!/bin/busybox sh\necho\nexec busybox wget -qO- http://$BACKEND/\n";

/// Requests of the measured load.
const REQUESTS: usize = 60;

/// Gives the daemon the right to ask root's podman, as the package says.
const GIVE: &str = "install -D -m 644 -t /etc/systemd/system/podman.socket.d \
                    /usr/share/vand/podman.socket.d/vand.conf && systemctl daemon-reload && \
                    systemctl enable podman.socket 2>&1 && systemctl restart podman.socket";

/// Makes the image `localhost/hello` of nothing but a static program, with `run` before podman.
fn image(host: &Host, folder: &str, run: impl Fn(&str) -> String) {
    let busybox = program("busybox", "busybox-static");
    let _made = host.sh(&format!("mkdir -p {folder}")).ok();
    host.copy_in(busybox.get_program().as_ref(), &format!("{folder}/busybox"));
    host.write(
        &format!("{folder}/Containerfile"),
        "FROM scratch\nCOPY busybox /bin/busybox\nENTRYPOINT [\"/bin/busybox\", \"sh\", \"-c\"]\n",
    );
    let _readable = host.sh(&format!("chmod 755 {folder} {folder}/busybox")).ok();
    let _built = run(&format!("podman build --quiet --tag hello {folder}"));
}

/// A container as a quadlet, which systemd starts.
fn quadlet(host: &Host, name: &str, keys: &str, script: &str) {
    let text = format!(
        "[Container]\nContainerName={name}\nImage=localhost/hello\nEnvironment=NAME={name}\n\
         StopSignal=SIGKILL\nExec='{script}'\n{keys}\n[Install]\nWantedBy=multi-user.target\n"
    );
    // A single one would be systemd's to fill in.
    let text = text.replace("$NAME", "$$NAME");
    host.write(&format!("/etc/containers/systemd/{name}.container"), &text);
    let _started = host.sh(&format!("systemctl daemon-reload && systemctl start {name} 2>&1")).ok();
}

#[test]
fn hello_world_with_a_frontend_and_three_backends_in_containers() {
    let lab = Lab::new();
    let front = lab.public("front", 10);
    let (labelled, _first) = lab.private("labelled", 1);
    let (named, _second) = lab.private("named", 2);
    front.install_accepting();
    for host in [&labelled, &named] {
        let _said = host.install();
        host.link_to(&front);
        let _given = host.sh(GIVE).ok();
    }
    for host in [&front, &labelled, &named] {
        image(host, "/srv/image", |line| host.sh(line).ok());
    }
    labelled.write("/etc/vand/conf.d/podman.toml", "[podman]\nexpose_labels = true\n");
    let _reloaded = labelled.sh("systemctl reload vand").ok();
    for name in ["red", "green"] {
        let labels = "Label=van.address=backend\nLabel=van.port=8080\nLabel=van.protocol=http";
        quadlet(&labelled, name, labels, BACKEND);
    }
    quadlet(&named, "blue", "", BACKEND);
    let _exposed =
        named.vanctl("expose container/blue --port 8080 --address backend --protocol http").ok();
    wait_for(
        &labelled,
        "test $(vanctl -o json connector status | grep -c '\"healthy\": true') = 2",
    );

    let place = front.wait_import("backend");
    front.write("/srv/www/cgi-bin/hello", PAGE);
    let _runs = front.sh("chmod 755 /srv/www/cgi-bin/hello").ok();
    let keys = format!("Network=host\nVolume=/srv/www:/www\nEnvironment=BACKEND={place}");
    quadlet(&front, "frontend", &keys, "exec busybox httpd -f -p 80 -h /www");
    let ask = "curl -sf --max-time 5 http://127.0.0.1/cgi-bin/hello";
    for name in ["red", "green", "blue"] {
        wait_for(&front, &format!("{ask} | grep -qx 'hello from {name}'"));
    }
    follows_a_restart(&front, &labelled, &place);

    let gone = "systemctl stop green && rm /etc/containers/systemd/green.container";
    let _gone = labelled.sh(gone).ok();
    wait_for(&labelled, "! vanctl connector status podman-green 2>/dev/null");
    assert!(labelled.vanctl("check --group podman").ok().contains("root's"));
    let mut labelled = labelled;
    labelled.reboot();
    wait_for(&front, &format!("{ask} | grep -qx 'hello from red'"));
}

/// Restarts a container, which has another address then, while requests come.
fn follows_a_restart(front: &Host, labelled: &Host, place: &str) {
    let address = "podman inspect red --format '{{.NetworkSettings.Networks.podman.IPAddress}}'";
    let before = labelled.sh(address).ok();
    let ask = format!("curl -sf --max-time 5 http://{place}/ || echo lost");
    let load = format!("for n in $(seq {REQUESTS}); do {ask}; sleep 0.05; done");
    let running = front.start(&format!("{load} >/srv/answers; touch /srv/done"));
    let began = "test $(wc -l </srv/answers) -ge 5";
    wait_for(front, began);
    let _restarted = labelled.sh("systemctl restart red").ok();
    let start = std::time::Instant::now();
    wait_until(PATIENCE, "the restarted container was well", || {
        labelled.vanctl("-o json connector status podman-red").stdout.contains("\"healthy\": true")
    });
    let took: Duration = start.elapsed();
    assert_ne!(labelled.sh(address).ok(), before, "it has another address");
    wait_for(front, "test -e /srv/done");
    drop(running);
    let answers = front.sh("sort /srv/answers | uniq -c").ok();
    let lost = front.sh("grep -cx lost /srv/answers").stdout;
    tell(&format!("a container's new address: well within {took:?}; {} lost", lost.trim()));
    // One may have been at the container when it was killed.
    assert!(["0", "1"].contains(&lost.trim()), "{answers}");
    for name in ["red", "green", "blue"] {
        assert!(answers.contains(&format!("hello from {name}")), "{answers}");
    }
}

#[test]
fn a_users_containers_are_reached_by_the_ports_that_they_publish() {
    let lab = Lab::new();
    let host = lab.public("shared", 10);
    host.install_accepting();
    let user = |line: &str| {
        host.sh_as_user(&format!("export XDG_RUNTIME_DIR=/run/user/1000; {line}")).ok()
    };
    let _lingers = host.sh("loginctl enable-linger op").ok();
    wait_for(&host, "systemctl is-active user@1000");
    // As udev makes it everywhere; the machine's own may be root's alone.
    let tun = "umount /dev/net/tun && rm /dev/net/tun && mknod -m 666 /dev/net/tun c 10 200";
    let _made = host.sh(tun).ok();
    let _enabled = user("systemctl --user enable --now podman.socket 2>&1");
    let _handed = host.sh("systemctl enable --now vand-podman@1000.socket 2>&1").ok();
    host.write("/etc/vand/conf.d/podman.toml", "[podman]\nsockets = []\nusers = [\"op\"]\n");
    let _reloaded = host.sh("systemctl reload vand").ok();
    image(&host, "/srv/image", user);
    let run = |name: &str, options: &str| {
        user(&format!(
            "podman run --detach --env NAME={name} {options} --name {name} hello '{BACKEND}'"
        ))
    };
    let _id = run("hidden", "");
    let why = host.vanctl("expose container/hidden --port 8080 --wait 20s").fails(6);
    assert!(why.contains("podman run -p 127.0.0.1::8080"), "{why}");
    let _id = run("mine", "--publish 127.0.0.1::8080");
    let _exposed = host.vanctl("expose container/mine --port 8080").ok();
    let _listens = host.vanctl("listener create mine 127.0.0.1:7000").ok();
    wait_for(&host, "curl -sf http://127.0.0.1:7000/ | grep -qx 'hello from mine'");
    let checked = host.vanctl("check --group podman").stdout;
    assert!(checked.contains("a user's"), "{checked}");
}
