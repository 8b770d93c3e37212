//! The workload over a long and lossy link: two namespaces with a cable between them.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use nix::sched::{CloneFlags, setns};
use nix::unistd::Uid;
use van_testkit::{Quality, Wire, tap};

use crate::backend;
use crate::host::{Host, Place};
use crate::iperf::Transfer;
use crate::layout::{Layout, Service};
use crate::metric::Metric;
use crate::peer::Peer;
use crate::process::{self, Launch};
use crate::program::Programs;
use crate::running::Running;
use crate::workload::{Bench, Figure};

/// The peers of this workload: the same path without a proxy under both congestion controls.
pub const PEERS: [Peer; 3] = [Peer::DirectReno, Peer::Direct, Peer::Vand];

/// How long a command of the set-up may take.
const LIMIT: Duration = Duration::from_secs(10);

/// The start of the namespaces' names; the harness's process id follows.
const PREFIX: &str = "van-bench-";

/// A line of the workload: metric, quality, streams.
const LINES: [(Metric, Quality, u32); 2] = [
    (Metric::WanLossy8, Quality { delay: Duration::from_millis(10), loss: 1 }, 8),
    (Metric::WanLong1, Quality { delay: Duration::from_millis(50), loss: 0 }, 1),
];

/// Tells what is missing for this workload here, if anything.
pub fn missing(programs: &Programs) -> Option<String> {
    if !Uid::effective().is_root() {
        return Some("namespaces need root".to_owned());
    }
    if !Path::new("/dev/net/tun").exists() {
        return Some("there is no /dev/net/tun".to_owned());
    }
    let absent = ["ip", "nsenter", "iperf3"].into_iter().find(|name| programs.find(name).is_none());
    absent.map(|name| format!("{name} is not installed"))
}

impl Bench {
    /// Moves bulk over each line through `peer`.
    ///
    /// # Errors
    /// Where the line can't be laid, or the peer fails.
    pub fn wan(&self, peer: Peer, round: u32) -> Result<Vec<Figure>> {
        LINES
            .iter()
            .enumerate()
            .map(|(at, &(metric, quality, streams))| {
                let dir = self.dir.join(format!("{}-w{at}-{round}", peer.name()));
                std::fs::create_dir_all(&dir)?;
                let line = Line::lay(&self.programs, &dir, quality)?;
                Ok((metric, self.over(&line, peer, &dir, streams)?))
            })
            .collect()
    }

    /// Gives the speed of `streams` streams in Mbit/s.
    fn over(&self, line: &Line, peer: Peer, dir: &Path, streams: u32) -> Result<f64> {
        let place = &line.place;
        let (server, address) = backend::iperf(&self.programs, place, dir)?;
        let services = [Service::stream("iperf", address)];
        let layout =
            Layout::new(dir.join("peer"), place, &self.certificates, &self.programs, &services)?;
        let running = Running::start(peer, layout, None)?;
        let entry = running.entry("iperf")?;
        let mut transfer = Transfer::new(entry, streams, self.pace.seconds * 2);
        transfer.congestion = match peer {
            Peer::Direct => Some("bbr"),
            Peer::DirectReno => Some("reno"),
            _ => None,
        };
        let moved = transfer.run(&self.programs, &place.ingress, dir);
        let moved = moved.with_context(|| format!("the server: {}", server.last_words()));
        let moved = running.explain(moved)?;
        Ok(moved.bits_per_second / 1e6)
    }
}

/// Two namespaces and the cable between; dropping it takes them away.
#[derive(Debug)]
struct Line {
    place: Place,
    wire: Option<Wire>,
    names: [String; 2],
    programs: Programs,
}

impl Line {
    fn lay(programs: &Programs, dir: &Path, quality: Quality) -> Result<Self> {
        sweep(programs, dir)?;
        let names = ["a", "b"].map(|end| format!("{PREFIX}{}-{end}", std::process::id()));
        let hosts = [1, 2].map(|last| IpAddr::V4(Ipv4Addr::new(10, 82, 63, last)));
        let host = |at: usize| Host { ip: hosts[at], namespace: Some(names[at].clone()) };
        let place = Place { ingress: host(0), egress: host(1) };
        let mut line = Self { place, wire: None, names, programs: programs.clone() };
        for name in &line.names {
            ip(programs, dir, &Host::loopback(), &format!("netns add {name}"))?;
        }
        line.wire = Some(plug(&line.names, "wan", quality)?);
        for host in [&line.place.ingress, &line.place.egress] {
            ip(programs, dir, host, "link set lo up")?;
            ip(programs, dir, host, &format!("addr add {}/24 dev wan", host.ip))?;
            ip(programs, dir, host, "link set wan mtu 1500 txqueuelen 10000 up")?;
            // What the local ends of a proxied flow use; the link itself may ask for another.
            let reno = "echo reno > /proc/sys/net/ipv4/tcp_congestion_control";
            process::run(&Launch::new("reno", "sh", ["-c", reno]), host, dir, LIMIT)?;
        }
        Ok(line)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.wire = None;
        for name in &self.names {
            // The namespace goes once its last process is gone.
            let _ = std::process::Command::new(self.programs.find("ip").unwrap_or("ip".into()))
                .args(["netns", "del", name])
                .stderr(std::process::Stdio::null())
                .status();
        }
    }
}

/// Joins two namespaces; the ends appear in them as the network device `device`.
fn plug([a, b]: &[String; 2], device: &str, quality: Quality) -> Result<Wire> {
    let end = |namespace: &str| {
        let path = format!("/run/netns/{namespace}");
        // A thread of its own, since a namespace is entered for good.
        let made = std::thread::scope(|scope| {
            let entered = scope.spawn(|| -> Result<_> {
                let file = std::fs::File::open(&path)?;
                setns(file, CloneFlags::CLONE_NEWNET)?;
                Ok(tap(device))
            });
            entered.join().map_err(|_| anyhow!("making a TAP device failed"))?
        });
        made.with_context(|| format!("entering {path} failed"))
    };
    Ok(Wire::join(end(a)?, end(b)?, quality))
}

fn ip(programs: &Programs, dir: &Path, host: &Host, words: &str) -> Result<String> {
    let ip = programs.find("ip").context("ip is not installed")?;
    process::run(&Launch::new("ip", ip, words.split(' ')), host, dir, LIMIT)
}

/// Takes away namespaces of a harness that was killed.
fn sweep(programs: &Programs, dir: &Path) -> Result<()> {
    let list = ip(programs, dir, &Host::loopback(), "netns list")?;
    for name in list.lines().filter_map(|line| line.split_whitespace().next()) {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        let pid = rest.split('-').next().unwrap_or_default();
        let alive = Path::new("/proc").join(pid).exists();
        if pid.parse::<u32>().is_ok() && !alive {
            ip(programs, dir, &Host::loopback(), &format!("netns del {name}"))?;
        } else if pid == std::process::id().to_string() {
            bail!("the namespace {name} is still there");
        }
    }
    Ok(())
}
