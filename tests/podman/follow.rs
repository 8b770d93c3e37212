//! Targets follow their containers: start, stop, restart, pause, health, pods, several at one address.

use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use van_testkit::{DEADLINE, wait_until};

use crate::{LISTENER, Site, tell};

#[test]
fn a_container_is_followed_from_its_first_start_to_its_end() {
    let site = Site::start("");
    let refused = site.vand.ctl("connector create web container/web:8080 --wait 0");
    let _created = refused.ok();
    wait_until(DEADLINE, "it was known to be missing", || {
        site.reason("web").contains("there is no container web: 'podman ps --all'")
    });
    site.engine.serve("web", &[]);
    let start = Instant::now();
    wait_until(DEADLINE, "the container answered", || site.ask().is_ok());
    tell(&format!("a container's start to the first good request: {:?}", start.elapsed()));
    assert_eq!(site.ask().unwrap(), "web");

    let address = |site: &Site| {
        let format = "{{.NetworkSettings.Networks.podman.IPAddress}}";
        site.engine.run(&["inspect", "web", "--format", format])
    };
    let before = address(&site);
    let _name = site.engine.run(&["stop", "web"]);
    wait_until(DEADLINE, "it was known to be stopped", || {
        site.reason("web").contains("container web is stopped")
    });
    assert!(site.ask().is_err());
    let _name = site.engine.run(&["start", "web"]);
    let start = Instant::now();
    wait_until(DEADLINE, "the container answered again", || site.ask().is_ok());
    tell(&format!("a container's new address to the first good request: {:?}", start.elapsed()));
    assert_ne!(address(&site), before, "it has another address now");

    let _name = site.engine.run(&["pause", "web"]);
    wait_until(DEADLINE, "it was known to be paused", || site.reason("web").contains("paused"));
    let _name = site.engine.run(&["unpause", "web"]);
    wait_until(DEADLINE, "it went on", || site.ask().is_ok());
    let _name = site.engine.run(&["rm", "--force", "--time", "0", "web"]);
    wait_until(DEADLINE, "it was known to be gone", || {
        site.reason("web").contains("there is no container web")
    });
}

#[test]
fn no_request_fails_while_another_container_of_the_address_serves() {
    let site = Site::start("");
    for name in ["one", "two"] {
        site.engine.serve(name, &[]);
        let line = format!("connector create {name} container/{name}:8080 --address web");
        site.vand.ctl(&line).ok();
    }
    let stops = ["one", "two", "one"];
    let (done, good) = (AtomicBool::new(false), AtomicUsize::new(0));
    let lost = std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut lost = 0;
            while !done.load(Ordering::Relaxed) {
                match site.ask() {
                    Ok(name) => assert!(["one", "two"].contains(&&*name), "{name}"),
                    // The container had it when it was killed.
                    Err(why) if why.contains("reset by peer") || why == "no answer" => lost += 1,
                    Err(why) => panic!("after {} requests: {why}", good.load(Ordering::Relaxed)),
                }
                good.fetch_add(1, Ordering::Relaxed);
            }
            lost
        });
        for name in stops {
            let _name = site.engine.run(&["stop", name]);
            wait_until(DEADLINE, "it was known to be stopped", || !site.is_healthy(name));
            let _name = site.engine.run(&["start", name]);
            wait_until(DEADLINE, "it was found well", || site.is_healthy(name));
            let more = good.load(Ordering::Relaxed) + 20;
            wait_until(DEADLINE, "requests went on", || {
                client.is_finished() || good.load(Ordering::Relaxed) > more
            });
        }
        done.store(true, Ordering::Relaxed);
        client.join().unwrap()
    });
    assert!(
        lost <= stops.len(),
        "{lost} lost: only what a container had when it was killed may be"
    );
    let flows = |name: &str| site.connector(name).unwrap()["status"]["flows_total"].as_u64();
    assert!(flows("one") > Some(10) && flows("two") > Some(10), "both have served");
    tell(&format!("{} requests over three kills, {lost} lost with them", good.into_inner()));
}

#[test]
fn a_flow_ends_with_its_container() {
    let site = Site::start("");
    site.engine.serve("web", &[]);
    site.vand.ctl("connector create web container/web:8080").ok();
    let mut client =
        site.engine.host.within(|| TcpStream::connect(("127.0.0.1", LISTENER)).unwrap());
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    let connected = || site.connector("web").unwrap()["status"]["flows_open"] == 1;
    wait_until(DEADLINE, "the flow reached the container", connected);
    let _name = site.engine.run(&["stop", "web"]);
    let end = client.read(&mut [0; 1]);
    let ended =
        matches!(end, Ok(0)) || end.as_ref().is_err_and(|e| e.kind() == ErrorKind::ConnectionReset);
    assert!(ended, "{end:?}");
}

#[test]
fn a_pod_and_a_container_whose_health_check_fails() {
    let site = Site::start("");
    let _id = site.engine.run(&["pod", "create", "--name", "shop"]);
    site.vand.ctl("expose pod/shop --port 80:8080 --address web --wait 0").ok();
    wait_until(DEADLINE, "the empty pod was no target", || {
        site.reason("web").contains("there is no pod shop")
    });
    site.engine.serve("within", &["--pod", "shop"]);
    wait_until(DEADLINE, "the pod answered", || site.ask().is_ok_and(|name| name == "within"));
    let _id = site.engine.run(&["pod", "stop", "--time", "0", "shop"]);
    wait_until(DEADLINE, "the pod was known to be stopped", || {
        site.reason("web").contains("pod shop is stopped")
    });
    site.vand.ctl("unexpose pod/shop").ok();
    assert!(site.connector("web").is_none());

    let check = "[\"/bin/busybox\", \"test\", \"-e\", \"/www/index.html\"]";
    let health = ["--health-cmd", check, "--health-interval", "disable", "--health-retries", "1"];
    site.engine.serve("sick", &health);
    site.vand.ctl("expose container/sick --port 80:8080 --address web").ok();
    assert_eq!(site.ask().unwrap(), "sick");
    let remove = ["exec", "sick", "/bin/busybox", "rm", "/www/index.html"];
    let _nothing = site.engine.run(&remove);
    let said = site.engine.try_run(&["healthcheck", "run", "sick"]);
    assert!(said.status == 1 && said.stdout.contains("unhealthy"), "{said:?}");
    wait_until(DEADLINE, "it was known to be unhealthy", || {
        site.reason("web").contains("container sick is unhealthy")
    });
}
