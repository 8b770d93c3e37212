//! A process that a measurement starts, and that never outlives it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::host::Host;
use crate::stop;

/// What to start: a program, its arguments, and the name of its log.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The name of the log file, without its ending.
    pub name: String,
    /// The program's path, or a name looked up in PATH.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
}

impl Launch {
    /// Makes a launch from anything that reads as strings.
    pub fn new<A: Into<OsString>>(
        name: impl Into<String>,
        program: impl Into<PathBuf>,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            args: args.into_iter().map(Into::into).collect(),
        }
    }

    /// Builds the command: in the host's namespace, in a process group of its own (Ctrl-C on the
    /// terminal reaches the harness alone, which then ends it), and killed by the kernel should
    /// the harness itself be killed.
    fn command(&self, host: &Host) -> Command {
        let mut words: Vec<OsString> = Vec::new();
        if let Some(namespace) = &host.namespace {
            words.extend(["nsenter".into(), format!("--net=/run/netns/{namespace}").into()]);
        }
        if Path::new("/usr/bin/setpriv").exists() {
            words.extend(["setpriv", "--pdeathsig", "KILL", "--"].map(OsString::from));
        }
        words.push(self.program.clone().into());
        words.extend(self.args.iter().cloned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).process_group(0).stdin(Stdio::null());
        command
    }
}

/// A running process with its descendants; dropping it kills them all.
#[derive(Debug)]
pub struct Process {
    child: Child,
    launch: Launch,
    log: PathBuf,
}

impl Process {
    /// Starts `launch` on `host`; what it prints goes to `DIR/NAME.log`.
    ///
    /// # Errors
    /// Where the log can't be written or the program can't be started.
    pub fn start(launch: &Launch, host: &Host, dir: &Path) -> Result<Self> {
        let log = dir.join(format!("{}.log", launch.name));
        let output = File::options().create(true).append(true).open(&log)?;
        let child = launch
            .command(host)
            .stdout(output.try_clone()?)
            .stderr(output)
            .current_dir(dir)
            .spawn()
            .with_context(|| format!("starting {} failed", launch.program.display()))?;
        Ok(Self { child, launch: launch.clone(), log })
    }

    /// Gives the process id, which is the id of its group too.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Gives what was launched.
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// Fails with the last words of its log if the process has ended.
    pub fn check_alive(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended with {status}: {}", self.launch.name, self.last_words());
        }
        Ok(())
    }

    /// Gives the last non-empty line of the log.
    pub fn last_words(&self) -> String {
        last_line(&self.log)
    }

    /// Kills the whole group at once (SIGKILL) and waits for the process itself.
    pub fn kill(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // The group may be gone already.
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a short program to its end and gives its standard output.
///
/// # Errors
/// Where it fails, lasts longer than `limit`, or the harness is interrupted.
pub fn run(launch: &Launch, host: &Host, dir: &Path, limit: Duration) -> Result<String> {
    Tool::start(launch, host, dir)?.finish(limit)
}

/// A program that runs beside something else and is waited for later.
#[derive(Debug)]
pub struct Tool {
    process: Process,
    output: PathBuf,
}

impl Tool {
    /// Starts the program; its standard output is kept apart from its log.
    ///
    /// # Errors
    /// Where it can't be started.
    pub fn start(launch: &Launch, host: &Host, dir: &Path) -> Result<Self> {
        let output = dir.join(format!("{}.out", launch.name));
        let log = dir.join(format!("{}.log", launch.name));
        let child = launch
            .command(host)
            .stdout(File::create(&output)?)
            .stderr(File::create(&log)?)
            .current_dir(dir)
            .spawn()
            .with_context(|| format!("starting {} failed", launch.program.display()))?;
        Ok(Self { process: Process { child, launch: launch.clone(), log }, output })
    }

    /// Waits for the end and gives the standard output.
    ///
    /// # Errors
    /// As [`run`].
    pub fn finish(mut self, limit: Duration) -> Result<String> {
        let name = self.process.launch.name.clone();
        let child = &mut self.process.child;
        let mut status = None;
        if !stop::wait_until(limit, || {
            status = child.try_wait()?;
            Ok(status.is_some())
        })? {
            bail!("{name} hangs: no end after {} s", limit.as_secs());
        }
        let status = status.unwrap_or_else(|| std::process::ExitStatus::from_raw(0));
        let text = fs::read_to_string(&self.output).unwrap_or_default();
        if !status.success() {
            bail!("{name} failed with {status}: {}", failure(&text, &self.process));
        }
        Ok(text)
    }
}

/// Finds what a failed program said: iperf3 puts it into its JSON, others on standard error.
fn failure(text: &str, process: &Process) -> String {
    text.lines()
        .find_map(|line| line.trim().strip_prefix("\"error\":"))
        .map_or_else(|| process.last_words(), |error| error.trim().to_owned())
}

fn last_line(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    line.map_or_else(|| "it said nothing".to_owned(), |line| line.chars().take(300).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Launch {
        Launch::new("sh", "sh", ["-c", script])
    }

    #[test]
    fn a_tool_gives_its_output_and_its_failure() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::loopback();
        let limit = Duration::from_secs(10);
        assert_eq!(run(&sh("echo good"), &host, dir.path(), limit).unwrap(), "good\n");
        let error = run(&sh("echo bad >&2; exit 3"), &host, dir.path(), limit).unwrap_err();
        assert!(error.to_string().contains("bad"), "{error}");
        let error = run(&sh("sleep 60"), &host, dir.path(), Duration::ZERO).unwrap_err();
        assert!(error.to_string().contains("hangs"), "{error}");
    }

    #[test]
    fn dropping_a_process_ends_its_descendants() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::loopback();
        let process = Process::start(&sh("sleep 600 & echo $!; wait"), &host, dir.path()).unwrap();
        let log = dir.path().join("sh.log");
        let seen = stop::wait_until(Duration::from_secs(10), || {
            Ok(fs::read_to_string(&log).unwrap_or_default().ends_with('\n'))
        });
        assert!(seen.unwrap());
        let pid = fs::read_to_string(&log).unwrap().trim().to_owned();
        drop(process);
        let gone = stop::wait_until(Duration::from_secs(10), || {
            let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            Ok(state.is_empty() || state.contains(") Z "))
        });
        assert!(gone.unwrap());
    }
}
