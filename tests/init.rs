//! `vanctl init` and `vanctl delete` as a user who has no systemd; services on booted hosts are the
//! laboratory's (`tests/lab`).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use van_testkit::{
    DEADLINE, Process, Ran, TempDir, temp_dir, vanctl_binary, vand_binary, wait_until,
};

/// Whom root becomes.
const NOBODY: u32 = 65534;

/// A user with a home of their own.
struct User {
    home: TempDir,
}

impl User {
    fn new() -> Self {
        let home = temp_dir();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let user = Self { home };
        user.owns(user.home.path());
        user
    }

    /// Gives a file to the user.
    fn owns(&self, path: &Path) {
        if nix::unistd::geteuid().is_root() {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn config(&self) -> PathBuf {
        self.path(".config/vand/vand.toml")
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("HOME", self.home.path()).env("XDG_RUNTIME_DIR", self.path("run"));
        command.env("VAND_SERVICES__IMPORT", "[]").current_dir(self.home.path());
        if nix::unistd::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    fn vanctl(&self, line: &str) -> Ran {
        let mut command = self.command(&vanctl_binary());
        // The host's own site, where there is one, is none of the test's.
        command.env("VANCTL_URL", format!("unix://{}", self.path("run/vand/vand.sock").display()));
        command.args(line.split_whitespace());
        Ran::of(command, b"")
    }

    fn vand(&self) -> Process {
        let mut command = self.command(&vand_binary());
        command.arg("run");
        let process = Process::start(command, &self.path("log"));
        wait_until(DEADLINE, "the daemon answered", || self.vanctl("status").status == 0);
        process
    }

    fn stop(process: &mut Process) {
        process.signal(Signal::SIGTERM);
        assert!(process.wait(DEADLINE).success());
    }
}

#[test]
fn a_site_is_made_and_changed_in_place_and_taken_away() {
    let user = User::new();
    let plan = user.vanctl("init --site-name first --dry-run").ok();
    assert!(plan.contains("[site]\nname = \"first\"\n"), "{plan}");
    assert!(!user.config().exists());

    let said = user.vanctl("init --id first").ok();
    assert!(said.contains("vand.toml written: site.name = \"first\""), "{said}");
    assert!(said.contains("vand run"), "there is no systemd for this user: {said}");
    let meta = fs::metadata(user.config()).unwrap();
    assert_eq!(meta.mode() & 0o7777, 0o644);
    let mut process = user.vand();
    assert_eq!(user.vanctl("-o json status").json()["name"], "first");

    let text = fs::read_to_string(user.config()).unwrap();
    let said = user.vanctl("init").ok();
    assert!(said.contains("nothing to do") && said.contains("site \"first\""), "{said}");
    assert_eq!(fs::read_to_string(user.config()).unwrap(), text);
    fs::write(user.config(), format!("# mine\n{text}")).unwrap();
    let said = user.vanctl("init --site-name second --mode edge --enable-flow-collector").ok();
    assert!(said.contains("site.name = \"second\", was \"first\"; site.mode = \"edge\""), "{said}");
    assert!(said.contains("site \"second\" in edge mode"), "{said}");
    assert!(fs::read_to_string(user.config()).unwrap().starts_with("# mine\n"));
    let status = user.vanctl("-o json init").json();
    assert_eq!((&status["name"], &status["mode"]), (&"second".into(), &"edge".into()));

    let runs = user.vanctl("delete --yes").fails(1);
    assert!(runs.contains("a daemon still runs"), "{runs}");
    User::stop(&mut process);
    let asked = user.vanctl("delete").fails(2);
    assert!(asked.contains("hint: --yes"), "{asked}");
    assert!(user.path(".local/state/vand").read_dir().unwrap().next().is_some());
    let said = user.vanctl("delete --yes").ok();
    assert!(said.contains("The configuration stays") && said.contains("state removed"), "{said}");
    assert!(user.path(".local/state/vand").read_dir().unwrap().next().is_none());
    assert!(user.config().exists());
    let none = user.vanctl("delete --yes").fails(4);
    assert!(none.contains("there is nothing of your own site"), "{none}");
    let _gone = user.vanctl("delete --yes --purge").ok();
    assert!(!user.config().exists());
    let _none = user.vanctl("delete --yes --purge").fails(4);
}

#[test]
fn what_would_not_be_good_changes_nothing() {
    let user = User::new();
    let folder = user.config().parent().unwrap().to_owned();
    fs::create_dir_all(folder.join("conf.d")).unwrap();
    for made in [".config", ".config/vand", ".config/vand/conf.d"] {
        user.owns(&user.path(made));
    }
    fs::write(user.config(), "").unwrap();
    user.owns(&user.config());
    for bad in ["[site]\nnmae = \"x\"\n", "[site\n"] {
        fs::write(user.config(), bad).unwrap();
        let said = user.vanctl("init --site-name good").fails(1);
        assert!(said.contains("vand.toml") && said.contains("hint: "), "{said}");
        assert!(!said.contains(".check-"), "{said}");
        assert_eq!(fs::read_to_string(user.config()).unwrap(), bad);
    }
    fs::write(user.config(), "[site]\nname = \"here\"\n").unwrap();
    fs::write(folder.join("conf.d/a.toml"), "[site]\nname = \"there\"\n").unwrap();
    let mut process = user.vand();
    // A drop-in has the last word.
    let said = user.vanctl("init --site-name good").fails(1);
    assert!(said.contains("site.name is \"there\"") && said.contains("a.toml:2"), "{said}");
    fs::write(folder.join("conf.d/a.toml"), "[sight]\n").unwrap();
    let said = user.vanctl("init --site-name better").fails(1);
    assert!(said.contains("a.toml:1"), "{said}");
    assert!(fs::read_to_string(user.config()).unwrap().contains("good"));
    let names: Vec<_> = folder.read_dir().unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "nothing is left lying about: {names:?}");
    User::stop(&mut process);
}

#[test]
fn what_a_host_has_not_is_refused() {
    let user = User::new();
    for (line, word) in [
        ("init --enable-console", "--enable-console comes with the console"),
        ("init --console-auth internal", "comes with the console"),
        ("init --console-user admin --console-password x", "comes with the console"),
        ("init --image vand:1", "in a cluster only"),
        ("init --replicas 2", "in a cluster only"),
        ("init --mode middle", "interior"),
        ("init --site-name Not_A_Label", "Not_A_Label"),
        ("--url unix:///tmp/x.sock init", "no site of this host has its socket"),
        ("--url ssh://db init", "hint: try: ssh -t db sudo vanctl init"),
    ] {
        let said = user.vanctl(line).fails(2);
        assert!(said.contains(word), "{line}: {said}");
    }
    if nix::unistd::geteuid().is_root() {
        for line in ["init", "delete --yes"] {
            let said = user.vanctl(&format!("--url unix:///run/vand/vand.sock {line}")).fails(5);
            assert!(said.contains("hint: sudo vanctl"), "{said}");
        }
    }
    assert!(!user.config().exists());
}
