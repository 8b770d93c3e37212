//! Services that appear at a host by themselves: an own subnet, and names in it.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use van_testkit::{DEADLINE, Host, Lab, LabSite, Witness, wait_until};

use crate::tell;

/// Questions of the measured load, and how many of them wait for an answer at once.
const QUESTIONS: usize = 20_000;

/// The workload's port.
const TARGET: u16 = 7100;

/// A question for the address of a name (RFC 1035, 4.1).
fn question(id: u16, name: &str) -> Vec<u8> {
    let mut packet = id.to_be_bytes().to_vec();
    packet.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).unwrap());
        packet.extend_from_slice(label.as_bytes());
    }
    packet.extend_from_slice(&[0, 0, 1, 0, 1]);
    packet
}

/// The first address of an answer whose name is the question's; `None` where there is none.
fn address(answer: &[u8]) -> Option<Ipv4Addr> {
    let count = u16::from_be_bytes([answer[6], answer[7]]);
    let start = answer.len().checked_sub(4).filter(|_| count == 1 && answer[11] == 0)?;
    Some(Ipv4Addr::new(answer[start], answer[start + 1], answer[start + 2], answer[start + 3]))
}

/// Asks a name server on a host.
fn resolve(host: &Host, server: &str, name: &str) -> Option<Ipv4Addr> {
    host.within(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        socket.connect((server, 53)).ok()?;
        socket.send(&question(7, name)).ok()?;
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer).ok()?;
        address(&answer[..length])
    })
}

