//! The one-shot exporter, `vand export` and `vand import`.

use std::path::Path;
use std::time::Duration;

use crate::binary::vand_binary;
use crate::client::Ran;
use crate::process::{Process, bare};
use crate::wait::DEADLINE;

/// A running `vand export`.
///
/// Dropping it ends it, and checks that it never panicked.
#[derive(Debug)]
pub struct Exporter {
    process: Process,
}

impl Exporter {
    /// Starts `vand LINE`; `line` is split at white space and begins with `export` or `import`.
    /// Its output goes to `exporter.log` in `dir`.
    ///
    /// # Panics
    /// When it can't be started.
    #[track_caller]
    pub fn start(dir: &Path, line: &str) -> Self {
        let mut command = bare(vand_binary());
        command.current_dir(dir).args(line.split_whitespace());
        Self { process: Process::start(command, &dir.join("exporter.log")) }
    }

    /// Runs `vand LINE` to its end.
    ///
    /// # Panics
    /// When it doesn't end.
    #[track_caller]
    pub fn run(dir: &Path, line: &str) -> Ran {
        let mut command = bare(vand_binary());
        command.current_dir(dir).args(line.split_whitespace());
        Ran::of(command, b"")
    }

    /// Waits until it has printed `text`.
    ///
    /// # Panics
    /// When it doesn't, or ends before.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        self.process.wait_for(text, DEADLINE);
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Panics
    /// When it doesn't end within `deadline`.
    #[track_caller]
    pub fn terminate(&mut self, deadline: Duration) -> std::process::ExitStatus {
        self.process.signal(nix::sys::signal::Signal::SIGTERM);
        self.process.wait(deadline)
    }

    /// The process itself.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
