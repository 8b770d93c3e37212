//! What the kernel knows of this process.

use std::fs;

use nix::unistd::{SysconfVar, sysconf};

/// The process, as /proc tells; 0 where it doesn't.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Process {
    pub(crate) resident_bytes: u64,
    pub(crate) descriptors: u64,
    pub(crate) descriptors_limit: u64,
    pub(crate) threads: u64,
    pub(crate) cpu_seconds: f64,
}

impl Process {
    pub(crate) fn read() -> Self {
        let number = |var| sysconf(var).ok().flatten().and_then(|n| u64::try_from(n).ok());
        let page = number(SysconfVar::PAGE_SIZE).unwrap_or(4096);
        let ticks = number(SysconfVar::CLK_TCK).unwrap_or(100);
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let descriptors = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        let mut process = fs::read_to_string("/proc/self/stat")
            .ok()
            .and_then(|stat| Self::of_stat(&stat, page, ticks))
            .unwrap_or_default();
        // The look itself has the folder open.
        process.descriptors = u64::try_from(descriptors).unwrap_or(u64::MAX).saturating_sub(1);
        process.descriptors_limit = descriptor_limit(&limits).unwrap_or_default();
        process
    }

    /// Reads `/proc/PID/stat` (proc_pid_stat(5)); the name in it may hold anything.
    fn of_stat(stat: &str, page: u64, ticks: u64) -> Option<Self> {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let cpu_seconds = (field(14)? + field(15)?) as f64 / ticks as f64;
        let (threads, resident_bytes) = (field(20)?, field(24)? * page);
        Some(Self { threads, resident_bytes, cpu_seconds, ..Self::default() })
    }
}

fn descriptor_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_read() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 7 0 11 12 100 9";
        let read = Process::of_stat(&format!("1 (a) b) {rest}"), 4096, 100).unwrap();
        assert_eq!((read.threads, read.resident_bytes, read.cpu_seconds), (7, 409_600, 2.0));
        assert_eq!(Process::of_stat("rubbish", 1, 1), None);
        let limits = "Max cpu time unlimited\nMax open files            1024    4096   files\n";
        assert_eq!(descriptor_limit(limits), Some(1024));
        let own = Process::read();
        assert!(own.threads > 0 && own.resident_bytes > 0 && own.descriptors > 2, "{own:?}");
    }
}
