//! A podman of the test's own, on a host of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use van_testkit::{DEADLINE, Host, Lab, Process, Ran, program, wait_until};

/// What every container serves, and where.
pub(crate) const PORT: u16 = 8080;

/// podman on a host: its containers and folders are in namespaces that go with it.
pub(crate) struct Engine {
    pub(crate) host: Host,
    dir: PathBuf,
    /// The first process of the namespaces, by whose end everything in them ends.
    init: Process,
    service: Option<Process>,
}

impl Engine {
    /// Makes the images; nobody serves the API yet.
    ///
    /// # Panics
    /// Where podman can't run; the message says what it needs.
    pub(crate) fn new(lab: &Lab, host: &Host) -> Self {
        let dir = lab.dir().join("podman");
        fs::create_dir_all(&dir).unwrap();
        let mut command = program("unshare", "util-linux");
        command.args([
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "sleep",
            "1000000",
        ]);
        let init = host.start(command, &dir.join("init.log"));
        let engine = Self { host: host.clone(), dir, init, service: None };
        wait_until(DEADLINE, "the namespaces were there", || engine.first().is_some());
        for (tool, package) in
            [("runc", "runc"), ("iptables", "iptables"), ("/usr/lib/podman/netavark", "netavark")]
        {
            assert!(
                Path::new(tool).exists() || tool_exists(tool),
                "{tool} is not installed: run `apt-get install {package}` (`make test` does)"
            );
        }
        engine.configure();
        engine.build("served", "");
        engine.build("localhost/pause", "ENTRYPOINT [\"/bin/busybox\", \"sleep\", \"1000000\"]\n");
        engine.keep_bridge();
        engine
    }

    /// Gives the bridge one address for as long as the test lasts. By itself it has the least of its
    /// ports' and changes it as containers come and go, while those that are there send to the one
    /// before for half a minute.
    fn keep_bridge(&self) {
        let keeper = ["run", "--detach", "--name", "keeper", "localhost/pause"];
        let _id = self.run(&keeper);
        let mut ip = program("ip", "iproute2");
        ip.args(["link", "set", "podman0", "address", "02:00:00:00:00:01"]);
        let _done = self.host.run(ip, b"").ok();
    }

    /// The first process in the namespaces.
    fn first(&self) -> Option<String> {
        let id = self.init.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
        children.split_whitespace().next().map(ToOwned::to_owned)
    }

    fn configure(&self) {
        let networks = self.dir.join("networks");
        // No limit asks for rights that a machine of tests may lack, and no other podman's networks
        // are touched.
        let conf = format!(
            "[containers]\ndefault_ulimits = [\"nofile=1024:4096\", \"nproc=1000:1000\"]\n\
             pids_limit = 0\n[engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\n\
             events_logger = \"file\"\ninfra_image = \"localhost/pause\"\ninfra_command = \"\"\n\
             [network]\nnetwork_backend = \"netavark\"\nnetwork_config_dir = \"{}\"\n",
            networks.display()
        );
        fs::write(self.dir.join("containers.conf"), conf).unwrap();
    }

    fn build(&self, name: &str, rest: &str) {
        let folder = self.dir.join("image");
        fs::create_dir_all(&folder).unwrap();
        let busybox = program("busybox", "busybox-static");
        fs::copy(busybox.get_program(), folder.join("busybox")).unwrap();
        fs::write(
            folder.join("Containerfile"),
            format!("FROM scratch\nCOPY busybox /bin/busybox\n{rest}"),
        )
        .unwrap();
        let _id = self.run(&["build", "--quiet", "--tag", name, folder.to_str().unwrap()]);
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = program("nsenter", "util-linux");
        let podman = program("podman", "podman");
        command.args(["--target", &self.first().unwrap(), "--mount", "--pid"]);
        // It ends with whoever entered the namespaces for it.
        let tied = program("setpriv", "util-linux");
        command.arg(tied.get_program()).args(["--pdeathsig", "KILL"]);
        command.arg(podman.get_program());
        for (option, folder) in [("--root", "root"), ("--runroot", "runroot"), ("--tmpdir", "tmp")]
        {
            command.arg(option).arg(self.dir.join(folder));
        }
        command.args(words);
        command.env("CONTAINERS_CONF", self.dir.join("containers.conf"));
        command.env("HOME", &self.dir);
        command
    }

    /// Runs podman to its end and gives what it said.
    #[track_caller]
    pub(crate) fn run(&self, words: &[&str]) -> String {
        self.host.run(self.command(words), b"").ok()
    }

    /// The same where podman may refuse.
    pub(crate) fn try_run(&self, words: &[&str]) -> Ran {
        self.host.run(self.command(words), b"")
    }

    /// Starts a web server that answers with its container's name.
    #[track_caller]
    pub(crate) fn serve(&self, name: &str, options: &[&str]) {
        let script = format!(
            "busybox mkdir -p /www; echo {name} >/www/index.html; \
             exec busybox httpd -f -p {PORT} -h /www"
        );
        let fixed = ["run", "--detach", "--stop-signal", "KILL", "--name", name];
        let command = ["served", "/bin/busybox", "sh", "-c", &script];
        let _id = self.run(&[&fixed, options, &command].concat());
    }

    /// Where its API is.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join("podman.sock")
    }

    /// Starts to serve the API.
    pub(crate) fn start_service(&mut self) {
        let socket = format!("unix://{}", self.socket().display());
        let command = self.command(&["system", "service", "--time", "0", &socket]);
        self.service = Some(self.host.start(command, &self.dir.join("service.log")));
        wait_until(DEADLINE, "podman served its API", || self.socket().exists());
    }

    /// Ends that as a crash would; containers go on.
    pub(crate) fn kill_service(&mut self) {
        self.service = None;
        let _gone = fs::remove_file(self.socket());
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.kill_service();
        if !std::thread::panicking() {
            let _none_may_be_left = self.try_run(&["rm", "--all", "--force", "--time", "0"]);
        }
    }
}

fn tool_exists(tool: &str) -> bool {
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().any(|dir| Path::new(dir).join(tool).exists())
}
