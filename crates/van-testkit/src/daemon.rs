//! A daemon of `vand run`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::binary::vand_binary;
use crate::client::{Ran, Vanctl};
use crate::clock::Clock;
use crate::process::{Process, bare};
use crate::wait::{DEADLINE, wait_until};

/// What a daemon may use.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Descriptors that it may have open. `None`: as many as the tests themselves.
    pub descriptors: Option<u32>,
    /// Bytes that its state folder holds: a file system of its own in a mount namespace. `None`:
    /// an ordinary folder.
    pub state_bytes: Option<u32>,
}

/// A running daemon with a folder of its own: `vand.toml`, `state/`, `run/vand.sock`, `vand.log`.
///
/// Dropping it ends it, and checks that it never panicked.
#[derive(Debug)]
pub struct Vand {
    dir: PathBuf,
    limits: Limits,
    clock: Option<Clock>,
    process: Process,
}

impl Vand {
    /// Starts a daemon with this configuration and waits until its socket answers.
    ///
    /// # Panics
    /// When it doesn't start; the message holds its log.
    #[track_caller]
    pub fn start(dir: &Path, toml: &str) -> Self {
        Self::start_limited(dir, toml, Limits::default())
    }

    /// The same for a daemon that may use only so much.
    ///
    /// # Panics
    /// When it doesn't start; the message holds its log.
    #[track_caller]
    pub fn start_limited(dir: &Path, toml: &str, limits: Limits) -> Self {
        let mut vand = Self::launch(dir, toml, limits, None);
        vand.wait_ready();
        vand
    }

    /// The same for a daemon whose wall clock is another than the machine's.
    ///
    /// # Panics
    /// When it doesn't start; the message holds its log.
    #[track_caller]
    pub fn start_with_clock(dir: &Path, toml: &str, clock: &Clock) -> Self {
        let mut vand = Self::launch(dir, toml, Limits::default(), Some(clock.clone()));
        vand.wait_ready();
        vand
    }

    /// Starts a daemon that is not expected to come up, and waits for its end.
    ///
    /// # Panics
    /// When it is still there after the deadline.
    #[track_caller]
    pub fn refused(dir: &Path, toml: &str) -> (ExitStatus, String) {
        let mut vand = Self::launch(dir, toml, Limits::default(), None);
        let status = vand.process.wait(DEADLINE);
        (status, vand.process.output())
    }

    fn launch(dir: &Path, toml: &str, limits: Limits, clock: Option<Clock>) -> Self {
        fs::create_dir_all(dir).expect("the test's folder can be written");
        fs::write(dir.join("vand.toml"), toml).expect("the test's folder can be written");
        let command = command(dir, limits, clock.as_ref());
        let process = Process::start(command, &dir.join("vand.log"));
        Self { dir: dir.into(), limits, clock, process }
    }

    #[track_caller]
    fn wait_ready(&mut self) {
        let socket = self.socket();
        let process = &mut self.process;
        wait_until(DEADLINE, "the daemon's socket answered", || {
            if let Some(status) = process.status() {
                panic!("the daemon ended ({status}) instead of starting:\n{}", process.output());
            }
            ask(&socket, "/v1/status").is_some_and(|(status, _)| status == 200)
        });
        if let Some(clock) = &self.clock {
            clock.clean(self.process.id());
        }
    }

