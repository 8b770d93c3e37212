//! A host: a disk, cards, and a system that can be switched on and off.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use van_testkit::{Process, Ran, program, run};

use crate::boot::{Machine, Running};
use crate::lab::Lab;
use crate::network::{Segment, ip, namespace};

/// The user of a host who is not root, as the root is built.
const USER_ID: u32 = 1000;

/// The longest that one command may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A host of a [`Lab`].
#[derive(Debug)]
pub struct Host {
    name: String,
    id: String,
    folder: PathBuf,
    address: String,
    gateway: Option<String>,
    running: Option<Running>,
}

impl Host {
    pub(crate) fn new(name: &str, id: &str, folder: PathBuf, address: &str) -> Self {
        for part in ["upper", "work", "root", "containers", "home/op"] {
            fs::create_dir_all(folder.join(part)).expect("the laboratory's folder can be written");
        }
        let mut mount = program("mount", "mount");
        mount.args(["-t", "overlay", "overlay", "-o"]);
        let place = folder.display();
        let root = Lab::root();
        let layers =
            format!("lowerdir={},upperdir={place}/upper,workdir={place}/work", root.display());
        mount.arg(layers).arg(folder.join("root"));
        let _done = Ran::of(mount, b"").ok();
        namespace(id);
        let (id, address) = (id.to_owned(), address.to_owned());
        let host = Self { name: name.into(), id, folder, address, gateway: None, running: None };
        host.prepare();
        host
    }

    /// What a host on a shared kernel needs to be like one of its own.
    fn prepare(&self) {
        chown(self.folder.join("home/op"), Some(USER_ID), Some(USER_ID))
            .expect("root may give files away");
        self.write("/etc/hostname", &format!("{}\n", self.name));
        self.write("/etc/machine-id", "");
        // There are no controllers of memory and processes in the capsule.
        self.write("/etc/containers/containers.conf.d/lab.conf", "[containers]\npids_limit = 0\n");
        // The kernel lets users mount a /proc only where a whole one is mounted already.
        let unit = "run-fullproc.mount";
        self.write(
            &format!("/etc/systemd/system/{unit}"),
            "[Mount]\nWhat=proc\nWhere=/run/fullproc\nType=proc\n[Install]\nWantedBy=sysinit.target\n",
        );
        let wants = self.path("/etc/systemd/system/sysinit.target.wants");
        fs::create_dir_all(&wants).expect("the host's disk can be written");
        symlink(format!("../{unit}"), wants.join(unit)).expect("the host's disk can be written");
    }

    pub(crate) fn plug(&mut self, segment: &Segment, address: &str, gateway: Option<&str>) {
        segment.plug(&self.id, "host0", address, gateway);
        self.gateway = gateway.map(str::to_owned);
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A file of it, as seen from outside.
    fn path(&self, inside: &str) -> PathBuf {
        self.folder.join("root").join(inside.trim_start_matches('/'))
    }

    /// Writes a file on its disk, and the folders above it.
    ///
    /// # Panics
    /// When it can't.
    #[track_caller]
    pub fn write(&self, inside: &str, text: &str) {
        let path = self.path(inside);
        let folder = path.parent().expect("a file is in a folder");
        fs::create_dir_all(folder).expect("the host's disk can be written");
        fs::write(&path, text).expect("the host's disk can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))
            .expect("the host's disk can be written");
    }

    /// Copies a file of the machine onto its disk.
    ///
    /// # Panics
    /// When it can't.
    #[track_caller]
    pub fn copy_in(&self, file: &Path, inside: &str) {
        let copied = fs::copy(file, self.path(inside));
        copied.unwrap_or_else(|e| panic!("can't copy {} to {}: {e}", file.display(), self.name));
    }

    /// Copies a folder of the machine onto its disk, below a folder.
    ///
    /// # Panics
    /// When it can't.
    #[track_caller]
    pub fn copy_folder(&self, folder: &Path, inside: &str) {
        let mut copy = program("cp", "coreutils");
        copy.args(["--recursive", "--no-target-directory"]).arg(folder).arg(self.path(inside));
        let _done = Ran::of(copy, b"").ok();
    }

    /// Switches it on.
    ///
    /// # Panics
    /// When it runs already, or doesn't boot.
    #[track_caller]
    pub fn boot(&mut self) {
        assert!(self.running.is_none(), "{} runs already", self.name);
        self.plugged(true);
        let root = self.folder.join("root");
        let machine = Machine { id: &self.id, folder: &self.folder, root: &root };
        self.running = Some(Running::boot(&machine));
    }

    /// Switches it off as an operator does.
    ///
    /// # Panics
    /// When it was off.
    #[track_caller]
    pub fn halt(&mut self) {
        self.running.take().expect("the host runs").halt();
    }

    /// Switches it off and on.
    ///
    /// # Panics
    /// When it was off, or doesn't boot again.
    #[track_caller]
    pub fn reboot(&mut self) {
        self.halt();
        self.boot();
    }

    /// Pulls its plugs: others hear nothing more of it, not even that it is gone.
    ///
    /// # Panics
    /// When it was off.
    #[track_caller]
    pub fn cut_power(&mut self) {
        self.plugged(false);
        self.running.take().expect("the host runs").cut();
    }

    fn plugged(&self, plugged: bool) {
        let to = if plugged { "up" } else { "down" };
        ip(&format!("-n {} link set host0 {to}", self.id));
        if let Some(gateway) = self.gateway.as_deref().filter(|_| plugged) {
            // The route went with the card.
            ip(&format!("-n {} route replace default via {gateway}", self.id));
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        self.running.as_ref().expect("the host runs").command(arguments)
    }

    /// Runs a line of shell as root.
    ///
    /// # Panics
    /// When it doesn't end in time.
    #[track_caller]
    pub fn sh(&self, line: &str) -> Ran {
        ended(self.command(&["sh", "-c", line]))
    }

    /// Runs a line of shell in a login session of the user `op`.
    ///
    /// # Panics
    /// When it doesn't end in time.
    #[track_caller]
    pub fn sh_as_user(&self, line: &str) -> Ran {
        ended(self.command(&["runuser", "-l", "op", "-c", line]))
    }

    /// Starts a line of shell as root, which goes on.
    ///
    /// # Panics
    /// When it can't be started.
    #[track_caller]
    pub fn start(&self, line: &str) -> Process {
        let log = self.folder.join("started.log");
        Process::start(self.command(&["sh", "-c", line]), &log)
    }

    /// One property of a unit.
    ///
    /// # Panics
    /// When systemd doesn't answer.
    #[track_caller]
    pub fn unit(&self, unit: &str, property: &str) -> String {
        let line = format!("systemctl show --value --property={property} {unit}");
        self.sh(&line).ok().trim().to_owned()
    }
}

#[track_caller]
fn ended(command: Command) -> Ran {
    let output = run(command, b"", PATIENCE);
    Ran {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if !std::thread::panicking() || self.running.is_none() {
            return;
        }
        // What the host said last, for whoever reads of the failure.
        let log = self.command(&[
            "journalctl",
            "--no-pager",
            "--quiet",
            "--lines=80",
            "--output=short-precise",
        ]);
        let said = ended(log).stdout;
        let _unheard = write!(std::io::stderr(), "--- the journal of {}\n{said}---\n", self.name);
    }
}
