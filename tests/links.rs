//! Links: how they come up, over what, and how soon it is seen that one is dead.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use nix::sys::signal::Signal;
use van_testkit::{
    ConnectProxy, DEADLINE, Echo, Sites, Vand, echo_lines, echoes, free_port, temp_dir, wait_until,
};

fn links_up(vand: &Vand) -> u64 {
    vand.get("/v1/status").unwrap().1["links_up"].as_u64().unwrap()
}

fn accepting(name: &str, listen: &[String], advertise: &[String]) -> String {
    format!("[site]\nname = \"{name}\"\n[accept]\nlisten = {listen:?}\nadvertise = {advertise:?}\n")
}

#[test]
fn sites_that_dial_each_other_end_with_one_link() {
    let (dir, echo, port) = (temp_dir(), Echo::start(), free_port());
    let [a, b] = ["a", "b"].map(|name| {
        let at = [format!("127.0.0.1:{}", free_port())];
        Vand::start(&dir.path().join(name), &accepting(name, &at, &at))
    });
    let tokens = (a.token("t", ""), b.token("t", ""));
    a.ctl(&format!("link create {} --name to-b", tokens.1.display())).ok();
    b.ctl(&format!("link create {} --name to-a", tokens.0.display())).ok();
    for (vand, link) in [(&a, "to-b"), (&b, "to-a")] {
        wait_until(DEADLINE, "one link was left", || links_up(vand) == 1);
        let text = vand.ctl(&format!("link status {link}")).ok();
        assert!(text.starts_with(&format!("Link {link} is connected\n")), "{text}");
    }
    a.ctl(&format!("expose 127.0.0.1:{} --address echo", echo.port())).ok();
    b.ctl(&format!("listener create echo 127.0.0.1:{port}")).ok();
    wait_until(DEADLINE, "the service was there", || echoes(port));
    echo_lines(port, 100).unwrap();
    assert_eq!((links_up(&a), links_up(&b)), (1, 1));
}

#[test]
fn changing_a_link_lets_its_flows_go_on() {
    let (sites, echo, port) = (Sites::start(""), Echo::start(), free_port());
    let token = sites.public.token("laptop", "");
    let sections = |cost: u64| {
        format!(
            "[[link]]\nname = \"up\"\ntoken = \"{}\"\ncost = {cost}\n\
             [[connector]]\nname = \"echo\"\ntarget = \"127.0.0.1:{}\"\n",
            token.display(),
            echo.port()
        )
    };
    let mut laptop = sites.other("laptop", &sections(1));
    sites.public.ctl(&format!("listener create echo 127.0.0.1:{port}")).ok();
    wait_until(DEADLINE, "the service was there", || echoes(port));
    let mut flow = TcpStream::connect(("127.0.0.1", port)).unwrap();
    flow.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut ask = || {
        flow.write_all(b"still here\n").unwrap();
        let mut back = [0; 11];
        flow.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"still here\n");
    };
    ask();
    let cost = |laptop: &Vand| laptop.get("/v1/links/up").unwrap().1["status"]["cost"].as_u64();
    for wanted in [7, 9] {
        laptop.reload(&format!("[site]\nname = \"laptop\"\n{}", sections(wanted)));
        wait_until(DEADLINE, "the new cost was in use", || cost(&laptop) == Some(wanted));
        assert!(echoes(port), "new flows find their way");
        assert_eq!(links_up(&laptop), 1, "what drains is no link");
        ask();
    }
    drop(flow);
    wait_until(DEADLINE, "the old links had drained", || links_up(&sites.public) == 1);
}

#[test]
fn dead_endpoints_cost_a_moment_only() {
    let (dir, port) = (temp_dir(), free_port());
    let good = format!("127.0.0.1:{port}");
    // One that refuses, one that never answers (a network for documentation), one that is right.
    let advertise = [format!("127.0.0.1:{}", free_port()), "192.0.2.1:8263".into(), good.clone()];
    let toml = accepting("public", &[good], &advertise);
    let public = Vand::start(&dir.path().join("public"), &toml);
    let token = public.token("t", "");
    let laptop = Vand::start(&dir.path().join("laptop"), "[site]\nname = \"laptop\"\n");
    laptop.ctl(&format!("link create {} --wait 10s", token.display())).ok();
}

#[test]
fn several_addresses_and_ipv6() {
    let dir = temp_dir();
    let [four, six] = [format!("127.0.0.1:{}", free_port()), format!("[::1]:{}", free_port())];
    let toml = accepting("public", &[four, six.clone()], std::slice::from_ref(&six));
    let public = Vand::start(&dir.path().join("public"), &toml);
    let token = public.token("t", "");
    let laptop = Vand::start(&dir.path().join("laptop"), "[site]\nname = \"laptop\"\n");
    laptop.ctl(&format!("link create {}", token.display())).ok();
    let (_, link) = laptop.get("/v1/links/link1").unwrap();
    assert_eq!(link["status"]["remote"], six.as_str(), "{link}");
}

#[test]
fn links_go_through_an_http_proxy() {
    let (sites, proxy, echo) = (Sites::start(""), ConnectProxy::start(), Echo::start());
    let (token, port) = (sites.public.token("t", ""), free_port());
    let laptop = sites.other(
        "laptop",
        &format!(
            "[[link]]\nname = \"up\"\ntoken = \"{}\"\nproxy = \"http://me:secret@127.0.0.1:{}\"\n\
             [[listener]]\nname = \"echo\"\nbind = \"127.0.0.1:{port}\"\n",
            token.display(),
            proxy.port()
        ),
    );
    sites.public.ctl(&format!("expose 127.0.0.1:{} --address echo", echo.port())).ok();
    wait_until(DEADLINE, "the service was there", || echoes(port));
    let asked = proxy.asked();
    assert!(!asked.is_empty());
    for head in &asked {
        assert!(head.starts_with("CONNECT 127.0.0.1:"), "{head}");
        // "me:secret" as a proxy wants it.
        assert!(head.contains("Basic bWU6c2VjcmV0"), "{head}");
    }
    let shown = laptop.ctl("config show -o json").ok() + &laptop.ctl("link status -o json").ok();
    assert!(!shown.contains("secret"), "the password is masked: {shown}");
    assert!(!laptop.log().contains("secret"));
}

#[test]
fn a_silent_peer_is_found_and_found_again() {
    let echo = Echo::start();
    let sites = Sites::start("");
    let (mut laptop, port) = sites.service(echo.port());
    wait_until(DEADLINE, "the service was there", || echoes(port));
    // The kernel goes on acknowledging for a stopped process: only silence tells.
    laptop.process().signal(Signal::SIGSTOP);
    let seen =
        wait_until(DEADLINE, "the link was seen to be dead", || links_up(&sites.public) == 0);
    assert!(seen < Duration::from_secs(6), "3 s were promised, and it took {seen:?}");
    laptop.process().signal(Signal::SIGCONT);
    wait_until(DEADLINE, "the service was there again", || echoes(port));
}

#[test]
fn a_peer_that_dies_is_seen_at_once() {
    let echo = Echo::start();
    let sites = Sites::start("");
    let (mut laptop, _port) = sites.service(echo.port());
    laptop.kill();
    let seen =
        wait_until(DEADLINE, "the link was seen to be dead", || links_up(&sites.public) == 0);
    assert!(seen < Duration::from_secs(2), "it took {seen:?}");
    laptop.start_again();
    wait_until(DEADLINE, "the link was up again", || links_up(&sites.public) == 1);
    let events = sites.public.ctl("events").ok();
    assert!(events.contains("LinkUp") && events.contains("LinkDown"), "{events}");
}
