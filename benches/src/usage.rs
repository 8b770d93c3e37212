//! What processes use, read from /proc: processor seconds, memory, descriptors, and the share
//! of the machine that others take meanwhile.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::time::Instant;

/// Clock ticks of /proc a second: `USER_HZ`, which Linux keeps at 100 on every architecture.
const TICKS: f64 = 100.0;

/// The usage of a process and all its descendants at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// User and system time so far, in seconds, reaped children included.
    pub cpu: f64,
    /// Resident memory in bytes.
    pub resident: u64,
    /// The highest resident memory so far, in bytes.
    pub peak: u64,
    /// Open file descriptors.
    pub descriptors: usize,
}

impl Usage {
    /// Reads the usage of the processes `roots` and of what they started.
    pub fn of(roots: &[u32]) -> Self {
        let stats = stats();
        let mut total = Self::default();
        for pid in family(&stats, roots) {
            total.cpu += stats.get(&pid).map_or(0.0, |stat| stat.ticks as f64 / TICKS);
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            total.resident += kilobytes(&status, "VmRSS:") * 1024;
            total.peak += kilobytes(&status, "VmHWM:") * 1024;
            total.descriptors += fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        }
        total
    }
}

#[derive(Clone, Copy, Debug)]
struct Stat {
    parent: u32,
    ticks: u64,
}

fn stats() -> HashMap<u32, Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return HashMap::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter_map(|pid| {
            Some((pid, parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?))
        })
        .collect()
}

/// Reads parent and times; the name in parentheses may hold anything, so it starts after it.
fn parse_stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Some(Stat { parent: fields.get(1)?.parse().ok()?, ticks })
}

fn family(stats: &HashMap<u32, Stat>, roots: &[u32]) -> Vec<u32> {
    let mut family: Vec<u32> = roots.to_vec();
    let mut at = 0;
    while let Some(&parent) = family.get(at) {
        let children = stats.iter().filter(|(_, stat)| stat.parent == parent);
        let children: Vec<u32> =
            children.map(|(&pid, _)| pid).filter(|pid| !family.contains(pid)).collect();
        family.extend(children);
        at += 1;
    }
    family
}

fn kilobytes(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Tells whether something listens on every one of `addresses` in the namespace of `pid`.
pub fn listening(pid: u32, addresses: &[SocketAddr]) -> bool {
    let mut ports = Vec::new();
    for table in ["tcp", "tcp6"] {
        let text = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        ports.extend(text.lines().skip(1).filter_map(listening_port));
    }
    addresses.iter().all(|address| ports.contains(&address.port()))
}

fn listening_port(line: &str) -> Option<u16> {
    let mut fields = line.split_whitespace().skip(1);
    let port = u16::from_str_radix(fields.next()?.rsplit(':').next()?, 16).ok()?;
    // 0A is TCP_LISTEN.
    (fields.nth(1)? == "0A").then_some(port)
}

/// Measures how much of the machine processes other than the harness and its children take.
#[derive(Debug)]
pub struct OtherLoad {
    since: Instant,
    busy: f64,
    ours: f64,
}

impl OtherLoad {
    /// Starts to measure.
    pub fn start() -> Self {
        Self { since: Instant::now(), busy: busy(), ours: ours() }
    }

    /// Gives the others' share of all processors since the start, 0 to 1; time that a hypervisor
    /// took away counts as others'.
    pub fn share(&self) -> f64 {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let elapsed = self.since.elapsed().as_secs_f64().max(0.01);
        let others = (busy() - self.busy) - (ours() - self.ours);
        (others / (elapsed * cores)).clamp(0.0, 1.0)
    }
}

fn ours() -> f64 {
    let stats = stats();
    let own = family(&stats, &[std::process::id()]);
    own.iter().filter_map(|pid| stats.get(pid)).map(|stat| stat.ticks as f64).sum::<f64>() / TICKS
}

/// The machine's busy seconds: user, nice, system and stolen, not interrupts, which nobody owns.
fn busy() -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<f64> = text
        .lines()
        .next()
        .map(|line| line.split_whitespace().skip(1).filter_map(|f| f.parse().ok()).collect())
        .unwrap_or_default();
    [0, 1, 2, 7].iter().filter_map(|&at| fields.get(at)).sum::<f64>() / TICKS
}

/// Gives the machine's load average of the last minute.
pub fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_fields() {
        let stat = parse_stat("7 (a) b (c) S 3 7 7 0 -1 0 1 2 3 4 10 20 30 40 20 0").unwrap();
        assert_eq!((stat.parent, stat.ticks), (3, 100));
        assert!(parse_stat("garbage").is_none());
        assert!(parse_stat("7 (x) S 3").is_none());
    }

    #[test]
    fn own_usage_is_there() {
        let usage = Usage::of(&[std::process::id()]);
        assert!(usage.resident > 0 && usage.peak >= usage.resident && usage.descriptors > 2);
    }

    #[test]
    fn a_listener_is_seen() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert!(listening(std::process::id(), &[address]));
        drop(listener);
        // A process that another test is starting holds a copy until it runs its program.
        let gone = || !listening(std::process::id(), &[address]);
        van_testkit::wait_until(van_testkit::DEADLINE, "nothing listened any more", gone);
    }

    #[test]
    fn a_listening_line_is_told_from_an_open_one() {
        let line = "  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000";
        assert_eq!(listening_port(line), Some(8080));
        assert_eq!(listening_port(&line.replace(" 0A ", " 01 ")), None);
        assert_eq!(listening_port("x"), None);
    }
}