fn ip(host: &Host, words: &str) -> String {
    host.within(|| {
        let ran = Command::new("ip").args(words.split(' ')).output().unwrap();
        assert!(ran.status.success(), "ip {words}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    })
}

/// A host that offers a service, and one at which it appears.
fn pair(lab: &Lab, services: &str) -> (LabSite, LabSite, Box<dyn std::any::Any>) {
    let [offering, using] = ["offering", "using"].map(|name| lab.host(name));
    let cable = lab.cable(&offering, &using);
    let offering = lab.site(&offering);
    let witness = offering.host.within(|| Witness::start(TARGET));
    let line = format!("connector create backend 127.0.0.1:{TARGET} --service-port 8080");
    offering.vand.ctl(&line).ok();
    let using = lab.importing(&using, services);
    using.dial(&offering, 1);
    (offering, using, Box::new((witness, cable)))
}

#[test]
fn a_service_has_an_own_address_and_a_name_and_nothing_stays_behind() {
    let lab = Lab::new();
    let services = "domain = \"van.internal\"\nsubnet = \"198.18.0.0/16\"\n";
    let (offering, mut using, _rest) = pair(&lab, services);
    let name = "backend.van.internal";
    wait_until(DEADLINE, "the name was known", || {
        resolve(&using.host, "198.18.0.1", name).is_some()
    });
    let place = resolve(&using.host, "198.18.0.1", name).unwrap();
    assert_eq!(place.octets()[..2], [198, 18]);
    using.host.within(|| {
        let mut stream = TcpStream::connect((place, 8080)).unwrap();
        stream.write_all(b"x").unwrap();
    });
    assert!(ip(&using.host, "route show table local").contains("local 198.18.0.0/16 dev lo"));
    assert!(using.vand.dir().join("run/names.json").exists(), "the host is told");
    assert_eq!(resolve(&using.host, "198.18.0.1", "other.van.internal"), None);
    assert_eq!(resolve(&using.host, "198.18.0.1", "example.org"), None);

    // The same after a crash; gone with the service, and with the daemon.
    using.vand.kill();
    using.host.clone().within(|| using.vand.start_again());
    wait_until(DEADLINE, "the name was known again", || {
        resolve(&using.host, "198.18.0.1", name) == Some(place)
    });
    measure(&using.host);
    assert!(using.vand.terminate(DEADLINE).success());
    assert!(!using.vand.dir().join("run/names.json").exists());
    let host = using.host.clone();
    let routes = || ip(&host, "route show table local");
    assert!(!routes().contains("198.18."), "what a crash left is taken away: {}", routes());

    // Also by a run that has no use for it.
    using.start_again();
    wait_until(DEADLINE, "the subnet was there again", || routes().contains("198.18.0.0/16"));
    using.kill();
    let config = using.vand.dir().join("vand.toml");
    let importing = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, "[site]\nname = \"using\"\n[services]\nimport = []\n").unwrap();
    using.start_again();
    assert!(routes().contains("198.18.0.0/16"), "{}", routes());
    assert!(using.vand.terminate(DEADLINE).success());
    assert!(!routes().contains("198.18."), "{}", routes());

    // What an administrator made stays.
    ip(&using.host, "route add local 198.18.0.0/16 dev lo");
    std::fs::write(&config, importing).unwrap();
    using.start_again();
    wait_until(DEADLINE, "the name was known", || {
        resolve(&using.host, "198.18.0.1", name).is_some()
    });
    assert!(using.vand.terminate(DEADLINE).success());
    assert!(routes().contains("198.18.0.0/16"), "{}", routes());
    drop(offering);
}

/// 5,000 questions a second for four seconds; the figure is told, and judged in performance.md.
fn measure(host: &Host) {
    let took = host.within(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.connect(("198.18.0.1", 53)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let receiver = socket.try_clone().unwrap();
        let began = Instant::now();
        let reader = std::thread::spawn(move || {
            let mut arrived = vec![None; QUESTIONS];
            let mut answer = [0; 512];
            while let Ok(length) = receiver.recv(&mut answer) {
                assert!(address(&answer[..length]).is_some());
                let id = u16::from_be_bytes([answer[0], answer[1]]);
                arrived[usize::from(id)] = Some(began.elapsed());
                if arrived.iter().all(Option::is_some) {
                    break;
                }
            }
            arrived
        });
        let mut sent = Vec::with_capacity(QUESTIONS);
        for id in 0..QUESTIONS {
            let due = Duration::from_micros(200 * id as u64);
            if let Some(wait) = due.checked_sub(began.elapsed()) {
                std::thread::sleep(wait);
            }
            sent.push(began.elapsed());
            let id = u16::try_from(id).unwrap();
            socket.send(&question(id, "backend.van.internal")).unwrap();
        }
        let arrived = reader.join().unwrap();
        let mut took: Vec<_> =
            arrived.iter().zip(&sent).filter_map(|(at, sent)| Some((*at)? - *sent)).collect();
        took.sort_unstable();
        took
    });
    assert!(!took.is_empty(), "nothing was answered");
    let at = |share: usize| took[took.len() * share / 100].as_secs_f64() * 1000.0;
    let answered = took.len();
    tell(&format!(
        "names at 5,000 questions/s: {answered} of {QUESTIONS} answered, p50 {:.2} ms, p99 {:.2} ms",
        at(50),
        at(99)
    ));
}

#[test]
fn a_subnet_in_use_is_left_alone_and_the_service_appears_on_loopback() {
    let lab = Lab::new();
    let (_offering, mut using, _rest) =
        pair(&lab, "domain = \"van.internal\"\nsubnet = \"10.77.0.0/16\"\n");
    let place = || resolve(&using.host, "10.77.0.1", "backend.van.internal");
    wait_until(DEADLINE, "the name was known", || place().is_some());

    ip(&using.host, "link add br9 type bridge");
    ip(&using.host, "addr add 198.18.4.1/24 dev br9");
    ip(&using.host, "link set br9 up");
    let toml = "[site]\nname = \"using\"\n[services]\nsubnet = \"198.18.0.0/16\"\n";
    using.vand.reload(toml);
    let fallback = || resolve(&using.host, "127.77.0.1", "backend.van.internal");
    wait_until(DEADLINE, "the name was known on loopback", || fallback().is_some());
    assert_eq!(place(), None, "the old subnet is given back");
    let events = using.vand.ctl("events").ok();
    assert!(events.contains("SubnetNotUsed") && events.contains("198.18.4.0/24"), "{events}");
    let check = using.vand.ctl("check --group dns").ok();
    assert!(check.contains("services/subnet") && check.contains("127.77.0.0/16"), "{check}");
}
