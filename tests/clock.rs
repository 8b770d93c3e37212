//! Clocks that are wrong, and clocks that jump.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use van_testkit::{Clock, DEADLINE, Echo, Sites, Vand, echoes, free_port, wait_until};

/// Whether a message sends its reader to the clock.
fn names_the_clock(text: &str) -> bool {
    text.contains("check the clocks of both sites")
}

/// A site with a clock of its own, whose identity is a month old, as most are.
#[track_caller]
fn settled(sites: &Sites, name: &str) -> (Vand, Clock) {
    let dir = sites.dir().join(name);
    let clock = Clock::new(&dir, "-30d");
    let toml = format!("[site]\nname = \"{name}\"\n");
    let mut vand = Vand::start_with_clock(&dir, &toml, &clock);
    assert!(vand.terminate(DEADLINE).success());
    clock.set("+0");
    vand.start_again();
    (vand, clock)
}

fn links_up(vand: &Vand) -> u64 {
    vand.get("/v1/status").unwrap().1["links_up"].as_u64().unwrap()
}

#[test]
fn a_newcomer_with_a_wrong_clock_is_told() {
    let sites = Sites::start("");
    for (name, offset) in [("ahead", "+2d"), ("behind", "-2d")] {
        let dir = sites.dir().join(name);
        let clock = Clock::new(&dir, offset);
        let toml = format!("[site]\nname = \"{name}\"\n");
        let vand = Vand::start_with_clock(&dir, &toml, &clock);
        let token = sites.public.token(name, "--expires 100h");
        // It stays and is tried again: the clock may be set right.
        vand.ctl(&format!("link create {} --name up --wait 0", token.display())).ok();
        wait_until(DEADLINE, "the link's status named the clock", || {
            names_the_clock(&vand.ctl("link status up").ok())
        });
        assert_eq!(links_up(&vand), 0);
    }
    assert_eq!(links_up(&sites.public), 0);
}

#[test]
fn a_peer_with_a_wrong_clock_is_told_and_links_when_it_is_right() {
    let (sites, echo, port) = (Sites::start(""), Echo::start(), free_port());
    let (mut laptop, clock) = settled(&sites, "laptop");
    let token = sites.public.token("laptop", "");
    laptop.ctl(&format!("link create {} --name up", token.display())).ok();
    laptop.ctl(&format!("expose 127.0.0.1:{} --address echo", echo.port())).ok();
    sites.public.ctl(&format!("listener create echo 127.0.0.1:{port}")).ok();
    wait_until(DEADLINE, "the service was there", || echoes(port));
    for offset in ["+2d", "-2d"] {
        assert!(laptop.terminate(DEADLINE).success());
        clock.set(offset);
        laptop.start_again();
        wait_until(DEADLINE, "the link's status named the clock", || {
            let ran = laptop.ctl("link status up");
            assert!(!ran.stdout.contains("is connected"), "{ran:?}");
            names_the_clock(&ran.stdout)
        });
        clock.set("+0");
        wait_until(DEADLINE, "the service was there again", || echoes(port));
    }
}

#[test]
fn a_jump_breaks_no_flow_and_keeps_nobody_busy() {
    let (sites, echo, port) = (Sites::start(""), Echo::start(), free_port());
    let (mut laptop, clock) = settled(&sites, "laptop");
    let token = sites.public.token("laptop", "");
    laptop.ctl(&format!("link create {} --name up", token.display())).ok();
    laptop.ctl(&format!("expose 127.0.0.1:{} --address echo", echo.port())).ok();
    sites.public.ctl(&format!("listener create echo 127.0.0.1:{port}")).ok();
    wait_until(DEADLINE, "the service was there", || echoes(port));

    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut answers = BufReader::new(&stream);
    let mut says = |line: &str| {
        (&stream).write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        answers.read_line(&mut answer).unwrap();
        assert_eq!(answer, line);
    };
    says("before\n");
    // Each is further than a leaf's half life from the one before.
    for (renewals, offset) in (1..).zip(["+13h", "-2d", "+0"]) {
        clock.set(offset);
        wait_until(DEADLINE, &format!("a leaf was issued at {offset}"), || {
            says(&format!("while the clock goes to {offset}\n"));
            laptop.log().matches("leaf certificate renewed").count() >= renewals
        });
        let id = laptop.process().id();
        let (start, before) = (Instant::now(), processor_time(id));
        while start.elapsed() < Duration::from_secs(3) {
            says(&format!("after the clock went to {offset}\n"));
            // Some work, so that what is measured is no sleeping process.
            std::thread::sleep(Duration::from_millis(100));
        }
        let (spent, passed) = (processor_time(id) - before, start.elapsed());
        assert!(spent < passed / 5, "{spent:?} of {passed:?} went by at {offset}");
        let renewed = laptop.log().matches("leaf certificate renewed").count();
        assert_eq!(renewed, renewals, "one jump is one leaf: {}", laptop.log());
    }
    assert!(!laptop.log().contains("link is down"), "{}", laptop.log());
    assert_eq!((links_up(&sites.public), links_up(&laptop)), (1, 1));

    // The leaf that it has now is good for new connections.
    laptop.ctl("link delete up").ok();
    laptop.ctl(&format!("link create {} --name up", token.display())).ok();
    wait_until(DEADLINE, "the service was there again", || echoes(port));
}

/// Processor time that a process has used.
fn processor_time(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The fields behind the name, which may hold anything: the state is the first of them.
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    let a_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).unwrap().unwrap();
    Duration::from_secs(ticks) / u32::try_from(a_second).unwrap()
}
