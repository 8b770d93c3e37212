//! Networks of more than two sites: services reach beyond neighbours, and paths change under flows.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use van_testkit::{DEADLINE, Echo, Sites, Vand, echo_lines, echoes, free_port, wait_until};

fn reached(vand: &Vand) -> u64 {
    vand.get("/v1/status").unwrap().1["sites_reached"].as_u64().unwrap()
}

#[test]
fn a_service_is_found_two_hops_away_and_comes_back_with_the_hub() {
    let (mut sites, echo, port) = (Sites::start(""), Echo::start(), free_port());
    let (a, b) = (sites.linked("a", ""), sites.linked("b", ""));
    b.ctl(&format!("expose 127.0.0.1:{} --address echo", echo.port())).ok();
    a.ctl(&format!("listener create echo 127.0.0.1:{port}")).ok();
    wait_until(DEADLINE, "the service was there", || echoes(port));
    echo_lines(port, 1000).unwrap();
    for vand in [&a, &b, &sites.public] {
        assert_eq!(reached(vand), 2);
    }

    sites.public.kill();
    wait_until(DEADLINE, "the service was gone", || !echoes(port));
    sites.public.start_again();
    // While records settle the way may come and go.
    wait_until(DEADLINE, "the service was back", || echo_lines(port, 100).is_ok());
}

#[test]
fn a_service_appears_by_itself_at_an_address_that_stays() {
    let (sites, echo) = (Sites::start(""), Echo::start());
    let mut a = sites.linked("a", "");
    let b = sites.linked("b", "");
    let port = free_port();
    b.ctl(&format!("connector create echo 127.0.0.1:{} --service-port {port}", echo.port())).ok();
    let place = |vand: &Vand| {
        let services = vand.get("/v1/services/echo").map(|(_, document)| document);
        services.and_then(|s| s["status"]["import"].as_str().map(str::to_owned))
    };
    wait_until(DEADLINE, "it appeared", || place(&a).is_some_and(|p| talks(&p)));
    let first = place(&a).unwrap();
    assert!(first.starts_with("127.77.") && first.ends_with(&format!(":{port}")), "{first}");
    a.kill();
    a.start_again();
    wait_until(DEADLINE, "it appeared again", || place(&a).is_some_and(|p| talks(&p)));
    assert_eq!(place(&a).unwrap(), first);
}

fn talks(place: &str) -> bool {
    let place = place.parse().unwrap();
    let Ok(mut stream) = TcpStream::connect_timeout(&place, Duration::from_secs(1)) else {
        return false;
    };
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut answer = [0; 4];
    stream.write_all(b"ping").is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && &answer == b"ping"
}

#[test]
fn a_ring_heals_around_a_site_that_dies() {
    // public - a - b, and b - public by a second link: the way round.
    let echo = Echo::start();
    let mut sites = Sites::start("");
    let (a_port, port) = (free_port(), free_port());
    let accept = format!(
        "[accept]\nlisten = [\"127.0.0.1:{a_port}\"]\nadvertise = [\"127.0.0.1:{a_port}\"]\n"
    );
    let a = sites.linked("a", &accept);
    let b = sites.linked("b", "");
    let token = a.token("b", "");
    b.ctl(&format!("link create {} --name over-a --cost 10", token.display())).ok();
    let c = sites.linked("c", "");
    let token = a.token("c", "");
    c.ctl(&format!("link create {} --name over-a --cost 10", token.display())).ok();
    b.ctl(&format!("expose 127.0.0.1:{} --address echo", echo.port())).ok();
    c.ctl(&format!("listener create echo 127.0.0.1:{port}")).ok();
    wait_until(DEADLINE, "the service was there", || echoes(port));
    sites.public.kill();
    let start = Instant::now();
    wait_until(DEADLINE, "there was another way", || echoes(port));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    wait_until(DEADLINE, "the new way was steady", || echo_lines(port, 100).is_ok());
}

#[test]
fn a_revoked_site_is_out_of_the_whole_network_until_a_later_token() {
    let (echo, port) = (Echo::start(), free_port());
    let (a_port, own) = (free_port(), free_port());
    let sites = Sites::start("");
    let accept = format!(
        "[accept]\nlisten = [\"127.0.0.1:{a_port}\"]\nadvertise = [\"127.0.0.1:{a_port}\"]\n"
    );
    let (a, b) = (sites.linked("a", &accept), sites.linked("b", ""));
    // The two trust each other directly, too.
    let token = a.token("b", "");
    b.ctl(&format!("link create {} --name to-a", token.display())).ok();
    b.ctl(&format!("expose 127.0.0.1:{} --address of-b", echo.port())).ok();
    a.ctl(&format!("expose 127.0.0.1:{} --address of-a", echo.port())).ok();
    a.ctl(&format!("listener create of-b 127.0.0.1:{port}")).ok();
    b.ctl(&format!("listener create of-a 127.0.0.1:{own}")).ok();
    wait_until(DEADLINE, "both services were there", || echoes(port) && echoes(own));
    let mut flow = TcpStream::connect(("127.0.0.1", port)).unwrap();
    flow.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    flow.write_all(b"x\n").unwrap();
    flow.read_exact(&mut [0; 2]).unwrap();

    sites.public.ctl("peer revoke b").ok();
    let start = Instant::now();
    assert!(flow.read(&mut [0]).is_err(), "the open flow was reset");
    wait_until(DEADLINE, "its service was gone", || !echoes(port));
    wait_until(DEADLINE, "it was out", || reached(&b) == 0 && !echoes(own));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!((reached(&a), reached(&sites.public)), (1, 1));

    let token = sites.public.token("again", "");
    b.ctl(&format!("link create {} --name again", token.display())).ok();
    wait_until(DEADLINE, "it was back", || echoes(port) && echoes(own));
}
