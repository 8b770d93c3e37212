//! Whether the host has what a site needs: memory, disk, a set clock, systemd's services.

use std::fs;
use std::path::Path;

use nix::sys::statvfs::statvfs;
use van_model::api::CheckLine;

use crate::site::Site;

/// Free memory below which flows may be shed soon.
const LITTLE_MEMORY: u64 = 128 << 20;

/// Free bytes on the disk of the state directory below which it may be full soon.
const LITTLE_DISK: u64 = 64 << 20;

/// Free files there.
const FEW_FILES: u64 = 1000;

/// The backlog of a listening socket that vand asks for.
const BACKLOG: u64 = 4096;

/// Ports that the kernel gives outgoing connections, below which many flows to one target run out.
const FEW_PORTS: u64 = 10_000;

/// The year in which this version was made: a clock before it was never set.
const YEAR: i16 = 2026;

fn mib(bytes: u64) -> u64 {
    bytes >> 20
}

fn memory(available: Option<u64>) -> CheckLine {
    let what = "host/memory";
    match available {
        None => CheckLine::passed(what, "the kernel doesn't tell how much is free"),
        Some(free) if free < LITTLE_MEMORY => {
            CheckLine::warning(what, format!("only {} MiB are free", mib(free)))
                .hint("end other programs, or give the host more")
        }
        Some(free) => CheckLine::passed(what, format!("{} MiB are free", mib(free))),
    }
}

fn disk(place: &str, free: u64, files: Option<u64>) -> [CheckLine; 2] {
    let text = format!("{} MiB are free for {place}", mib(free));
    let bytes = match free {
        0..LITTLE_DISK => {
            CheckLine::warning("host/disk", text).hint("free space: du -xh / | sort -h")
        }
        _ => CheckLine::passed("host/disk", text),
    };
    let what = "host/inodes";
    let files = match files {
        Some(left @ 0..FEW_FILES) => {
            CheckLine::warning(what, format!("only {left} more files fit beside {place}"))
                .hint("remove small files there: df -i shows the use")
        }
        Some(left) => CheckLine::passed(what, format!("{left} more files fit")),
        None => CheckLine::passed(what, "the file system has no bound on files"),
    };
    [bytes, files]
}

fn clock(year: i16, synchronised: Option<bool>) -> [CheckLine; 2] {
    let hint = "set it by NTP: timedatectl set-ntp true";
    let sane = if year < YEAR {
        CheckLine::failed("clock/year", format!("the clock says {year}: it was never set"))
            .hint(hint)
    } else {
        CheckLine::passed("clock/year", format!("the clock says {year}"))
    };
    let what = "clock/synchronised";
    let set = match synchronised {
        Some(true) => CheckLine::passed(what, "a time service keeps it"),
        Some(false) => CheckLine::warning(what, "systemd-timesyncd runs and has not set it yet")
            .hint("see 'timedatectl timesync-status'"),
        None => CheckLine::passed(what, "systemd-timesyncd does not keep it; another may"),
    };
    [sane, set]
}

fn kernel_bounds(somaxconn: Option<u64>, ports: Option<(u64, u64)>) -> [CheckLine; 2] {
    let what = "ports/backlog";
    let backlog = match somaxconn {
        Some(most) if most < BACKLOG => CheckLine::warning(
            what,
            format!("{most} clients may wait at a listener, not {BACKLOG}"),
        )
        .hint(format!("sysctl net.core.somaxconn={BACKLOG}")),
        _ => CheckLine::passed(what, format!("{BACKLOG} clients may wait at a listener")),
    };
    let what = "ports/outgoing";
    let range = match ports {
        Some((low, high)) if high.saturating_sub(low) < FEW_PORTS => {
            let text = format!("only ports {low} to {high} are for outgoing connections");
            CheckLine::warning(what, text).hint("sysctl net.ipv4.ip_local_port_range='32768 60999'")
        }
        Some((low, high)) => {
            CheckLine::passed(what, format!("ports {low} to {high} are for outgoing connections"))
        }
        None => {
            CheckLine::passed(what, "the kernel doesn't tell the ports of outgoing connections")
        }
    };
    [backlog, range]
}

/// How the process was started.
struct Started {
    by_systemd: bool,
    watched: bool,
    journal: bool,
}