    /// Ends it as a crash would.
    ///
    /// # Panics
    /// When it had ended already.
    #[track_caller]
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same state with the configuration that lies there now.
    ///
    /// # Panics
    /// When it still runs, or doesn't start.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.relaunch();
        self.wait_ready();
    }

    /// The same without waiting for its socket.
    ///
    /// # Panics
    /// When it still runs.
    #[track_caller]
    pub fn relaunch(&mut self) {
        assert!(self.process.status().is_some(), "the daemon still runs");
        let command = command(&self.dir, self.limits, self.clock.as_ref());
        self.process = Process::start(command, &self.dir.join("vand.log"));
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Panics
    /// When it doesn't end within `deadline`.
    #[track_caller]
    pub fn terminate(&mut self, deadline: Duration) -> ExitStatus {
        self.process.signal(Signal::SIGTERM);
        self.process.wait(deadline)
    }

    /// Replaces its configuration and asks it to read it (SIGHUP).
    ///
    /// # Panics
    /// When it has ended.
    #[track_caller]
    pub fn reload(&mut self, toml: &str) {
        fs::write(self.dir.join("vand.toml"), toml).expect("the test's folder can be written");
        self.process.signal(Signal::SIGHUP);
    }

    /// The process itself.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its folder of state, as the daemon sees it.
    pub fn state_dir(&self) -> PathBuf {
        let state = self.dir.join("state");
        if self.limits.state_bytes.is_none() {
            return state;
        }
        let inside = state.strip_prefix("/").expect("the test's folder is absolute");
        Path::new("/proc").join(self.process.id().to_string()).join("root").join(inside)
    }

    /// Makes its state read-only, or writable again: a mount over the folder, since a file system
    /// on which a file is open for writing can't be changed itself.
    ///
    /// # Panics
    /// When its state has no file system of its own, or that fails.
    #[track_caller]
    pub fn set_state_writable(&self, writable: bool) {
        assert!(self.limits.state_bytes.is_some(), "the state lies in an ordinary folder");
        let mut command = bare("nsenter");
        command.args(["--target", &self.process.id().to_string(), "--mount"]);
        if !nix::unistd::geteuid().is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        let script = match writable {
            true => "umount \"$0\"",
            false => "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\"",
        };
        command.args(["sh", "-c", script]).arg(self.dir.join("state"));
        let _done = Ran::of(command, b"").ok();
    }

    /// The socket of its API.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("run/vand.sock")
    }

    /// Everything that it logged, also before it was started again.
    pub fn log(&self) -> String {
        self.process.output()
    }

    /// Its client.
    pub fn vanctl(&self) -> Vanctl {
        Vanctl::new(&self.socket())
    }

    /// Runs one command of its client.
    ///
    /// # Panics
    /// When the client can't be started or doesn't end.
    #[track_caller]
    pub fn ctl(&self, line: &str) -> Ran {
        self.vanctl().run(line)
    }

    /// What its API answers to a GET: the HTTP status and the document. `None`: nothing.
    pub fn get(&self, path: &str) -> Option<(u16, Value)> {
        ask(&self.socket(), path)
    }

    /// Makes a token, in `FOLDER/NAME.token`.
    ///
    /// # Panics
    /// When it can't.
    #[track_caller]
    pub fn token(&self, name: &str, options: &str) -> PathBuf {
        let path = self.dir.join(format!("{name}.token"));
        self.ctl(&format!("token create {} --name {name} {options}", path.display())).ok();
        path
    }

    /// Waits until a link is connected.
    ///
    /// # Panics
    /// When it doesn't get so.
    #[track_caller]
    pub fn wait_linked(&self) {
        let linked = |status: Value| status["links_up"].as_u64().is_some_and(|n| n > 0);
        wait_until(DEADLINE, "a link was up", || {
            self.get("/v1/status").is_some_and(|(_, status)| linked(status))
        });
    }
}

/// The command of a daemon whose folder is `dir`.
fn command(dir: &Path, limits: Limits, clock: Option<&Clock>) -> Command {
    let vand = vand_binary();
    let mut command = if limits.descriptors.is_some() || limits.state_bytes.is_some() {
        confined(dir, limits, &vand)
    } else {
        bare(vand)
    };
    if let Some(clock) = clock {
        clock.apply(&mut command);
    }
    // Several sites share this host's addresses; routes are changed in namespaces of their own only.
    let toml = dir.join("vand.toml");
    if !fs::read_to_string(&toml).is_ok_and(|text| text.contains("subnet")) {
        command.env("VAND_SERVICES__SUBNET", "127.77.0.0/16");
    }
    command.arg("run").arg("--config").arg(dir.join("vand.toml"));
    command.arg("--state-dir").arg(dir.join("state"));
    command.arg("--runtime-dir").arg(dir.join("run"));
    command
}

/// A shell that takes the limits on and becomes the daemon, so that the process id is the daemon's.
fn confined(dir: &Path, limits: Limits, vand: &Path) -> Command {
    let mut command = match limits.state_bytes {
        None => bare("sh"),
        Some(_) => {
            let mut command = bare("unshare");
            if !nix::unistd::geteuid().is_root() {
                command.args(["--user", "--map-root-user"]);
            }
            command.args(["--mount", "sh"]);
            command
        }
    };
    let mut script = String::from("set -e; ");
    if let Some(bytes) = limits.state_bytes {
        let state = dir.join("state");
        fs::create_dir_all(&state).expect("the test's folder can be written");
        script += &format!("mount -t tmpfs -o size={bytes},mode=0700 van '{}'; ", state.display());
    }
    if let Some(descriptors) = limits.descriptors {
        script += &format!("ulimit -n {descriptors}; ");
    }
    script += "exec \"$0\" \"$@\"";
    command.arg("-c").arg(script).arg(vand);
    command
}

/// One GET over a socket, as plainly as may be: these tests are also of the server.
fn ask(socket: &Path, path: &str) -> Option<(u16, Value)> {
    let mut stream = UnixStream::connect(socket).ok()?;
    let timeout = Some(Duration::from_secs(10));
    stream.set_read_timeout(timeout).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: vand\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(body).ok()?))
}
