//! podman is absent, ends, comes back, and talks nonsense.

use std::io::Write as _;
use std::os::unix::net::UnixListener;

use van_testkit::{DEADLINE, wait_until};

use crate::Site;

#[test]
fn podman_comes_late_dies_and_comes_back_while_flows_go_on() {
    let mut site = Site::without_service("");
    site.vand.ctl("connector create web container/web:8080 --wait 0").ok();
    wait_until(DEADLINE, "podman was known to be absent", || {
        let why = site.reason("web");
        why.contains("is not there: 'systemctl enable --now podman.socket'")
    });
    let failed = site.vand.ctl("check --group podman");
    assert!(failed.status == 1 && failed.stdout.contains("podman can't be asked"), "{failed:?}");
    assert!(site.told("PodmanAway", "is not there"));

    site.engine.serve("web", &[]);
    site.engine.start_service();
    wait_until(DEADLINE, "the container answered", || site.ask().is_ok());
    assert!(site.vand.ctl("check --group podman").ok().contains("root's, has 2 containers"));

    site.engine.kill_service();
    wait_until(DEADLINE, "podman's end was told", || {
        let status = site.vand.ctl("status").ok();
        status.contains("what is known of it stays")
    });
    assert_eq!(site.ask().unwrap(), "web", "the container serves on");
    // What happens meanwhile is found out afterwards.
    let _name = site.engine.run(&["restart", "web"]);
    site.engine.start_service();
    wait_until(DEADLINE, "the container answered at its new address", || site.ask().is_ok());
    wait_until(DEADLINE, "its return was told", || site.told("PodmanBack", "podman answers"));
}

#[test]
fn nonsense_at_the_socket_is_told_and_harms_nothing() {
    let site = Site::without_service("");
    let listener = UnixListener::bind(site.engine.socket()).unwrap();
    let answers = std::thread::spawn(move || {
        let huge = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{{", 1_u64 << 40);
        let endless = "HTTP/1.1 200 OK\r\n\r\n".to_owned() + &"[".repeat(9 << 20);
        for answer in
            ["\0\0\0", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull", &huge, &endless]
        {
            let (mut stream, _) = listener.accept().unwrap();
            // The daemon may hang up as soon as it has seen enough.
            let _broken = stream.write_all(answer.as_bytes());
        }
    });
    site.vand.ctl("connector create web container/web:8080 --wait 0").ok();
    wait_until(DEADLINE, "nonsense was told", || {
        site.reason("web").starts_with("podman can't be asked")
    });
    answers.join().unwrap();
    assert!(site.vand.ctl("status").ok().contains("podman can't be asked"));
}