fn started(started: &Started) -> Vec<CheckLine> {
    if !started.by_systemd {
        let text = "vand was not started by systemd: nobody starts it again after a fault";
        return vec![CheckLine::passed("host/systemd", text)];
    }
    let watchdog = if started.watched {
        CheckLine::passed("host/watchdog", "systemd restarts vand where it gets stuck")
    } else {
        CheckLine::warning("host/watchdog", "systemd would not notice that vand is stuck")
            .hint("set WatchdogSec=30s in the unit: systemctl edit vand")
    };
    let journal = if started.journal {
        CheckLine::passed("host/journal", "the log goes to the journal with its fields")
    } else {
        CheckLine::warning("host/journal", "the log goes to standard error, not to the journal")
            .hint("set StandardError=journal in the unit")
    };
    vec![CheckLine::passed("host/systemd", "vand was started by systemd"), watchdog, journal]
}

fn kernel(version: &str) -> CheckLine {
    CheckLine::passed(
        "host/kernel",
        version.split_whitespace().take(3).collect::<Vec<_>>().join(" "),
    )
}

fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn port_range() -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut numbers = text.split_whitespace().map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn available_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?;
    Some(kib * 1024)
}

/// Whether systemd-timesyncd has set the clock; `None` where it does not run.
fn synchronised() -> Option<bool> {
    let folder = Path::new("/run/systemd/timesync");
    folder.exists().then(|| folder.join("synchronized").exists())
}

impl Site {
    pub(super) fn check_host(&self) -> Vec<CheckLine> {
        let mut lines = vec![memory(available_memory())];
        if let Some(place) = self.store.location()
            && let Ok(stat) = statvfs(place)
        {
            let files = (stat.files() > 0).then(|| stat.files_available());
            let free = stat.blocks_available() * stat.fragment_size();
            lines.extend(disk(&place.display().to_string(), free, files));
        }
        lines.push(kernel(&fs::read_to_string("/proc/version").unwrap_or_default()));
        let has = |name| std::env::var_os(name).is_some();
        lines.extend(started(&Started {
            by_systemd: has("NOTIFY_SOCKET") || has("INVOCATION_ID"),
            watched: has("WATCHDOG_USEC"),
            journal: has("JOURNAL_STREAM"),
        }));
        lines
    }

    pub(super) fn check_own_clock(&self) -> [CheckLine; 2] {
        let now = crate::clock::now().to_zoned(jiff::tz::TimeZone::UTC);
        clock(now.year(), synchronised())
    }

    pub(super) fn check_kernel_bounds(&self) -> [CheckLine; 2] {
        kernel_bounds(number("/proc/sys/net/core/somaxconn"), port_range())
    }
}

#[cfg(test)]
mod tests {
    use van_model::api::CheckOutcome::{Failed, Passed, Warning};

    use super::*;

    #[test]
    fn little_memory_and_disk_are_told() {
        assert_eq!(memory(Some(1 << 20)).outcome, Warning);
        assert_eq!(memory(Some(1 << 30)).outcome, Passed);
        let [bytes, files] = disk("/s", 1 << 20, Some(7));
        assert_eq!((bytes.outcome, files.outcome), (Warning, Warning));
        let [bytes, files] = disk("/s", 1 << 30, None);
        assert_eq!((bytes.outcome, files.outcome), (Passed, Passed));
        assert!(available_memory().is_some());
    }

    #[test]
    fn a_clock_that_was_never_set_fails() {
        assert_eq!(clock(1970, None)[0].outcome, Failed);
        assert_eq!(clock(YEAR, Some(false)).map(|line| line.outcome), [Passed, Warning]);
        assert_eq!(clock(YEAR, Some(true)).map(|line| line.outcome), [Passed, Passed]);
    }

    #[test]
    fn small_bounds_of_the_kernel_are_told() {
        let small = kernel_bounds(Some(128), Some((32768, 32999)));
        assert_eq!(small.map(|line| line.outcome), [Warning, Warning]);
        let usual = kernel_bounds(Some(4096), Some((32768, 60999)));
        assert_eq!(usual.map(|line| line.outcome), [Passed, Passed]);
        assert!(port_range().is_some());
    }

    #[test]
    fn a_unit_without_watchdog_or_journal_is_told() {
        let by = |watched, journal| started(&Started { by_systemd: true, watched, journal });
        assert!(by(true, true).iter().all(|line| line.outcome == Passed));
        assert_eq!(by(false, false).iter().filter(|line| line.outcome == Warning).count(), 2);
        let alone = started(&Started { by_systemd: false, watched: false, journal: false });
        assert_eq!((alone.len(), alone[0].outcome), (1, Passed));
    }
}
