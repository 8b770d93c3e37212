//! What programs rely on: exit codes, documents, messages, and the way over standard input.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use van_testkit::{Ran, TempDir, Vanctl, Vand, free_port, temp_dir, vanctl_binary, wait_until};

fn start(toml: &str) -> (TempDir, Vand) {
    let dir = temp_dir();
    let vand = Vand::start(dir.path(), &format!("[site]\nname = \"here\"\n{toml}"));
    (dir, vand)
}

#[test]
fn exit_codes_say_what_happened() {
    let dir = temp_dir();
    let nobody = Vanctl::new(&dir.path().join("none.sock"));
    let errors = nobody.run("status").fails(3);
    assert!(errors.starts_with("vanctl: status failed: "), "{errors}");
    assert!(errors.contains("\nhint: "), "{errors}");
    let _told = nobody.run("frobnicate").fails(2);

    let (_dir, vand) = start("");
    let _shown = vand.ctl("status").ok();
    let errors = vand.ctl("link status nowhere").fails(4);
    assert!(errors.contains("nowhere"), "{errors}");
    let errors = vand.ctl("listener delete nothing").fails(4);
    assert!(errors.contains("nothing"), "{errors}");
    let _told = vand.ctl("listener create x 127.0.0.1").fails(2);
    let _told = vand.ctl("ping nobody").fails(4);
}

#[test]
fn a_connector_that_never_works_times_out_and_stays() {
    let (_dir, vand) = start("");
    let port = free_port();
    let create = format!("connector create dead 127.0.0.1:{port} --wait 300ms");
    let errors = vand.ctl(&create).fails(6);
    assert!(errors.contains("dead"), "{errors}");
    let status = vand.ctl("connector status dead").ok();
    assert!(status.contains("refused"), "the reason is shown: {status}");
    vand.ctl("connector delete dead").ok();
}

#[test]
fn a_stranger_is_not_allowed() {
    let (dir, vand) = start("");
    let socket = vand.socket();
    let mode = fs::metadata(&socket).unwrap().permissions().mode() & 0o777;
    assert!(mode == 0o660 || mode == 0o600, "{mode:o}");
    let mut command = if nix::unistd::geteuid().is_root() {
        // The program lies where everybody may run it, and the way to the socket is open.
        let program = dir.path().join("vanctl");
        fs::copy(vanctl_binary(), &program).unwrap();
        for path in [dir.path(), socket.parent().unwrap(), &program] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]);
        command.arg(program);
        command
    } else {
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o000)).unwrap();
        Command::new(vanctl_binary())
    };
    command.env("VANCTL_URL", format!("unix://{}", socket.display())).arg("status");
    let errors = Ran::of(command, b"").fails(5);
    assert!(errors.contains("usermod -aG vand"), "{errors}");
}

#[test]
fn documents_have_their_form() {
    let port = free_port();
    let (_dir, vand) = start(&format!(
        "[accept]\nlisten = [\"127.0.0.1:{port}\"]\n[[connector]]\nname = \"c\"\n\
         target = \"127.0.0.1:9\"\n"
    ));
    let status = vand.ctl("status -o json").json();
    assert_eq!((&status["name"], &status["mode"]), (&"here".into(), &"interior".into()));
    let id = status["id"].as_str().unwrap();
    assert!(id.len() == 32 && id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()));
    for key in ["uptime_seconds", "links_up", "links_configured", "sites_reached", "warnings"] {
        assert!(!status[key].is_null(), "{key} is missing: {status}");
    }

    let list = vand.ctl("connector status -o json").json();
    let connector = &list["items"][0];
    assert_eq!((&connector["name"], &connector["source"]), (&"c".into(), &"file".into()));
    assert_eq!(connector["spec"]["target"], "127.0.0.1:9");
    let ready = &connector["status"]["conditions"][0];
    for key in ["type", "status", "reason", "message", "last_transition_time"] {
        assert!(ready[key].is_string(), "{key} is missing: {ready}");
    }
    assert_eq!(vand.ctl("connector status -o name").ok(), "connector/c\n");
    let yaml = vand.ctl("connector status c -o yaml").ok();
    assert!(yaml.contains("name: c") && yaml.contains("source: file"), "{yaml}");
    for kind in ["links", "listeners", "tokens", "peers", "services", "events", "config"] {
        let (code, list) = vand.get(&format!("/v1/{kind}")).unwrap();
        assert!(code == 200 && list["items"].is_array(), "{kind}: {code} {list}");
    }

    let made = vand.ctl("token create --name t -o json").json();
    assert!(made["token"].as_str().unwrap().starts_with("van1."), "{made}");
    let listed = vand.ctl("token list -o json").ok();
    assert!(!listed.contains("van1."), "the secret is told once");
    let yaml = vand.ctl("token create --name y -o yaml").ok();
    assert!(yaml.contains("kind: AccessToken"), "{yaml}");
    let config = vand.ctl("config show -o json").ok();
    assert!(!config.contains("van1."));
}

