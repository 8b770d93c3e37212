//! A host of a test: a network namespace.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::client::Ran;
use crate::process::{Process, bare};
use crate::wait::wait_until;

/// Where `ip netns` keeps its namespaces.
pub(crate) const NAMESPACES: &str = "/run/netns";

/// What every host begins with: a set of devices by which nothing arrives.
const SILENCE: &str = "table inet lab {
    set silent { type ifname; }
    chain arriving { type filter hook prerouting priority -300; iifname @silent drop; }
}";

/// A host: a network namespace with its own devices, loopback ports, routes and firewall.
///
/// Clones are the same host. It goes with its [`crate::Lab`].
#[derive(Debug, Clone)]
pub struct Host(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    namespace: String,
    addresses: Mutex<Vec<Ipv4Addr>>,
}

impl Host {
    /// Makes the namespace.
    #[track_caller]
    pub(crate) fn new(name: &str, namespace: String) -> Self {
        ip(&["netns", "add", &namespace], "");
        let addresses = Mutex::default();
        let host = Self(Arc::new(Inner { name: name.into(), namespace, addresses }));
        host.ip("link set lo up");
        host.firewall(SILENCE);
        host
    }

    /// Its name in the test.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The name of its namespace.
    pub(crate) fn namespace(&self) -> &str {
        &self.0.namespace
    }

    /// The file that stands for the namespace.
    pub(crate) fn path(&self) -> PathBuf {
        Path::new(NAMESPACES).join(&self.0.namespace)
    }

    /// Its addresses on its cables.
    pub fn addresses(&self) -> Vec<Ipv4Addr> {
        self.0.addresses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn add_address(&self, address: Ipv4Addr) {
        self.0.addresses.lock().unwrap_or_else(PoisonError::into_inner).push(address);
    }

    /// Does something on this host: sockets that are made, programs and threads that are started
    /// are the host's for as long as they live.
    ///
    /// # Panics
    /// When `work` does, or the namespace can't be entered.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        // A thread of its own, since a namespace is entered for good.
        std::thread::scope(|scope| {
            let entered = scope.spawn(|| {
                let path = self.path();
                let file = File::open(&path);
                let file = file.unwrap_or_else(|e| panic!("can't open {}: {e}", path.display()));
                setns(file, CloneFlags::CLONE_NEWNET)
                    .unwrap_or_else(|e| panic!("can't enter {}: {e}", path.display()));
                work()
            });
            entered.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// Starts a program that writes to `log`.
    ///
    /// # Panics
    /// When it can't be started.
    #[track_caller]
    pub fn start(&self, command: Command, log: &Path) -> Process {
        self.within(|| Process::start(command, log))
    }

    /// Runs a program to its end with `input` on its standard input.
    ///
    /// # Panics
    /// When it can't be started or doesn't end within a minute.
    #[track_caller]
    pub fn run(&self, command: Command, input: &[u8]) -> Ran {
        self.within(|| Ran::of(command, input))
    }

    /// Runs a script of nft.
    ///
    /// # Panics
    /// When nft refuses it.
    #[track_caller]
    pub fn firewall(&self, script: &str) {
        let mut nft = program("nft", "nftables");
        nft.args(["-f", "-"]);
        let _done = self.run(nft, script.as_bytes()).ok();
    }

    /// Lets nobody open a connection to this host from outside; what it opens itself works.
    ///
    /// # Panics
    /// When nft refuses it.
    #[track_caller]
    pub fn only_dials(&self) {
        self.firewall(
            "table inet guard {
                chain in { type filter hook input priority 0; iifname != lo ct state new drop; }
            }",
        );
    }

    /// Sends what is for elsewhere to a neighbour.
    ///
    /// # Panics
    /// When the neighbour is no neighbour.
    #[track_caller]
    pub fn route_by(&self, gateway: Ipv4Addr) {
        self.ip(&format!("route add default via {gateway}"));
    }

    /// Makes it a router: it forwards what is for others.
    ///
    /// # Panics
    /// When the kernel refuses it.
    #[track_caller]
    pub fn forward(&self) {
        self.set("net/ipv4/ip_forward", "1");
    }

    /// Sets a switch of its kernel, as `net/ipv4/ip_forward`.
    ///
    /// # Panics
    /// When the kernel refuses it.
    #[track_caller]
    pub fn set(&self, switch: &str, value: &str) {
        let path = Path::new("/proc/sys").join(switch);
        let set = self.within(|| fs::write(&path, value));
        set.unwrap_or_else(|e| panic!("can't set {} to {value}: {e}", path.display()));
    }

    /// Runs a command of `ip` on this host.
    #[track_caller]
    pub(crate) fn ip(&self, line: &str) {
        ip(&["-n", self.namespace(), "-batch", "-"], line);
    }
}

/// Runs `ip` with lines on its standard input.
///
/// # Panics
/// When it fails; the message says what it needs.
#[track_caller]
pub(crate) fn ip(arguments: &[&str], lines: &str) {
    let mut command = program("ip", "iproute2");
    command.args(arguments);
    let ran = Ran::of(command, format!("{lines}\n").as_bytes());
    assert!(
        ran.status == 0,
        "ip {arguments:?} {lines:?} failed: {}network namespaces need root, or CAP_NET_ADMIN and \
         CAP_SYS_ADMIN: run `sudo make test`",
        ran.stderr
    );
}

/// A command of a program that must be installed, with no environment but the search path.
///
/// # Panics
/// When it isn't; the message names the Debian package that has it.
#[track_caller]
pub fn program(name: &str, package: &str) -> Command {
    // Servers lie where only root looks for them.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/local/sbin:/usr/sbin:/sbin";
    let found = path.split(':').map(|dir| Path::new(dir).join(name)).find(|file| file.is_file());
    let found = found.unwrap_or_else(|| {
        panic!("{name} is not installed: run `apt-get install {package}` (`make test` does)")
    });
    bare(found)
}

/// Ends what still runs in a namespace and takes it away.
pub(crate) fn remove(namespace: &str) {
    for id in processes(namespace) {
        // It may end by itself in between, which is as good.
        let _gone = kill(id, Signal::SIGKILL);
    }
    let mut command = program("ip", "iproute2");
    command.args(["netns", "del", namespace]);
    // Another run may sweep at the same time.
    let _gone = Ran::of(command, b"");
}

fn processes(namespace: &str) -> Vec<Pid> {
    let mut command = program("ip", "iproute2");
    command.args(["netns", "pids", namespace]);
    let ids = Ran::of(command, b"").stdout;
    ids.lines().filter_map(|id| id.trim().parse().ok()).map(Pid::from_raw).collect()
}

/// Waits until a port of this host, on its loopback address, takes connections.
///
/// # Panics
/// When it doesn't within `deadline`.
#[track_caller]
pub fn wait_for_port(host: &Host, port: u16, deadline: Duration) {
    let place = ([127, 0, 0, 1], port);
    wait_until(deadline, &format!("port {port} was open at {}", host.name()), || {
        host.within(|| std::net::TcpStream::connect(std::net::SocketAddr::from(place)).is_ok())
    });
}
