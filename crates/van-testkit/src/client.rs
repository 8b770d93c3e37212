//! The real `vanctl`, run to its end.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::binary::vanctl_binary;
use crate::process::{bare, run};

/// The longest that one command may take; its own `--wait` ends before.
const DEADLINE: Duration = Duration::from_secs(60);

/// A client of one daemon.
#[derive(Debug, Clone)]
pub struct Vanctl {
    socket: PathBuf,
}

/// A command that has ended.
#[derive(Debug, Clone)]
#[must_use]
pub struct Ran {
    /// Its exit code; -1 when a signal ended it.
    pub status: i32,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Vanctl {
    /// A client of the daemon behind `socket`.
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.into() }
    }

    /// Runs one command; `line` is split at white space.
    ///
    /// # Panics
    /// When it can't be started or doesn't end.
    #[track_caller]
    pub fn run(&self, line: &str) -> Ran {
        self.run_with(line, b"")
    }

    /// The same with `input` on its standard input.
    ///
    /// # Panics
    /// When it can't be started or doesn't end.
    #[track_caller]
    pub fn run_with(&self, line: &str, input: &[u8]) -> Ran {
        Ran::of(self.command(line), input)
    }

    /// The command, not yet run.
    pub fn command(&self, line: &str) -> Command {
        let mut command = bare(vanctl_binary());
        command.env("VANCTL_URL", format!("unix://{}", self.socket.display()));
        command.args(line.split_whitespace());
        command
    }
}

impl Ran {
    /// Runs any command to its end.
    ///
    /// # Panics
    /// When it can't be started or doesn't end.
    #[track_caller]
    pub fn of(command: Command, input: &[u8]) -> Self {
        let output = run(command, input, DEADLINE);
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Its standard output.
    ///
    /// # Panics
    /// When it failed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.status, 0, "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// Its standard output as one JSON document.
    ///
    /// # Panics
    /// When it failed or printed something else.
    #[track_caller]
    pub fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("not JSON ({e}): {text}"))
    }

    /// Its standard error; checks that it ended with `status`, and that its messages have the form
    /// that users are promised.
    ///
    /// # Panics
    /// When it ended otherwise.
    #[track_caller]
    pub fn fails(self, status: i32) -> String {
        assert_eq!(self.status, status, "{}{}", self.stdout, self.stderr);
        for word in ["panicked", "Error {", "Os {", "std::", "core::", "van_"] {
            assert!(!self.stderr.contains(word), "{word:?} is no word for users: {}", self.stderr);
        }
        self.stderr
    }
}
