//! The running system of a host.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::sys::signal::Signal;
use van_testkit::{Process, program, wait_until};

/// The longest that a boot may take, on a machine that does much else.
const BOOT: Duration = Duration::from_secs(90);

/// The longest that an orderly end may take.
const HALT: Duration = Duration::from_secs(60);

/// What a system is booted from and in.
pub(crate) struct Machine<'a> {
    pub(crate) id: &'a str,
    pub(crate) folder: &'a Path,
    pub(crate) root: &'a Path,
}

/// A system that runs.
#[derive(Debug)]
pub(crate) struct Running {
    nspawn: Process,
    group: PathBuf,
    leader: u32,
}

impl Running {
    /// Boots, and waits until everything that starts with the host has.
    pub(crate) fn boot(machine: &Machine<'_>) -> Self {
        // Two systems in one group would take each other's.
        let group = Path::new("/sys/fs/cgroup").join(machine.id);
        fs::create_dir_all(&group).expect("the capsule's groups can be written");
        let socket = machine.folder.join("notify");
        let told = listen(&socket);
        let log = machine.folder.join("console.log");
        let mut nspawn = Process::start(command(machine, &group, &socket), &log);
        let mut leader = None;
        let mut ready = false;
        wait_until(BOOT, &format!("{} booted", machine.id), || {
            for line in told.try_iter() {
                ready |= line == "READY=1";
                let id = line.strip_prefix("X_NSPAWN_LEADER_PID=");
                leader = leader.or_else(|| id.and_then(|id| id.parse().ok()));
            }
            if let Some(status) = nspawn.status() {
                panic!("{} ended ({status}) instead of booting:\n{}", machine.id, nspawn.output());
            }
            ready
        });
        Self { nspawn, group, leader: leader.expect("systemd-nspawn names it before it is ready") }
    }

    /// A command that runs on the host, with an operator's environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        // In the host's own group: logind serves nobody from outside.
        let scope = self.group.join("payload/laboratory.scope");
        let script = "mkdir -p \"$0\" && echo $$ >\"$0/cgroup.procs\" && exec \"$@\"";
        let mut command = program("sh", "dash");
        command.args(["-c", script]).arg(scope);
        command.args(["nsenter", "--target", &self.leader.to_string()]);
        command.args(["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--"]);
        command.args(["env", "-i", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb"]);
        command.arg("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.args(arguments);
        command
    }

    /// Switches off in order.
    pub(crate) fn halt(mut self) {
        self.nspawn.signal(Signal::SIGTERM);
        let _status = self.nspawn.wait(HALT);
        self.tidy();
    }

    /// Ends every process at once, as without power.
    pub(crate) fn cut(mut self) {
        fs::write(self.group.join("cgroup.kill"), "1").expect("an own group can be ended");
        let _status = self.nspawn.wait(HALT);
        self.tidy();
    }

    fn tidy(&self) {
        let gone = || {
            let mut find = program("find", "findutils");
            find.arg(&self.group).args(["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"]);
            let _some_may_be_left = van_testkit::Ran::of(find, b"");
            !self.group.exists()
        };
        wait_until(HALT, "the host's processes had gone", gone);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may be gone in order already.
        let _gone = fs::write(self.group.join("cgroup.kill"), "1");
    }
}

/// Reads what a system tells for as long as it runs: one that isn't heard stops talking, and with
/// that starting units.
fn listen(path: &Path) -> Receiver<String> {
    // The last boot's.
    let _absent = fs::remove_file(path);
    let socket = UnixDatagram::bind(path).expect("the laboratory's folder can be written");
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let mut message = [0; 4096];
        while let Ok(length) = socket.recv(&mut message) {
            for line in String::from_utf8_lossy(&message[..length]).lines() {
                // Nobody asks any more once it has booted.
                let _unheard = tell.send(line.to_owned());
            }
        }
    });
    told
}

fn command(machine: &Machine<'_>, group: &Path, notify: &Path) -> Command {
    let nspawn = program("systemd-nspawn", "systemd-container");
    let mut command = program("sh", "dash");
    command.args(["-c", "echo $$ >\"$0/cgroup.procs\" && exec \"$@\""]).arg(group);
    command.arg(nspawn.get_program());
    command.args(["--quiet", "--boot", "--register=no", "--keep-unit", "--notify-ready=yes"]);
    command.args(["--console=pipe", "--link-journal=no", "--resolv-conf=off", "--timezone=off"]);
    command.args(["--kill-signal=SIGRTMIN+3", "--capability=all"]);
    command.args(["--system-call-filter=@keyring bpf", "--bind=/dev/fuse", "--bind=/dev/net/tun"]);
    command.arg(format!("--machine={}", machine.id));
    command.arg(format!("--directory={}", machine.root.display()));
    command.arg(format!("--network-namespace-path=/run/netns/{}", machine.id));
    // Layers on layers don't work, and containers are layers.
    let folder = machine.folder.display();
    command.arg(format!("--bind={folder}/containers:/var/lib/containers"));
    command.arg(format!("--bind={folder}/home:/home"));
    command.env("NOTIFY_SOCKET", notify);
    // The host's containers have networks, which are made by writing there.
    command.env("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "network");
    command
}
