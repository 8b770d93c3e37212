//! Configuration: what `vand check` says, and what a reload changes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

use van_testkit::{
    DEADLINE, Echo, Ran, Vand, echo_lines, echoes, free_port, is_refused, temp_dir, vand_binary,
    wait_until,
};

fn check(file: &Path) -> Ran {
    let mut command = Command::new(vand_binary());
    command.env_clear().arg("check").arg("--config").arg(file);
    Ran::of(command, b"")
}

/// Checks that `vand check` refuses the text with exactly these lines' numbers and words.
#[track_caller]
fn told(text: impl AsRef<[u8]>, expected: &[(usize, &str)]) {
    let dir = temp_dir();
    let file = dir.path().join("vand.toml");
    fs::write(&file, text).unwrap();
    let errors = check(&file).fails(1);
    for (line, words) in expected {
        let place = format!("{}:{line}:", file.display());
        let found = errors.lines().any(|e| e.starts_with(&place) && e.contains(words));
        assert!(found, "no {place} … {words:?} in:\n{errors}");
    }
    assert_eq!(errors.lines().count(), expected.len(), "{errors}");
}

#[test]
fn a_good_configuration_passes() {
    let dir = temp_dir();
    let file = dir.path().join("vand.toml");
    fs::write(&file, "[site]\nname = \"x\"\n\n[services]\nimport = []\n").unwrap();
    let ran = check(&file);
    assert_eq!(ran.stderr, "");
    let _said = ran.ok();
}

#[test]
fn unknown_keys_and_sections() {
    told("[site]\nnmae = \"x\"\n", &[(2, "did you mean \"name\"")]);
    told("[consoles]\nlisten = \"127.0.0.1:1\"\n", &[(1, "did you mean \"console\"")]);
    told("[[policy]]\nname = \"x\"\n", &[(1, "policy")]);
}

#[test]
fn wrong_types() {
    told("[site]\nname = 3\n", &[(2, "site.name")]);
    told("[accept]\nlisten = \"[::]:8263\"\n", &[(2, "accept.listen")]);
}

#[test]
fn values_out_of_range() {
    let link = "[[link]]\nname = \"l\"\ntoken = \"t\"\ncost = 0\n";
    told(link, &[(4, "1 to 65535")]);
    told("[limits]\nflows = 0\n", &[(2, "limits.flows")]);
}

#[test]
fn names_and_binds_taken_twice() {
    let listener = "[[listener]]\nname = \"a\"\nbind = \"127.0.0.1:1000\"\n";
    told(format!("{listener}\n{}", listener.replace("1000", "2000")), &[(6, "twice")]);
    told(format!("{listener}\n{}", listener.replace("\"a\"", "\"b\"")), &[(7, "taken")]);
}

#[test]
fn what_is_no_toml() {
    told("[site\nname = \"x\"\n", &[(1, "")]);
    told(b"[site]\nname = \"\xff\"\n", &[(2, "UTF-8")]);
    told(vec![b'#'; 10 << 20], &[(1, "larger than 1 MiB")]);
}

#[test]
fn sections_of_later_versions() {
    told("[console]\nauth = \"none\"\n", &[(2, "not in this version yet")]);
}

#[test]
fn all_mistakes_at_once() {
    let text = "[site]\nname = \"Not Good\"\n\n[[listener]]\nname = \"l\"\n\n[[connector]]\n\
                name = \"c\"\ntarget = \"nowhere\"\n";
    told(text, &[(2, "site.name"), (4, "bind"), (9, "connector.c.target")]);
}

#[test]
fn an_unreadable_file_is_named() {
    let dir = temp_dir();
    let missing = dir.path().join("none.toml");
    let errors = check(&missing).fails(1);
    assert!(errors.contains(missing.to_str().unwrap()), "{errors}");
    // A folder can't be read as a file, whoever asks.
    let errors = check(dir.path()).fails(1);
    assert!(errors.contains(dir.path().to_str().unwrap()), "{errors}");
}