#[test]
fn errors_are_documents_too() {
    let (_dir, vand) = start("");
    let (code, error) = vand.get("/v1/links/none").unwrap();
    assert_eq!((code, &error["error"]["code"]), (404, &"not_found".into()));
    let (code, debug) = vand.get("/v1/debug").unwrap();
    assert_eq!(code, 200);
    assert!(debug["log"].as_str().unwrap().contains("ready"), "{debug}");
    assert_eq!(vand.get("/nothing").unwrap().0, 404);
}

#[test]
fn what_a_file_owns_is_refused_with_its_name() {
    let port = free_port();
    let (_dir, vand) = start(&format!(
        "[[listener]]\nname = \"l\"\nbind = \"127.0.0.1:{port}\"\n[[connector]]\nname = \"c\"\n\
         target = \"127.0.0.1:9\"\n"
    ));
    let file = vand.dir().join("vand.toml");
    for line in ["listener delete l", "connector delete c", "unexpose 127.0.0.1:9 --address c"] {
        let ran = vand.ctl(line);
        let code = ran.status;
        assert!([1, 4].contains(&code), "{ran:?}");
        let errors = ran.fails(code);
        assert!(code == 4 || errors.contains(file.to_str().unwrap()), "{line}: {errors}");
    }
    assert!(vand.ctl("listener status l").ok().contains('l'));
    assert!(vand.ctl("connector status c").ok().contains('c'));
}

#[test]
fn the_socket_can_be_reached_over_standard_input() {
    let (_dir, vand) = start("");
    let request = b"GET /v1/status HTTP/1.1\r\nHost: vand\r\nConnection: close\r\n\r\n";
    let answer = vand.vanctl().run_with("api-proxy", request).ok();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("\"name\":\"here\"") || answer.contains("\"name\": \"here\""));
}

#[test]
fn the_socket_as_a_target_lends_nobody_the_daemons_rights() {
    let (_dir, vand) = start("");
    let port = free_port();
    let socket = vand.socket();
    vand.ctl(&format!("connector create api unix:{} --check none", socket.display())).ok();
    vand.ctl(&format!("listener create api 127.0.0.1:{port}")).ok();
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // The connection may be gone before the request is.
    drop(client.write_all(b"GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n"));
    let mut answer = Vec::new();
    drop(client.read_to_end(&mut answer));
    assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
    let told = || vand.log().contains("it came from this daemon itself");
    wait_until(Duration::from_secs(10), "the refusal was logged", told);
}

#[test]
fn rubbish_does_no_harm() {
    let (_dir, vand) = start("");
    for rubbish in
        [&b"\r\n\r\n\r\n"[..], b"GET\r\n\r\n", &[0; 4096], &[b'A'; 200_000], b"\x16\x03\x01\x02"]
    {
        let ran = vand.vanctl().run_with("api-proxy", rubbish);
        assert!(ran.status >= 0, "{ran:?}");
        assert_eq!(vand.get("/v1/status").unwrap().0, 200);
    }
}

#[test]
fn versions_and_completions() {
    let (_dir, vand) = start("");
    let versions = vand.ctl("version").ok();
    assert!(versions.contains("vanctl") && versions.contains("vand"), "{versions}");
    for shell in ["bash", "zsh", "fish"] {
        assert!(vand.ctl(&format!("completion {shell}")).ok().contains("vanctl"), "{shell}");
    }
}

#[test]
fn the_log_level_changes_at_once() {
    let (_dir, vand) = start("[log]\nlevel = \"error\"\n");
    vand.ctl("log level debug").ok();
    let errors = vand.ctl("log level loud").fails(1);
    assert!(errors.contains("loud"), "{errors}");
}
