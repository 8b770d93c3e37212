//! What systemd gives the daemon and hears of it: sockets, credentials, readiness, the watchdog.
//! The protocol alone; units on booted hosts are the laboratory's (`tests/lab`).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use van_testkit::{
    DEADLINE, Echo, Process, Sites, TempDir, Vanctl, free_port, temp_dir, vand_binary, wait_until,
};

/// A daemon as a unit starts it.
struct Unit {
    dir: TempDir,
    notices: UnixDatagram,
    heard: Vec<String>,
    process: Option<Process>,
}

impl Unit {
    fn new(toml: &str) -> Self {
        let dir = temp_dir();
        fs::write(dir.path().join("vand.toml"), toml).unwrap();
        let notices = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        notices.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { dir, notices, heard: Vec::new(), process: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts it with a socket as its descriptor 3, as systemd does (sd_listen_fds(3)).
    fn start(&mut self, socket: Option<(&str, OwnedFd)>, environment: &[(&str, &Path)]) {
        let mut command = Command::new("sh");
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("VAND_SERVICES__IMPORT", "[]").env("NOTIFY_SOCKET", self.path("notify"));
        command.env("WATCHDOG_USEC", "1000000").envs(environment.iter().copied());
        let script = match socket {
            None => {
                command.stdin(Stdio::null());
                "export WATCHDOG_PID=$$; exec \"$@\""
            }
            Some((name, socket)) => {
                command.stdin(socket).env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", name);
                "export LISTEN_PID=$$ WATCHDOG_PID=$$; exec \"$@\" 3<&0 0</dev/null"
            }
        };
        command.args(["-c", script, "sh"]).arg(vand_binary()).arg("run");
        command.arg("--config").arg(self.path("vand.toml"));
        command.arg("--state-dir").arg(self.path("state"));
        command.arg("--runtime-dir").arg(self.path("run"));
        self.process = Some(Process::start_as_is(command, &self.path("log")));
    }

    fn process(&mut self) -> &mut Process {
        self.process.as_mut().unwrap()
    }

    /// Waits until systemd hears a line that fits.
    #[track_caller]
    fn hears(&mut self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        loop {
            if let Some(at) = self.heard.iter().position(|line| fits(line)) {
                return self.heard.drain(..=at).next_back().unwrap();
            }
            let mut message = [0; 4096];
            let Ok(length) = self.notices.recv(&mut message) else {
                panic!("systemd never heard {what}:\n{}", self.process().output());
            };
            let text = String::from_utf8(message[..length].to_vec()).unwrap();
            self.heard.extend(text.lines().map(str::to_owned));
        }
    }

    fn vanctl(&self) -> Vanctl {
        Vanctl::new(&self.path("run/vand.sock"))
    }
}

const HERE: &str = "[site]\nname = \"here\"\n";

#[test]
fn systemd_hears_of_readiness_status_reloads_and_the_end() {
    let mut unit = Unit::new(HERE);
    unit.start(None, &[]);
    unit.hears("that it is ready", |line| line == "READY=1");
    unit.hears("its status", |line| line == "STATUS=0 links up, 0 services, 0 warnings");
    for _ in 0..2 {
        unit.hears("that it lives", |line| line == "WATCHDOG=1");
    }
    let listener = format!("listener create web 127.0.0.1:{} --wait 0", free_port());
    unit.vanctl().run(&listener).ok();
    unit.hears("the new status", |line| line.contains(", 1 service,"));

    fs::write(unit.path("vand.toml"), "[site]\nnmae = \"x\"\n").unwrap();
    unit.process().signal(Signal::SIGHUP);
    unit.hears("the reload", |line| line == "RELOADING=1");
    unit.hears("since when", |line| line.starts_with("MONOTONIC_USEC="));
    unit.hears("the end of the reload", |line| line == "READY=1");
    unit.hears("that it was refused", |line| line.starts_with("STATUS=reload refused: "));

    unit.process().signal(Signal::SIGTERM);
    unit.hears("the stop", |line| line == "STOPPING=1");
    assert!(unit.process().wait(DEADLINE).success());
}

#[test]
fn services_that_appear_by_themselves_are_counted() {
    let echo = Echo::start();
    let sites = Sites::start("");
    sites.public.ctl(&format!("expose 127.0.0.1:{} --address echo", echo.port())).ok();
    let token = sites.public.token("t", "");
    let mut unit =
        Unit::new(&format!("{HERE}[[link]]\nname = \"up\"\ntoken = \"{}\"\n", token.display()));
    let all = [("IMPORT", "[\"*\"]"), ("SUBNET", "127.77.0.0/16")];
    let all = all.map(|(key, value)| (format!("VAND_SERVICES__{key}"), PathBuf::from(value)));
    let all: Vec<_> = all.iter().map(|(key, value)| (key.as_str(), value.as_path())).collect();
    unit.start(None, &all);
    unit.hears("of the service", |line| line == "STATUS=1 link up, 1 service, 0 warnings");
    let status = unit.vanctl().run("status -o json").json();
    assert_eq!((&status["services_used"], &status["services_offered"]), (&1.into(), &0.into()));
    unit.process().kill();
}

#[test]
fn clients_of_a_handed_socket_are_served_over_a_restart_and_none_is_refused() {
    let echo = Echo::start();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    // The name decides: systemd's port may be another than the configured one.
    let toml = format!(
        "{HERE}[[listener]]\nname = \"web\"\nbind = \"127.0.0.1:{}\"\n[[connector]]\nname = \"web\"\n\
         target = \"127.0.0.1:{}\"\n",
        free_port(),
        echo.port()
    );
    let mut unit = Unit::new(&toml);
    let talk = move || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(b"hello\n").unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        assert_eq!(line, "hello\n");
    };
    for _ in 0..2 {
        // Before the daemon is there, clients wait in the socket.
        let early = std::thread::spawn(talk);
        unit.start(Some(("web", socket.try_clone().unwrap().into())), &[]);
        unit.hears("that it is ready", |line| line == "READY=1");
        early.join().unwrap();
        talk();
        let shown = unit.vanctl().run("listener status web -o json").ok();
        assert!(shown.contains(&format!("127.0.0.1:{port}")), "{shown}");
        unit.process().signal(Signal::SIGTERM);
        assert!(unit.process().wait(DEADLINE).success());
    }
}

#[test]
fn links_come_over_a_handed_socket_and_strange_ones_are_told() {
    let sites = Sites::start("");
    let laptop = sites.other("laptop", "");
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = socket.local_addr().unwrap();
    let mut unit = Unit::new(&format!("{HERE}[accept]\nlisten = [\"{place}\"]\n"));
    unit.start(Some(("accept", socket.try_clone().unwrap().into())), &[]);
    unit.hears("that it is ready", |line| line == "READY=1");
    let token = unit.path("token");
    unit.vanctl().run(&format!("token create {}", token.display())).ok();
    laptop.ctl(&format!("link create {}", token.display())).ok();
    unit.process().kill();

    let mut other = Unit::new(HERE);
    other.start(Some(("odd", socket.into())), &[]);
    other.hears("that it is ready", |line| line == "READY=1");
    let events = other.vanctl().run("events").ok();
    assert!(events.contains("SocketUnused") && events.contains("odd"), "{events}");
    other.process().kill();
}

#[test]
fn the_api_answers_at_a_handed_socket_which_stays() {
    let mut unit = Unit::new(HERE);
    let path = unit.path("api.sock");
    let socket = UnixListener::bind(&path).unwrap();
    unit.start(Some(("api", socket.try_clone().unwrap().into())), &[]);
    unit.hears("that it is ready", |line| line == "READY=1");
    Vanctl::new(&path).run("status").ok();
    assert!(!unit.path("run/vand.sock").exists(), "there is one socket");
    unit.process().signal(Signal::SIGTERM);
    assert!(unit.process().wait(DEADLINE).success());
    assert!(path.exists(), "it is systemd's");
}

#[test]
fn a_token_may_be_a_credential() {
    let sites = Sites::start("");
    let token = sites.public.token("t", "");
    let toml = format!("{HERE}[[link]]\nname = \"up\"\ntoken = \"credential:van-token\"\n");
    let mut unit = Unit::new(&toml);
    unit.start(None, &[]);
    let status = unit.process().wait(DEADLINE);
    let log = unit.process().output();
    assert!(!status.success());
    assert!(log.contains("no credential van-token") && log.contains("LoadCredential="), "{log}");

    let folder = unit.path("credentials");
    fs::create_dir(&folder).unwrap();
    fs::rename(&token, folder.join("van-token")).unwrap();
    unit.start(None, &[("CREDENTIALS_DIRECTORY", &folder)]);
    unit.hears("that it is ready", |line| line == "READY=1");
    let linked = || unit.vanctl().run("link status up").ok().contains("Link up is connected");
    wait_until(Duration::from_secs(20), "the link was up", linked);
    unit.process().kill();

    // Redeemed, the credential is not needed any more.
    unit.start(None, &[]);
    unit.hears("that it is ready", |line| line == "READY=1");
    unit.process().kill();
}

#[test]
fn certificates_may_be_credentials() {
    let (port, echo) = (free_port(), Echo::start());
    let toml = format!(
        "{HERE}[[listener]]\nname = \"web\"\naddress = \"web\"\nbind = \"127.0.0.1:{port}\"\n\
         tls = {{ certificate = \"credential:web.crt\", key = \"credential:web.key\" }}\n\
         [[connector]]\nname = \"web\"\naddress = \"web\"\ntarget = \"127.0.0.1:{}\"\n",
        echo.port()
    );
    let mut unit = Unit::new(&toml);
    unit.start(None, &[]);
    unit.hears("that it is ready", |line| line == "READY=1");
    let told = unit.vanctl().run("listener status web -o json").ok();
    assert!(told.contains("LoadCredential=web.crt:"), "{told}");
    unit.process().kill();

    let folder = unit.path("credentials");
    fs::create_dir(&folder).unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["web.example".to_owned()]).unwrap();
    fs::write(folder.join("web.crt"), made.cert.pem()).unwrap();
    fs::write(folder.join("web.key"), made.signing_key.serialize_pem()).unwrap();
    unit.start(None, &[("CREDENTIALS_DIRECTORY", &folder)]);
    unit.hears("that it is ready", |line| line == "READY=1");
    let shown = || {
        let client = Command::new("openssl")
            .args(["s_client", "-servername", "web.example", "-verify_return_error", "-CAfile"])
            .arg(folder.join("web.crt"))
            .args(["-connect", &format!("127.0.0.1:{port}")])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8_lossy(&client.stdout).contains("Verification: OK")
    };
    wait_until(DEADLINE, "clients were shown the certificate", shown);
    unit.process().kill();
}