#[test]
fn a_bad_configuration_stops_the_start() {
    let dir = temp_dir();
    let (status, log) = Vand::refused(dir.path(), "[site]\nname = \"x\"\n[nonsense]\n");
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("vand.toml:3:"), "{log}");
}

#[test]
fn folders_and_environment_override() {
    let dir = temp_dir();
    fs::create_dir_all(dir.path().join("conf.d")).unwrap();
    fs::write(dir.path().join("conf.d/10-a.toml"), "[site]\nname = \"first\"\n").unwrap();
    fs::write(dir.path().join("conf.d/20-b.toml"), "[site]\nname = \"second\"\n").unwrap();
    let vand = Vand::start(dir.path(), "[site]\nname = \"zeroth\"\n[log]\nlevel = \"info\"\n");
    let shown = vand.ctl("config show -o json").json();
    let values = shown["items"].as_array().unwrap();
    let name = values.iter().find(|value| value["key"] == "site.name").unwrap();
    assert_eq!(name["value"], "second");
    assert!(name["origin"].as_str().unwrap().ends_with("20-b.toml:2"), "{name}");
}

fn site(services: &str) -> String {
    format!("[site]\nname = \"here\"\n{services}")
}

fn service(name: &str, port: u16, target: u16) -> String {
    format!(
        "[[listener]]\nname = \"{name}\"\nbind = \"127.0.0.1:{port}\"\n\
         [[connector]]\nname = \"{name}\"\ntarget = \"127.0.0.1:{target}\"\n"
    )
}

#[test]
fn a_reload_changes_what_changed_and_nothing_else() {
    let (dir, echo) = (temp_dir(), Echo::start());
    let (kept, gone, new) = (free_port(), free_port(), free_port());
    let [kept_toml, gone_toml, new_toml] = [("kept", kept), ("gone", gone), ("new", new)]
        .map(|(name, port)| service(name, port, echo.port()));
    let mut vand = Vand::start(dir.path(), &site(&format!("{kept_toml}{gone_toml}")));
    for port in [kept, gone] {
        wait_until(DEADLINE, "the service was there", || echoes(port));
    }
    let flow = Flow::open(kept);
    let ended = Flow::open(gone);

    vand.reload(&site(&format!("{kept_toml}{new_toml}")));
    wait_until(DEADLINE, "the new service was there", || echoes(new));
    wait_until(DEADLINE, "the old service was gone", || is_refused(gone));
    std::net::TcpListener::bind(("127.0.0.1", gone)).expect("the port is given back");
    flow.says("still the same flow");
    drop(ended);
    echo_lines(kept, 10).unwrap();
}

#[test]
fn a_bad_reload_keeps_what_runs() {
    let (dir, echo, port) = (temp_dir(), Echo::start(), free_port());
    let good = site(&service("echo", port, echo.port()));
    let mut vand = Vand::start(dir.path(), &good);
    wait_until(DEADLINE, "the service was there", || echoes(port));
    let flow = Flow::open(port);

    vand.reload(&format!("{good}[nonsense]\n"));
    vand.process().wait_for("nonsense", DEADLINE);
    flow.says("nothing changed");
    let errors = vand.ctl("reload").fails(1);
    assert!(errors.contains("nonsense"), "{errors}");
    assert_eq!(vand.get("/v1/listeners").unwrap().1["items"].as_array().unwrap().len(), 1);

    vand.reload(&good);
    let said = vand.ctl("reload").ok();
    assert!(said.contains("nothing changed"), "{said}");
    flow.says("and still the same");
}

/// A connection that stays open.
struct Flow(std::net::TcpStream);

impl Flow {
    fn open(port: u16) -> Self {
        let flow = Self(std::net::TcpStream::connect(("127.0.0.1", port)).unwrap());
        flow.says("hello");
        flow
    }

    #[track_caller]
    fn says(&self, word: &str) {
        use std::io::{Read as _, Write as _};
        self.0.set_read_timeout(Some(DEADLINE)).unwrap();
        (&self.0).write_all(word.as_bytes()).unwrap();
        let mut answer = vec![0; word.len()];
        (&self.0).read_exact(&mut answer).unwrap();
        assert_eq!(answer, word.as_bytes());
    }
}
