//! Child processes whose output is kept.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait::wait_until;

/// A child process that writes standard output and standard error to one file.
///
/// Dropping it ends the process by its id, and checks that it never panicked.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` with an environment of its own; `log` is appended to.
    ///
    /// # Panics
    /// When it can't be started.
    #[track_caller]
    pub fn start(mut command: Command, log: &Path) -> Self {
        command.stdin(Stdio::null());
        Self::start_as_is(command, log)
    }

    /// The same with the standard input that the command has.
    ///
    /// # Panics
    /// When it can't be started.
    #[track_caller]
    pub fn start_as_is(mut command: Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log);
        let file = file.unwrap_or_else(|e| panic!("can't write {}: {e}", log.display()));
        let again = file.try_clone().expect("a file descriptor can be doubled");
        command.stdout(file).stderr(again);
        let child = command.spawn().unwrap_or_else(|e| panic!("can't start {command:?}: {e}"));
        Self { child, log: log.into(), ended: None }
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it and its predecessors with the same log wrote.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the process has ended.
    #[track_caller]
    pub fn signal(&mut self, signal: Signal) {
        if let Some(status) = self.status() {
            panic!("{signal} is too late: the process has ended ({status}):\n{}", self.output());
        }
        let id = i32::try_from(self.id()).expect("process ids are small");
        kill(Pid::from_raw(id), signal).expect("an own child can be signalled");
    }

    /// How it ended, if it has.
    pub fn status(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("an own child can be waited for");
        }
        self.ended
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it still runs after `deadline`.
    #[track_caller]
    pub fn wait(&mut self, deadline: Duration) -> ExitStatus {
        wait_until(deadline, "the process ended", || self.status().is_some());
        self.ended.expect("it has ended")
    }

    /// Ends it at once, as a crash would.
    ///
    /// # Panics
    /// When it had ended already.
    #[track_caller]
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.ended = Some(self.child.wait().expect("an own child can be waited for"));
    }

    /// Waits until it has written `text`.
    ///
    /// # Panics
    /// When it doesn't within `deadline`, or ends before.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str, deadline: Duration) {
        wait_until(deadline, &format!("the process wrote {text:?}"), || {
            if self.output().contains(text) {
                return true;
            }
            if let Some(status) = self.status() {
                panic!("the process ended ({status}) before {text:?}:\n{}", self.output());
            }
            false
        });
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.status().is_none() {
            // It may end by itself in between, which is as good.
            let _gone = self.child.kill();
            self.ended = self.child.wait().ok();
        }
        let output = self.output();
        if std::thread::panicking() {
            let text = format!("--- {}\n{output}---\n", self.log.display());
            // The harness shows it with the failed test; a closed standard error can't be helped.
            let _unheard = std::io::stderr().write_all(text.as_bytes());
            return;
        }
        assert!(!output.contains("panicked"), "the process panicked:\n{output}");
    }
}

/// A command that inherits nothing of this process's environment but the search path.
pub(crate) fn bare(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("RUST_BACKTRACE", "1");
    for name in ["PATH", "HOME", "LLVM_PROFILE_FILE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Runs a program to its end with `input` on its standard input.
///
/// # Panics
/// When it can't be started, or still runs after `deadline` (it is killed then).
#[track_caller]
pub fn run(mut command: Command, input: &[u8], deadline: Duration) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("can't start {command:?}: {e}"));
    let id = i32::try_from(child.id()).expect("process ids are small");
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // A program that reads nothing may be gone already.
        let _unread = stdin.write_all(&input);
    });
    let waiter = std::thread::spawn(move || child.wait_with_output());
    let start = std::time::Instant::now();
    let mut late = false;
    while !waiter.is_finished() {
        if !late && start.elapsed() > deadline {
            late = true;
            let _gone = kill(Pid::from_raw(id), Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = waiter.join().expect("waiting doesn't panic").expect("a child can be waited for");
    assert!(!late, "{command:?} still ran after {deadline:?}: {output:?}");
    writer.join().expect("writing doesn't panic");
    output
}
