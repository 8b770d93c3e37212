//! A wall clock of a daemon's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::client::Ran;
use crate::process::bare;

/// A wall clock that one daemon sees in place of the machine's; monotonic time stays what it is.
///
/// It is libfaketime's, loaded into the daemon.
#[derive(Debug, Clone)]
pub struct Clock {
    file: PathBuf,
    library: String,
}

impl Clock {
    /// A clock, kept in `dir`, that differs by `offset` from the machine's: `+2d`, `-13h`, `+0`.
    ///
    /// # Panics
    /// When libfaketime isn't installed, or `dir` can't be written.
    #[track_caller]
    pub fn new(dir: &Path, offset: &str) -> Self {
        let mut command = bare("faketime");
        command.args(["-f", "+0", "sh", "-c", "printf %s \"$LD_PRELOAD\""]);
        // Only the wrapper knows where this system keeps its library.
        let library = Ran::of(command, b"").ok();
        assert!(library.contains("libfaketime"), "faketime loads {library:?}");
        fs::create_dir_all(dir).expect("the test's folder can be written");
        let clock = Self { file: dir.join("clock"), library };
        clock.set(offset);
        clock
    }

    /// Sets the clock, also of a daemon that runs: it jumps within a second.
    ///
    /// # Panics
    /// When the file can't be written.
    #[track_caller]
    pub fn set(&self, offset: &str) {
        let fresh = self.file.with_extension("new");
        fs::write(&fresh, format!("{offset}\n")).expect("the test's folder can be written");
        fs::rename(&fresh, &self.file).expect("the test's folder can be written");
    }

    /// Lets a daemon, not yet started, see this clock.
    pub(crate) fn apply(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library);
        command.env("FAKETIME_TIMESTAMP_FILE", &self.file);
        command.env("FAKETIME_CACHE_DURATION", "1");
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        command.env("NO_FAKE_STAT", "1");
    }

    /// Removes what libfaketime shares with children that a daemon doesn't have: a daemon that is
    /// killed would leave it behind.
    pub(crate) fn clean(&self, process: u32) {
        for name in ["faketime_shm_", "sem.faketime_sem_"] {
            // It may not have got so far.
            let _absent = fs::remove_file(format!("/dev/shm/{name}{process}"));
        }
    }
}
